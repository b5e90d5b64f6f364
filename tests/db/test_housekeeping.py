"""Keeping house: what is due is done, by one process at a time, and what fails keeps nothing else from being done."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from aicq.db.housekeeping import HOUR, MINUTE, Chore, Housekeeper, in_chunks
from aicq.db.plugin import Database
from aicq.settings import load

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000_000


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[Database]:
    database = Database(load({"DATABASE_URL": database_url}))
    await database.open()
    yield database
    await database.close()


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


async def test_each_chore_is_done_as_often_as_it_says(house: Database) -> None:
    notes = Notes()
    keeper = Housekeeper(house, [notes.chore("often", MINUTE), notes.chore("seldom", HOUR)])
    for minutes in (0, 1, 59, 60):
        assert await keeper.look(NOW + minutes * MINUTE)
    assert [minute for name, now in notes.done if name == "often" for minute in [(now - NOW) // MINUTE]] == [
        0,
        1,
        59,
        60,
    ]
    assert [minute for name, now in notes.done if name == "seldom" for minute in [(now - NOW) // MINUTE]] == [0, 60]


async def test_what_fails_stays_due_and_keeps_nothing_from_being_done(house: Database) -> None:
    notes = Notes()
    failing = notes.chore("failing", HOUR, asyncpg.DeadlockDetectedError("tired"))
    keeper = Housekeeper(house, [failing, notes.chore("other", HOUR)])
    for minutes in (0, 1):
        assert await keeper.look(NOW + minutes * MINUTE)
    assert notes.done == [("failing", NOW), ("other", NOW), ("failing", NOW + MINUTE)]


async def test_one_process_at_a_time_keeps_house(house: Database) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def work(_now: int) -> int:
        begun.set()
        await finish.wait()
        return 0

    first = asyncio.create_task(Housekeeper(house, [Chore("slow", MINUTE, work)]).look(NOW))
    await begun.wait()
    notes = Notes()
    second = Housekeeper(house, [notes.chore("chore", MINUTE)])
    assert not await second.look(NOW)
    assert notes.done == []
    finish.set()
    assert await first
    assert await second.look(NOW)


async def test_a_process_that_is_stopped_amid_its_chores_leaves_the_house_to_others(house: Database) -> None:
    begun = asyncio.Event()

    async def work(_now: int) -> int:
        begun.set()
        return await asyncio.Event().wait()

    first = asyncio.create_task(Housekeeper(house, [Chore("endless", MINUTE, work)]).look(NOW))
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await Housekeeper(house, []).look(NOW)


async def test_a_database_that_is_away_is_looked_at_again_later() -> None:
    away = Database(load({"DATABASE_URL": "postgresql://u@127.0.0.1:1/aicq"}))
    assert not await Housekeeper(away, [Notes().chore("chore", MINUTE)]).look(NOW)


async def test_chunks_go_on_until_one_is_not_full() -> None:
    left = [3, 3, 2, 3]

    async def some() -> int:
        return left.pop(0)

    assert await in_chunks(some, most=3) == 8
    assert left == [3]
