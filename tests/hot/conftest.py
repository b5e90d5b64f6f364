"""Both hot stores, on real servers, each with what only a test may do to it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest
import redis

from aicq.db.engine import connect_pool
from aicq.hot.base import HotStore
from aicq.hot.postgres import PostgresHotStore
from aicq.hot.redis import RedisHotStore
from tests.servers import Databases

PATIENCE = 10.0


class World(ABC):
    """A server with nothing in it, and the hot stores of several processes on it."""

    def __init__(self) -> None:
        self._resources = AsyncExitStack()

    async def another(self, *, epoch: int) -> HotStore:
        """The store as one more process sees it, in that epoch."""
        store = await self._store()
        self._resources.push_async_callback(store.close)
        await store.open()
        store.epoch = epoch
        return store

    async def close(self) -> None:
        """Closes all stores."""
        await self._resources.aclose()

    @abstractmethod
    async def lose_everything(self) -> None:
        """Does what a crash does."""

    @abstractmethod
    async def cut_listeners(self) -> None:
        """Ends the connections of all who listen."""

    @abstractmethod
    async def _store(self) -> HotStore: ...


class RedisWorld(World):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    async def lose_everything(self) -> None:
        with redis.Redis.from_url(self._url) as client:
            client.flushdb()

    async def cut_listeners(self) -> None:
        with redis.Redis.from_url(self._url) as client:
            client.client_kill_filter(_type="pubsub")

    async def _store(self) -> HotStore:
        # What a call means does not depend on how busy the machine is that runs the tests.
        return RedisHotStore(self._url, timeout=PATIENCE)


class PostgresWorld(World):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    async def lose_everything(self) -> None:
        await self._execute(
            "DO $$ DECLARE names text := (SELECT string_agg(relname, ',') FROM pg_class"
            " WHERE relpersistence = 'u' AND relkind = 'r'); BEGIN EXECUTE 'TRUNCATE ' || names; END $$"
        )

    async def cut_listeners(self) -> None:
        await self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query ~* '^(UN)?LISTEN' AND pid <> pg_backend_pid()"
        )

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute(statement)
        await connection.close()

    async def _store(self) -> HotStore:
        pool = await connect_pool(self._url, name="tests", size=4)
        self._resources.push_async_callback(pool.close)
        return PostgresHotStore(pool, self._url)


@pytest.fixture(scope="module")
async def hot_database_url(databases: Databases) -> AsyncIterator[str]:
    """A migrated database for one module; its unlogged tables are emptied for each test."""
    name = await databases.make()
    yield databases.url(name)
    await databases.drop(name)


@pytest.fixture
def redis_world(redis_url: str) -> World:
    return RedisWorld(redis_url)


@pytest.fixture
def postgres_world(hot_database_url: str) -> World:
    return PostgresWorld(hot_database_url)


@pytest.fixture(params=[pytest.param("redis"), pytest.param("postgres")])
def any_world(request: pytest.FixtureRequest) -> World:
    """The server of one of the stores; only that one is started."""
    world: World = request.getfixturevalue(f"{request.param}_world")
    return world


@pytest.fixture
async def world(any_world: World) -> AsyncIterator[World]:
    """The server of one of the stores, with nothing in it."""
    await any_world.lose_everything()
    yield any_world
    await any_world.close()


@pytest.fixture
async def hot_store(world: World) -> HotStore:
    """One of the stores, in its first epoch."""
    store = await world.another(epoch=1)
    await store.begin(1)
    return store
