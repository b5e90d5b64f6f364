"""A team with an agent and a user, and rows about them."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from aicq.db.engine import create_engine
from aicq.db.migrate import upgrade
from tests.servers import ROOT, Databases

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

DIMENSIONS = 1536


class Team(msgspec.Struct, frozen=True):
    """A team, an agent of it, and a user who belongs to nobody."""

    id: UUID
    agent: UUID
    user: UUID


async def insert(database: Connection, table: str, **values: Any) -> Any:
    """Adds a row and returns its id, or nothing if it has none."""
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    returned = "" if table.startswith("memory_") else " RETURNING id"
    return await database.fetchval(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places}){returned}", *values.values()
    )


async def add_team(database: Connection, slug: str = "red") -> Team:
    user = await insert(database, "users", username=f"u-{slug}", email=f"{slug}@x.io")
    team = await insert(database, "teams", name="Team", slug=slug, owner_id=user)
    return Team(team, await insert(database, "agents", name="scout", team_id=team), user)


async def add_memory(database: Connection, team: Team, content: str = "Ada likes tea", **values: Any) -> UUID:
    given = {"team_id": team.id, "memory_type": "semantic", "content": content} | values
    memory_id: UUID = await insert(database, "memories", **given)
    return memory_id


async def add_conversation(database: Connection, team: Team, **values: Any) -> UUID:
    conversation_id: UUID = await insert(database, "conversations", **{"team_id": team.id} | values)
    return conversation_id


async def say(database: Connection, team: Team, conversation_id: UUID, role: str = "user", **values: Any) -> UUID:
    given = {"team_id": team.id, "conversation_id": conversation_id, "role": role, "content": "hi"} | values
    message_id: UUID = await insert(database, "conversation_messages", **given)
    return message_id


async def history(database: Connection, memory_id: UUID) -> list[asyncpg.Record]:
    """A memory's entries, the oldest first."""
    return await database.fetch("SELECT * FROM memory_log WHERE memory_id = $1 ORDER BY seq", memory_id)


async def actions(database: Connection, memory_id: UUID) -> list[str]:
    return [entry["action"] for entry in await history(database, memory_id)]


async def refused(database: Connection, table: str, **values: Any) -> str:
    """The name of the constraint that refuses a row."""
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
        async with database.transaction():
            await insert(database, table, **values)
    return str(refusal.value.constraint_name)


@asynccontextmanager
async def connect(database_url: str) -> AsyncIterator[Connection]:
    """A connection that understands JSON."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.set_type_codec(
            "jsonb",
            schema="pg_catalog",
            encoder=lambda value: msgspec.json.encode(value).decode(),
            decoder=msgspec.json.decode,
        )
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Connection]:
    """A connection to the test's database."""
    async with connect(database_url) as connection:
        yield connection


@asynccontextmanager
async def migrated(databases: Databases, *, dimensions: int) -> AsyncIterator[str]:
    """The URL of a database whose embeddings have so many numbers."""
    beside = await databases.make()
    name = f"{beside}_{dimensions}"
    connection = await asyncpg.connect(databases.url(beside))
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBEDDING_DIMENSIONS", str(dimensions))
        await asyncio.to_thread(upgrade, ROOT / "migrations", databases.url(name))
    yield databases.url(name)
    await databases.drop(name)
    await databases.drop(beside)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, name="test", pool_size=10, max_overflow=20)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """What services open their transactions with."""
    return async_sessionmaker(engine, expire_on_commit=False)


@pytest.fixture
def statements(engine: AsyncEngine) -> list[str]:
    """The statements that go through the engine, as they go."""
    told: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *args: told.append(args[2]))
    return told


def meaning(text: str) -> list[float]:
    """An embedding that a test can foresee: the more words two texts share, the nearer they are."""
    numbers = [0.0] * DIMENSIONS
    for word in text.lower().split():
        numbers[zlib.crc32(word.encode()) % DIMENSIONS] += 1
    return numbers


@pytest.fixture
async def team(database: Connection) -> Team:
    return await add_team(database)
