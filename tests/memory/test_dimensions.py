"""Embeddings of another length than 1,536: they are kept and found where the column was made for them."""

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from aicq.app import create_app
from aicq.clock import from_ms, now_ms
from aicq.db.engine import create_engine
from aicq.errors import StartError, Unprocessable
from aicq.memory.dimensions import check_dimensions
from aicq.memory.schemas.memories import MemoryCreate, MemorySearchRequest
from aicq.memory.services.memories import MemoryService
from aicq.memory.services.recall import Recall
from aicq.origin import SYSTEM
from aicq.settings import load
from tests.conftest import running
from tests.memory.conftest import add_team, connect, migrated
from tests.servers import Databases


async def test_embeddings_are_kept_and_found_whatever_their_length(databases: Databases) -> None:
    async with migrated(databases, dimensions=3) as url:
        await check_dimensions(url, 3)
        async with connect(url) as database:
            team = await add_team(database)
        engine = create_engine(url, name="test")
        async with async_sessionmaker(engine).begin() as session:
            service = MemoryService(session, dimensions=3, origin=SYSTEM)
            for content, embedding in {"east": [1.0, 0.0, 0.0], "north": [0.0, 1.0, 0.0]}.items():
                wanted = MemoryCreate(team_id=team.id, memory_type="shared", content=content, embedding=embedding)
                await service.remember(wanted, now=now_ms())
            asked = MemorySearchRequest(team_id=team.id, embedding=[0.1, 1.0, 0.0], limit=1)
            told = await Recall(session, dimensions=3).recall(asked, now=from_ms(now_ms()))
            assert [result.memory.content for result in told.results] == ["north"]
            asked = MemorySearchRequest(team_id=team.id, embedding=[1.0])
            with pytest.raises(Unprocessable, match="embedding must have 3 numbers, not 1"):
                await Recall(session, dimensions=3).recall(asked, now=from_ms(now_ms()))
        await engine.dispose()


async def test_a_worker_does_not_start_on_a_column_of_another_length(databases: Databases) -> None:
    async with migrated(databases, dimensions=3) as url:
        app = create_app(load({"DATABASE_URL": url}))
        sentence = "EMBEDDING_DIMENSIONS is 1536, but memories hold embeddings of 3 numbers"
        with pytest.RaisesGroup(pytest.RaisesExc(StartError, match=sentence)):
            async with running(app):
                pass


async def test_a_database_without_memories_is_no_mismatch(databases: Databases) -> None:
    async with migrated(databases, dimensions=3) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("DROP TABLE memories CASCADE")
        await connection.close()
        await check_dimensions(url, 1536)
