"""Leases: of many who want one, one has it, and fencing tokens only grow."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from aicq.db.engine import connect_pool
from aicq.errors import LeaseTaken
from aicq.hot.base import HotStore
from aicq.hot.leases import LEASE, Leases
from tests.hot.conftest import World
from tests.hot.logged import NOW

LATER = NOW + 30_000


@pytest.fixture
async def pool(hot_database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    pool = await connect_pool(hot_database_url, name="tests", size=4)
    yield pool
    await pool.close()


async def test_one_has_it(hot_store: HotStore) -> None:
    assert await hot_store.locks.acquire("a", "one", expires=LATER, now=NOW)
    assert not await hot_store.locks.acquire("a", "two", expires=LATER, now=NOW)
    assert not await hot_store.locks.acquire("a", "one", expires=LATER, now=NOW)
    assert await hot_store.locks.acquire("b", "two", expires=LATER, now=NOW)


async def test_it_can_be_had_when_it_has_expired(hot_store: HotStore) -> None:
    assert await hot_store.locks.acquire("a", "one", expires=LATER, now=NOW)
    assert not await hot_store.locks.acquire("a", "two", expires=LATER + 9, now=LATER - 1)
    assert await hot_store.locks.acquire("a", "two", expires=LATER + 9, now=LATER)
    assert not await hot_store.locks.extend("a", "one", expires=LATER + 99, now=LATER)


async def test_only_its_owner_extends_it_and_only_in_time(hot_store: HotStore) -> None:
    await hot_store.locks.acquire("a", "one", expires=LATER, now=NOW)
    assert not await hot_store.locks.extend("a", "two", expires=LATER + 9, now=NOW)
    assert await hot_store.locks.extend("a", "one", expires=LATER + 9, now=LATER - 1)
    assert not await hot_store.locks.acquire("a", "two", expires=LATER + 9, now=LATER + 8)
    assert not await hot_store.locks.extend("a", "one", expires=LATER + 99, now=LATER + 9)
    assert not await hot_store.locks.extend("never had", "one", expires=LATER, now=NOW)


async def test_only_its_owner_releases_it(hot_store: HotStore) -> None:
    await hot_store.locks.acquire("a", "one", expires=LATER, now=NOW)
    assert not await hot_store.locks.release("a", "two")
    assert not await hot_store.locks.acquire("a", "two", expires=LATER, now=NOW)
    assert await hot_store.locks.release("a", "one")
    assert not await hot_store.locks.release("a", "one")
    assert await hot_store.locks.acquire("a", "two", expires=LATER, now=NOW)


async def test_of_many_at_once_one_has_it(world: World, hot_store: HotStore) -> None:
    stores = [hot_store, await world.another(epoch=1)]
    for number in range(5):
        calls = [stores[n % 2].locks.acquire(f"lock {number}", f"owner {n}", expires=LATER, now=NOW) for n in range(20)]
        assert sum(await asyncio.gather(*calls)) == 1


async def test_tokens_grow(hot_store: HotStore, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    leases = Leases(hot_store, pool)
    first = await leases.acquire("a", now=NOW)
    assert first
    assert first.expires == NOW + LEASE
    assert await leases.acquire("a", now=NOW) is None
    second = await leases.acquire("a", now=first.expires)
    assert second
    assert second.token > first.token
    assert not await leases.release(first)
    assert await leases.extend(first, now=first.expires) is None
    longer = await leases.extend(second, now=NOW, ttl=LEASE * 3)
    assert longer == type(second)(second.name, second.owner, second.token, NOW + LEASE * 3)
    assert await leases.release(second)


async def test_tokens_grow_though_the_store_forgets(
    world: World, hot_store: HotStore, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    leases = Leases(hot_store, pool)
    first = await leases.acquire("a", now=NOW)
    await world.lose_everything()
    second = await leases.acquire("a", now=NOW)
    assert first
    assert second
    assert second.token > first.token


async def test_whoever_was_paused_until_their_lease_was_anothers_does_not_get_it_back(
    world: World, hot_store: HotStore, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    other = Leases(await world.another(epoch=1), pool)
    assert await hot_store.locks.acquire("a", "paused", expires=NOW + 10, now=NOW)
    theirs = await other.acquire("a", now=NOW + 10)
    assert theirs
    assert not await hot_store.locks.extend("a", "paused", expires=LATER, now=NOW + 10)


async def test_a_lease_is_held_while_its_context_is_open(
    hot_store: HotStore, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    leases = Leases(hot_store, pool)
    async with leases.held("a") as lease:
        with pytest.raises(LeaseTaken):
            async with leases.held("a"):
                pass
    async with leases.held("a") as again:
        assert again.token > lease.token
