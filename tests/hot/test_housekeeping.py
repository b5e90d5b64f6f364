"""Keeping house: each chore is done once in its time by whichever process comes first, and what fails stays due."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from aicq.db.engine import connect_pool
from aicq.hot.base import HotStore
from aicq.hot.leases import Leases
from aicq.hot.redis import RedisHotStore
from aicq.housekeeping import HOUR, MINUTE, Chore, Housekeeper, in_chunks
from tests.hot.conftest import World

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000_000


@pytest.fixture
async def pool(hot_database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    pool = await connect_pool(hot_database_url, name="tests", size=2)
    yield pool
    await pool.close()


@pytest.fixture
async def leases(hot_store: HotStore, pool: "asyncpg.Pool[asyncpg.Record]") -> Leases:
    return Leases(hot_store, pool)


class Notes:
    """Chores that note when they were done."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []

    def minutes(self, name: str) -> list[int]:
        return [(now - NOW) // MINUTE for done, now in self.done if done == name]

    def chore(self, name: str, every: int, error: Exception | None = None) -> Chore:
        async def work(now: int) -> int:
            self.done.append((name, now))
            if error is not None:
                raise error
            return 1

        return Chore(name, every, work)


async def test_each_chore_is_done_as_often_as_it_says_however_many_processes_look(
    leases: Leases, world: World, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    notes = Notes()
    chores = [notes.chore("often", MINUTE), notes.chore("seldom", HOUR)]
    keepers = [Housekeeper(each, chores) for each in (leases, Leases(await world.another(epoch=1), pool))]
    for minutes in (0, 1, 59, 60):
        for keeper in keepers:
            await keeper.look(NOW + minutes * MINUTE)
    assert notes.minutes("often") == [0, 1, 59, 60]
    assert notes.minutes("seldom") == [0, 60]


async def test_what_fails_stays_due_and_keeps_nothing_from_being_done(leases: Leases) -> None:
    notes = Notes()
    failing = notes.chore("failing", HOUR, asyncpg.DeadlockDetectedError("tired"))
    keeper = Housekeeper(leases, [failing, notes.chore("other", HOUR)])
    for minutes in (0, 1):
        await keeper.look(NOW + minutes * MINUTE)
    assert notes.done == [("failing", NOW), ("other", NOW), ("failing", NOW + MINUTE)]


async def test_a_chore_that_is_being_done_is_nobody_elses(leases: Leases) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def work(_now: int) -> int:
        begun.set()
        await finish.wait()
        return 0

    first = asyncio.create_task(Housekeeper(leases, [Chore("slow", HOUR, work)]).look(NOW))
    await begun.wait()
    notes = Notes()
    second = Housekeeper(leases, [notes.chore("slow", HOUR), notes.chore("other", HOUR)])
    await second.look(NOW + MINUTE)
    assert notes.done == [("other", NOW + MINUTE)]
    finish.set()
    await first
    await second.look(NOW + HOUR)
    assert notes.minutes("slow") == [60]


async def test_a_process_that_is_stopped_amid_a_chore_leaves_it_to_others(leases: Leases) -> None:
    begun = asyncio.Event()

    async def work(_now: int) -> int:
        begun.set()
        return await asyncio.Event().wait()

    first = asyncio.create_task(Housekeeper(leases, [Chore("endless", HOUR, work)]).look(NOW))
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    notes = Notes()
    await Housekeeper(leases, [notes.chore("endless", HOUR)]).look(NOW)
    assert notes.done == [("endless", NOW)]


async def test_while_the_hot_store_is_away_chores_stay_due(
    tmp_path: Path, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    notes = Notes()
    away = RedisHotStore(f"unix://{tmp_path}/none")
    await Housekeeper(Leases(away, pool), [notes.chore("chore", MINUTE)]).look(NOW)
    assert notes.done == []


async def test_chunks_go_on_until_one_is_not_full() -> None:
    left = [3, 3, 2, 3]

    async def some() -> int:
        return left.pop(0)

    assert await in_chunks(some, most=3) == 8
    assert left == [3]
