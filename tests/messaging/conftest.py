"""The log with the hot store beside it, as one process has them, and several such processes on the same servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

import asyncpg
import pytest

from aicq.db.engine import connect_pool
from aicq.hot.base import HotStore
from aicq.hot.keeper import Keeper, Log
from aicq.hot.postgres import PostgresHotStore
from aicq.hot.redis import RedisHotStore
from aicq.messaging.history import History
from aicq.messaging.log import Draft, MessageLog, Stored
from aicq.messaging.pages import Pages
from aicq.messaging.publisher import Publisher
from tests.servers import Databases

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Pool, Connection = asyncpg.Pool, asyncpg.Connection


async def add_agent(database: Connection | Pool) -> UUID:
    agent_id: UUID = await database.fetchval("INSERT INTO agents (name) VALUES ('agent') RETURNING id")
    return agent_id


async def add_room(database: Connection | Pool, name: str = "room") -> UUID:
    room_id: UUID = await database.fetchval("INSERT INTO rooms (name) VALUES ($1) RETURNING id", name)
    return room_id


async def logged(database: Connection | Pool, room_id: UUID) -> list[asyncpg.Record]:
    """The entries of a room as they stand in the log."""
    return await database.fetch("SELECT * FROM messages WHERE room_id = $1 ORDER BY seq", room_id)


async def bodies(database: Connection | Pool, room_id: UUID) -> list[str]:
    return [row["body"] for row in await logged(database, room_id)]


async def assert_gapless(database: Connection | Pool, *room_ids: UUID) -> None:
    """Positions run from 1 to the room's last, ids and times in their order, and the counts are right."""
    for room_id in room_ids:
        rows = await logged(database, room_id)
        room = await database.fetchrow("SELECT * FROM rooms WHERE id = $1", room_id)
        assert room is not None
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        assert room["last_seq"] == len(rows)
        ids = [row["id"] for row in rows]
        assert ids == sorted(ids)
        times = [row["created_at"] for row in rows]
        assert times == sorted(times)
        assert room["message_count"] == sum(row["entry"] == "message" and row["deleted_at"] is None for row in rows)


async def until_blocked(database: Connection, *, count: int = 1, application: str = "%") -> list[int]:
    """Waits until so many backends wait for a lock, and returns them."""
    async with asyncio.timeout(20):
        while True:
            rows = await database.fetch(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                " AND application_name LIKE $1",
                application,
            )
            if len(rows) >= count:
                return [row["pid"] for row in rows]
            await asyncio.sleep(0.01)


@asynccontextmanager
async def locked(database_url: str, table: str) -> AsyncIterator[None]:
    """Lets nobody change the rows of a table for as long as the context is open."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(f"SELECT FROM {table} FOR UPDATE")
            yield
    finally:
        await connection.close()


class Process:
    """What one worker has: a log, a hot store, and all between them.

    Args:
        pool: Postgres.
        hot: The hot store.
    """

    def __init__(self, pool: Pool, hot: HotStore) -> None:
        self.pool = pool
        self.hot = hot
        self.history = History(pool)
        self.keeper = Keeper(pool, hot)
        self.publisher = Publisher(hot, self.keeper)
        self.log = MessageLog(pool, self.publisher.publish)
        self.pages = Pages(hot, self.keeper, self.history)
        self.keeper.follow(self.history)

    def follow(self, log: Log) -> None:
        """Has the hot store filled from this log."""
        self.keeper.follow(log)

    async def post(self, room_id: UUID, author_id: UUID, body: str = "hi") -> Stored:
        return await self.log.append(Draft(room_id=room_id, author_id=author_id, body=body))

    async def delete(self, room_id: UUID, author_id: UUID, message_id: UUID) -> Stored:
        draft = Draft(room_id=room_id, author_id=author_id, entry="delete", target_id=message_id)
        return await self.log.append(draft)

    async def edit(self, message: Stored, body: str) -> Stored:
        """Has a message's author change its text."""
        posted = message.draft
        draft = Draft(
            room_id=posted.room_id,
            author_id=posted.author_id,
            entry="edit",
            target_id=message.id,
            target_parent_id=posted.parent_id,
            body=body,
        )
        return await self.log.append(draft)

    async def close(self) -> None:
        await self.log.drain()
        await self.publisher.close()
        await self.hot.close()
        await self.pool.close()


class World:
    """Processes on the same servers.

    Args:
        kind: Where the hot store is.
        database_url: Postgres.
        redis_url: Redis.
    """

    def __init__(self, kind: Literal["redis", "postgres"], database_url: str, redis_url: str) -> None:
        self.kind = kind
        self._database_url = database_url
        self._redis_url = redis_url
        self._resources = AsyncExitStack()
        self._single: Process | None = None

    async def single(self) -> Process:
        """The one process of a test with many examples; its keeper does not run."""
        self._single = self._single or await self.process()
        return self._single

    async def process(self) -> Process:
        """One more process; its keeper does not run yet."""
        pool = await connect_pool(self._database_url, name="process", size=8)
        hot: HotStore = RedisHotStore(self._redis_url) if self.kind == "redis" else PostgresHotStore(pool, "")
        await hot.open()
        process = Process(pool, hot)
        self._resources.push_async_callback(process.close)
        return process

    async def running(self) -> Process:
        """One more process whose keeper runs and has filled the hot store."""
        process = await self.process()
        await self._resources.enter_async_context(process.keeper.running())
        await until_complete(process)
        return process

    async def close(self) -> None:
        await self._resources.aclose()


async def until_complete(*processes: Process) -> None:
    await until(lambda: all(process.keeper.complete for process in processes))


async def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what comes true elsewhere sets no event
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
async def database_url(
    databases: Databases,
    anyio_backend: object,  # noqa: ARG001 - runs asynchronous fixtures
) -> AsyncIterator[str]:
    """One migrated database for a module: its tests have rooms and authors of their own."""
    name = await databases.make()
    yield databases.url(name)
    await databases.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def second(database_url: str) -> AsyncIterator[Connection]:
    """One more connection, to hold locks."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect_pool(database_url, name="log", size=8)
    yield pool
    await pool.close()


@pytest.fixture(params=["redis", "postgres"])
async def world(request: pytest.FixtureRequest, database_url: str, redis_url: str) -> AsyncIterator[World]:
    """Servers without any process yet, over each hot store."""
    world = World(request.param, database_url, redis_url)
    yield world
    await world.close()


@pytest.fixture
async def author(database: Connection) -> UUID:
    return await add_agent(database)


@pytest.fixture
async def room(database: Connection) -> UUID:
    return await add_room(database)


class Outbox:
    """Takes what the log publishes."""

    def __init__(self) -> None:
        self.published: list[Stored] = []

    async def publish(self, stored: list[Stored]) -> None:
        self.published += stored


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
async def log(pool: Pool, outbox: Outbox) -> MessageLog:
    return MessageLog(pool, outbox.publish)


def a_draft(room_id: UUID, author_id: UUID, body: str = "hi", **more: Any) -> Draft:
    return Draft(room_id=room_id, author_id=author_id, body=body, **({"nonce": uuid4().hex} | more))
