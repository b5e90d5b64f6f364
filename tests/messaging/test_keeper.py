"""The hot store is filled from the log, whatever was lost and whoever writes meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar
from uuid import UUID

import pytest

from aicq.clock import now_ms
from aicq.hot import keeper as keeper_module
from aicq.hot.base import Change, PageQuery, SearchQuery
from aicq.hot.keeper import KEEPER_LOCK, Chunk, HotRoom
from aicq.ids import to_ulid
from aicq.messaging import publisher as publisher_module
from aicq.messaging.history import History
from aicq.messaging.log import MessageLog, Stored
from aicq.messaging.publisher import runs_of
from tests.messaging.conftest import (
    Connection,
    Outbox,
    Process,
    World,
    a_draft,
    add_room,
    until,
    until_blocked,
    until_complete,
)

pytestmark = pytest.mark.anyio

Answer = TypeVar("Answer")

Name = tuple[str, UUID | None]


class Interrupted(History):
    """The log, where something happens right after, or right before, one of its answers is read.

    Args:
        process: Whose log it is.
        room_id: The room that the answer is about, if it is about one.
        at: The answer.
        what: What happens, once.
        before: It happens before the answer is read.
    """

    def __init__(
        self,
        process: Process,
        room_id: UUID,
        at: Literal["hot_rooms", "above", "below", "changes"],
        what: Callable[[], Awaitable[object]],
        *,
        before: bool = False,
    ) -> None:
        super().__init__(process.pool)
        self._at = (at, None if at == "hot_rooms" else room_id)
        self._what = what
        self._before = before
        self.happened = False

    async def hot_rooms(self, *, since: int) -> Sequence[HotRoom]:
        return await self._around(("hot_rooms", None), super().hot_rooms(since=since))

    async def above(self, room_id: UUID, position: int, *, limit: int) -> Chunk:
        return await self._around(("above", room_id), super().above(room_id, position, limit=limit))

    async def below(self, room_id: UUID, position: int | None, *, since: int, limit: int) -> Chunk:
        return await self._around(("below", room_id), super().below(room_id, position, since=since, limit=limit))

    async def changes(self, room_id: UUID, *, above: int) -> Sequence[Change]:
        return await self._around(("changes", room_id), super().changes(room_id, above=above))

    async def _around(self, name: Name, answer: Awaitable[Answer]) -> Answer:
        if self._before:
            await self._happen(name)
        read = await answer
        await self._happen(name)
        return read

    async def _happen(self, name: Name) -> None:
        if name == self._at and not self.happened:
            self.happened = True
            await self._what()


async def held(process: Process, room_id: UUID) -> list[bytes]:
    """What the hot store holds of a room."""
    page = (await process.hot.messages.pages([PageQuery(room_id, 1000)], now=now_ms()))[0]
    assert page is not None
    assert page.last == page.first + len(page.entries) - 1
    return list(page.entries)


async def found(process: Process, room_id: UUID, word: str) -> list[bytes]:
    query = SearchQuery([word], 1000, room_id)
    return [hit.wire for hit in (await process.hot.messages.search(query, now=now_ms())).hits]


async def assert_holds_the_log(process: Process, room_id: UUID, *, deleted: Sequence[UUID] = ()) -> None:
    """The hot store holds every entry of the room, finds every message, and nothing that was deleted."""
    messages = await process.history.page_before(room_id, None, limit=1000)
    wires = await held(process, room_id)
    assert [wire for wire in wires if len(wire) > 35] == messages
    last_seq = await process.pool.fetchval("SELECT last_seq FROM rooms WHERE id = $1", room_id)
    assert len(wires) == last_seq
    assert await found(process, room_id, "word") == messages
    for message_id in deleted:
        assert to_ulid(message_id).encode() not in b"".join(messages)


async def lose_everything(process: Process) -> None:
    """Does to the store what a crash does."""
    # An epoch that is nobody's: the store is empty, and its mark is not the current one.
    await process.hot.begin(process.hot.epoch + 1_000_000)


async def post_many(process: Process, room_id: UUID, author_id: UUID, count: int) -> list[Stored]:
    posts = (process.post(room_id, author_id, f"word number{n}") for n in range(count))
    return list(await asyncio.gather(*posts))


async def test_a_store_that_lost_everything_is_filled_again(
    world: World, database: Connection, room: UUID, author: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "CHUNK", 7)
    process = await world.running()
    posted = await post_many(process, room, author, 40)
    await process.delete(room, author, posted[3].id)
    other = await add_room(database)
    await post_many(process, other, author, 1)
    epoch = process.hot.epoch
    await lose_everything(process)
    await post_many(process, room, author, 3)
    assert not process.keeper.complete
    await until_complete(process)
    assert process.hot.epoch > epoch
    await assert_holds_the_log(process, room, deleted=[posted[3].id])
    await assert_holds_the_log(process, other)


async def test_every_process_goes_over_to_the_new_epoch(
    world: World, room: UUID, author: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "CHECK_EVERY", 0.05)
    processes = [await world.running() for _ in range(3)]
    await post_many(processes[0], room, author, 5)
    epoch = processes[0].hot.epoch
    await lose_everything(processes[0])
    await until(lambda: all(process.hot.epoch == epoch + 1 for process in processes))
    await until_complete(*processes)
    for process in processes:
        await post_many(process, room, author, 2)
        await assert_holds_the_log(process, room)


async def test_whoever_finds_a_new_epoch_begun_is_incomplete_until_it_is_filled(
    world: World, database: Connection, room: UUID, author: UUID
) -> None:
    one, other = await world.process(), await world.process()
    for process in (one, other):
        await process.keeper._adopt()  # noqa: SLF001 - a step of the keeper, to be driven alone
        await process.keeper._fill()  # noqa: SLF001 - likewise
        assert process.keeper.complete
    await post_many(one, room, author, 2)
    await lose_everything(one)
    # Both find the loss, and the one begins an epoch while the other waits for the lock.
    await database.execute("SELECT pg_advisory_lock($1)", KEEPER_LOCK)
    first = asyncio.create_task(one.keeper._adopt())  # noqa: SLF001 - likewise
    await until_blocked(database, count=1, application="process")
    second = asyncio.create_task(other.keeper._adopt())  # noqa: SLF001 - likewise
    await until_blocked(database, count=2, application="process")
    await database.execute("SELECT pg_advisory_unlock($1)", KEEPER_LOCK)
    await asyncio.gather(first, second)
    assert one.hot.epoch == other.hot.epoch
    assert (one.keeper.complete, other.keeper.complete) == (False, False)


@pytest.mark.parametrize(("at", "before"), [("below", False), ("changes", True), ("changes", False)])
async def test_a_message_deleted_while_the_store_is_filled_does_not_reappear(
    world: World, room: UUID, author: UUID, at: Literal["below", "changes"], *, before: bool
) -> None:
    deleter = await world.running()
    posted = await post_many(deleter, room, author, 5)
    filler = await world.process()

    async def delete() -> None:
        # The first half of what a publisher does; the second would fill the room itself.
        deleter.hot.epoch = filler.hot.epoch
        draft = a_draft(room, author, "", entry="delete", target_id=posted[2].id)
        deleted = await MessageLog(deleter.pool, Outbox().publish).append(draft)
        await deleter.hot.messages.append(runs_of([deleted]), now=now_ms())

    log = Interrupted(filler, room, at, delete, before=before)
    filler.follow(log)
    await lose_everything(deleter)
    await filler.keeper._adopt()  # noqa: SLF001 - a step of the keeper, to be driven alone
    await filler.keeper._fill()  # noqa: SLF001 - likewise
    assert log.happened
    await assert_holds_the_log(filler, room, deleted=[posted[2].id])


async def test_a_message_deleted_while_a_hole_is_closed_does_not_reappear(
    world: World, room: UUID, author: UUID
) -> None:
    deleter, closer = await world.running(), await world.running()
    await post_many(deleter, room, author, 1)
    silent = MessageLog(deleter.pool, Outbox().publish)
    unseen = await silent.append(a_draft(room, author, "word"))
    closer.follow(log := Interrupted(closer, room, "above", lambda: deleter.delete(room, author, unseen.id)))
    await closer.post(room, author, "word")
    assert log.happened
    await assert_holds_the_log(closer, room, deleted=[unseen.id])


async def committed(process: Process, room_id: UUID, author_id: UUID, count: int) -> list[Stored]:
    """Entries that the log holds and the hot store has not been told of."""
    silent = MessageLog(process.pool, Outbox().publish)
    return [await silent.append(a_draft(room_id, author_id, f"word {n}")) for n in range(count)]


async def test_a_hole_that_another_worker_has_yet_to_fill_is_closed_from_the_log(
    world: World, room: UUID, author: UUID
) -> None:
    one, other = await world.running(), await world.running()
    await post_many(one, room, author, 2)
    entries = await committed(one, room, author, 4)
    await other.publisher.publish([entries[1], entries[3]])
    await assert_holds_the_log(other, room)
    await one.publisher.publish([entries[0], entries[2]])
    await assert_holds_the_log(one, room)


async def test_workers_that_begin_a_room_in_the_other_order_leave_nothing_out(
    world: World, room: UUID, author: UUID
) -> None:
    one, other = await world.running(), await world.running()
    entries = await committed(one, room, author, 4)
    await other.publisher.publish([entries[1]])
    await one.publisher.publish([entries[0], entries[2]])
    await other.publisher.publish([entries[3]])
    await assert_holds_the_log(other, room)


async def test_a_room_that_begins_amid_its_positions_is_completed_at_once(
    world: World, room: UUID, author: UUID
) -> None:
    process = await world.running()
    entries = await committed(process, room, author, 3)
    await process.publisher.publish([entries[0], entries[2]])
    await assert_holds_the_log(process, room)


async def test_what_was_not_brought_to_the_store_before_a_rooms_beginning_is_brought_there(
    world: World, room: UUID, author: UUID
) -> None:
    process = await world.running()
    entries = await committed(process, room, author, 3)
    chunk = await process.history.above(room, 2, limit=1)
    assert chunk.run is not None
    assert await process.hot.messages.append([chunk.run], now=now_ms()) == [entries[2].position]
    process.keeper.notice()
    await until_complete(process)
    await assert_holds_the_log(process, room)


async def test_trouble_that_is_noticed_while_the_store_is_filled_is_not_forgotten(
    world: World, room: UUID, author: UUID
) -> None:
    process = await world.running()
    await post_many(process, room, author, 2)

    async def miss_one() -> None:
        await committed(process, room, author, 1)
        process.keeper.notice()

    process.follow(log := Interrupted(process, room, "hot_rooms", miss_one))
    process.keeper.notice()
    await until(lambda: log.happened)
    await until_complete(process)
    await assert_holds_the_log(process, room)


async def test_a_hole_that_nobody_noticed_is_closed_in_time(
    world: World, room: UUID, author: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "CHECK_EVERY", 0.05)
    monkeypatch.setattr(keeper_module, "LOOK_OVER_EVERY", 0.1)
    process = await world.running()
    await post_many(process, room, author, 2)
    await committed(process, room, author, 2)
    async with asyncio.timeout(20):
        while len(await held(process, room)) < 4:  # noqa: ASYNC110 - a server sets no event
            await asyncio.sleep(0.01)
    await assert_holds_the_log(process, room)


async def test_a_log_that_cannot_be_read_does_not_hold_up_answers(
    world: World, second: Connection, room: UUID, author: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "TIMEOUT", 0.2)
    process = await world.running()
    await post_many(process, room, author, 2)
    entries = await committed(process, room, author, 2)
    async with second.transaction():
        await second.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(5):
            await process.publisher.publish([entries[1]])
        assert not process.keeper.complete
    await until_complete(process)
    await assert_holds_the_log(process, room)
