"""`aicq seed`: a newcomer sees a living system, and whoever seeds again changes nothing."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest
from litestar import Litestar
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.db.engine import create_engine
from aicq.memory.schemas import MemorySearchRequest
from aicq.memory.services.recall import Recall
from aicq.seed.load import load
from aicq.seed.people import TEAM
from aicq.seed.rows import sample_id
from tests.agents import bodies, find, read
from tests.conftest import RAISED_LIMITS, running
from tests.process.service import run

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TABLES = """
SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
    AND relname NOT LIKE 'hot%' AND relname <> 'alembic_version'
"""
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"

LIVING = {
    "users": 4,
    "teams": 1,
    "agents": 5,
    "team_memberships": 8,
    "projects": 2,
    "tasks": 7,
    "task_comments": 3,
    "task_attachments": 1,
    "evidence": 3,
    "evidence_links": 2,
    "agent_executions": 5,
    "execution_totals": 3,
    "activity_feed": 5,
    "guilds": 1,
    "guild_members": 7,
    "roles": 2,
    "member_roles": 2,
    "conversations": 1,
    "conversation_messages": 4,
    "memories": 9,
    "memory_tags": 12,
    "memory_links": 2,
    "messages": 9,
    "rooms": 4,
}


@pytest.fixture
def hot_kind() -> str:
    """The hot store is filled from the log whatever it is."""
    return "postgres"


@pytest.fixture
def environment() -> dict[str, str]:
    return {**RAISED_LIMITS, "AICQ_ADMIN_TOKEN": "an admin token for tests"}


@pytest.fixture
async def seeded(database_url: str) -> str:
    """A database with the sample data."""
    await asyncio.to_thread(load, database_url)
    return database_url


async def everything(database: Connection) -> dict[str, Any]:
    """All rows of all tables, and where the sequences stand."""
    held: dict[str, Any] = {}
    for table in await database.fetch(TABLES):
        held[table[0]] = await database.fetchval(
            f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table[0]} t"
        )
    held["sequences"] = await database.fetch(SEQUENCES)
    return held


async def test_it_fills_an_empty_house(seeded: str, database: Connection) -> None:
    counts = {table: await database.fetchval(f"SELECT count(*) FROM {table}") for table in LIVING}
    assert counts == LIVING
    assert seeded
    figures = await database.fetchrow(
        "SELECT success_rate, avg_execution_time_ms FROM agents WHERE id = $1", sample_id("agent/engineer", minute=5)
    )
    assert figures is not None
    assert tuple(figures) == (0.5, 118_000)


async def test_the_team_remembers_things_of_every_kind(seeded: str, database: Connection) -> None:
    kinds = await database.fetch("SELECT DISTINCT memory_type::text, tier::text, status::text FROM memories")
    kept, tiers, statuses = ({row[column] for row in kinds} for column in range(3))
    assert len(kept) == 7
    assert (tiers, statuses) == ({"hot", "warm", "cold"}, {"active", "superseded", "disputed"})
    assert await database.fetchval("SELECT count(embedding) FROM memories") == 0
    told = await database.fetch("SELECT DISTINCT changed_by, reason FROM memory_log")
    assert [tuple(row) for row in told] == [("system", "sample data")]
    assert await database.fetchval("SELECT total_output_tokens FROM conversations") == 34
    engine = create_engine(seeded, name="test")
    async with AsyncSession(engine) as session:
        asked = MemorySearchRequest(team_id=TEAM, query="how long does a bulb last")
        told_of = await Recall(session, dimensions=1536).recall(asked, now=datetime.now(UTC))
    await engine.dispose()
    assert told_of.results[0].memory.content.startswith("A bulb of the lamp lasts 900 hours")
    assert told_of.suppressed == 2


async def test_whoever_seeds_again_changes_nothing(seeded: str, database: Connection) -> None:
    before = await everything(database)
    assert await asyncio.to_thread(load, seeded) == []
    assert await everything(database) == before


async def test_of_many_who_seed_at_once_one_does(database_url: str, database: Connection) -> None:
    loaded = await asyncio.gather(*(asyncio.to_thread(load, database_url) for _ in range(4)))
    assert sorted(len(parts) for parts in loaded)[:3] == [0, 0, 0]
    assert await database.fetchval("SELECT count(*) FROM agents") == LIVING["agents"]


async def test_what_somebody_deleted_stays_deleted(seeded: str, database: Connection) -> None:
    await database.execute("DELETE FROM projects; DELETE FROM agents")
    assert await asyncio.to_thread(load, seeded) == []
    assert await database.fetchval("SELECT count(*) FROM agents") == 0


async def test_the_audit_log_tells_of_it(seeded: str, database: Connection) -> None:
    rows = await database.fetch("SELECT resource_id, acted_as FROM audit_logs WHERE action = 'seed.load' ORDER BY seq")
    assert seeded
    assert [tuple(row) for row in rows] == [
        ("people", "system"),
        ("work", "system"),
        ("guild", "system"),
        ("memories", "system"),
        ("messages", "system"),
    ]


async def test_nobody_can_log_in_or_sign_as_one_of_them(seeded: str, database: Connection) -> None:
    assert seeded
    assert await database.fetchval("SELECT count(password_hash) FROM users") == 0
    assert await database.fetchval("SELECT count(public_key) FROM agents") == 0
    assert await database.fetchval("SELECT count(*) FROM users WHERE role = 'admin'") == 0


async def test_a_service_shows_what_is_there(seeded: str, app: Litestar) -> None:
    assert seeded
    async with running(app) as http:
        await assert_shown(http)


async def assert_shown(http: httpx.AsyncClient) -> None:
    assert bodies(await read(http))[0] == "Verified. Thank you."
    assert len(bodies(await find(http, "wind"))) == 2
    headers = {"Authorization": "Bearer an admin token for tests"}
    for table, count in LIVING.items():
        answer = await http.get(f"/admin/{table}", headers=headers)
        if answer.status_code == 200:
            assert len(answer.json()["items"]) >= count, table


async def test_a_name_that_is_taken_is_told_and_nothing_is_loaded(
    tmp_path: Path, database_url: str, database: Connection
) -> None:
    await database.execute("INSERT INTO users (username, email) VALUES ('sam', 'sam@x.io')")
    ended = run(tmp_path, "seed", DATABASE_URL=database_url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "aicq: username is taken already\n")
    assert await database.fetchval("SELECT count(*) FROM agents") == 0


async def test_the_command_tells_what_it_loaded(tmp_path: Path, database_url: str) -> None:
    first, second = (run(tmp_path, "seed", DATABASE_URL=database_url) for _ in range(2))
    assert (first.returncode, first.stdout.split()[:3]) == (0, ["people", "18", "rows"]), first.stderr
    assert second.stdout == "The sample data was loaded before; nothing was changed.\n"
