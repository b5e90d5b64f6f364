"""A migrated database, an engine on it, and what work is about: actors, a project, a task."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from aicq.db.engine import create_engine
from tests.servers import Databases

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

WITHOUT_ID = {"evidence_links", "execution_totals"}


async def insert(database: Connection, table: str, **values: Any) -> Any:
    """Adds a row and returns its id, or nothing if it has none; dicts and lists become JSON."""
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    returned = "" if table in WITHOUT_ID else " RETURNING id"
    return await database.fetchval(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places}){returned}", *values.values()
    )


async def add_agent(database: Connection, name: str = "agent", **values: Any) -> UUID:
    agent_id: UUID = await insert(database, "agents", name=name, **values)
    return agent_id


async def add_user(database: Connection, username: str = "ada", **values: Any) -> UUID:
    user_id: UUID = await insert(database, "users", username=username, email=f"{username}@x.io", **values)
    return user_id


async def add_project(database: Connection, slug: str = "aicq", **values: Any) -> UUID:
    project_id: UUID = await insert(database, "projects", slug=slug, **{"name": slug} | values)
    return project_id


async def add_task(database: Connection, project_id: UUID, title: str = "task", **values: Any) -> UUID:
    task_id: UUID = await insert(database, "tasks", project_id=project_id, title=title, **values)
    return task_id


async def add_evidence(database: Connection, author_id: UUID, **values: Any) -> UUID:
    given = {"claim": "it works", "source_type": "test_result", "author_id": author_id} | values
    evidence_id: UUID = await insert(database, "evidence", **given)
    return evidence_id


async def add_execution(database: Connection, agent_id: UUID, **values: Any) -> UUID:
    execution_id: UUID = await insert(database, "agent_executions", agent_id=agent_id, **values)
    return execution_id


async def row(database: Connection, table: str, row_id: UUID) -> asyncpg.Record:
    """The row with this id, which is there."""
    found = await database.fetchrow(f"SELECT * FROM {table} WHERE id = $1", row_id)
    assert found is not None
    return found


async def count(database: Connection, table: str) -> int:
    rows: int = await database.fetchval(f"SELECT count(*) FROM {table}")
    return rows


async def refused(database: Connection, table: str, **values: Any) -> str:
    """The name of the constraint that refuses a row."""
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
        async with database.transaction():
            await insert(database, table, **values)
    return str(refusal.value.constraint_name)


@pytest.fixture(scope="module")
async def database_url(
    databases: Databases,
    anyio_backend: object,  # noqa: ARG001 - runs asynchronous fixtures
) -> AsyncIterator[str]:
    """One migrated database for a module; `database` leaves it as it was."""
    name = await databases.make()
    yield databases.url(name)
    await databases.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Connection]:
    """A connection to the test's database; what a test left there goes with it."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.execute("TRUNCATE actors, teams, projects, tasks, evidence, agent_executions CASCADE")
    await connection.close()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine as the service has it."""
    engine = create_engine(database_url, name="test", pool_size=20)
    yield engine
    await engine.dispose()


@pytest.fixture
async def session(
    engine: AsyncEngine,
    database: Connection,  # noqa: ARG001 - empties the tables once this has let them go
) -> AsyncIterator[AsyncSession]:
    """A unit of work that is never committed."""
    async with async_sessionmaker(engine, expire_on_commit=False)() as session:
        yield session


@pytest.fixture
async def agent(database: Connection) -> UUID:
    return await add_agent(database)


@pytest.fixture
async def user(database: Connection) -> UUID:
    return await add_user(database)


@pytest.fixture
async def project(database: Connection) -> UUID:
    return await add_project(database)


@pytest.fixture
async def task(database: Connection, project: UUID) -> UUID:
    return await add_task(database, project)
