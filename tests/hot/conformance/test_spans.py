"""A room's span: one contiguous run of positions, extended at its ends and never with a hole."""

import asyncio
from uuid import uuid4

from aicq.hot.base import HotStore, Page, PageQuery, Run
from tests.hot.conftest import World
from tests.hot.logged import HOUR, NOW, LoggedRoom, read, read_newest


async def test_the_first_run_begins_the_span_wherever_it_starts(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(9)
    assert await hot_store.messages.append([room.run(5, 7)], now=NOW) == [7]
    assert await read_newest(hot_store, room) == Page(5, 7, room.wires(5, 7)[::-1])


async def test_a_run_that_continues_the_span_extends_it(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(9)
    await hot_store.messages.append([room.run(1, 4)], now=NOW)
    assert await hot_store.messages.append([room.run(5, 9)], now=NOW) == [9]
    assert await read_newest(hot_store, room) == Page(1, 9, room.wires()[::-1])


async def test_a_run_beyond_a_hole_is_not_added(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(9)
    await hot_store.messages.append([room.run(1, 4)], now=NOW)
    assert await hot_store.messages.append([room.run(6, 9)], now=NOW) == [4]
    assert await read_newest(hot_store, room) == Page(1, 4, room.wires(1, 4)[::-1])


async def test_a_hole_is_closed_by_the_entries_it_lacks(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(9)
    await hot_store.messages.append([room.run(1, 4)], now=NOW)
    await hot_store.messages.append([room.run(6, 9)], now=NOW)
    assert await hot_store.messages.append([room.run(5, 9)], now=NOW) == [9]
    assert await read_newest(hot_store, room) == Page(1, 9, room.wires()[::-1])


async def test_of_a_run_that_overlaps_only_the_rest_is_added(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(9)
    await hot_store.messages.append([room.run(3, 6)], now=NOW)
    assert await hot_store.messages.append([room.run(1, 9)], now=NOW) == [9]
    assert await read_newest(hot_store, room) == Page(3, 9, room.wires(3)[::-1])


async def test_a_run_that_is_held_already_is_a_success(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(9)
    await hot_store.messages.append([room.run()], now=NOW)
    assert await hot_store.messages.append([room.run(2, 5)], now=NOW) == [9]
    assert await read_newest(hot_store, room) == Page(1, 9, room.wires()[::-1])


async def test_what_is_held_is_left_as_it_is_by_a_retry(hot_store: HotStore) -> None:
    room = LoggedRoom()
    first = room.post("as it was")
    await hot_store.messages.append([room.run()], now=NOW)
    room.edit(first, "as it is")
    await hot_store.messages.append([room.run(2)], now=NOW)
    await hot_store.messages.append([room.run(1, 1)], now=NOW)
    page = await read_newest(hot_store, room)
    assert page is not None
    assert page.entries[-1] == room.wire(first.id, "as it is")


async def test_one_call_appends_to_many_rooms_each_on_its_own(hot_store: HotStore) -> None:
    whole, holed, fresh = LoggedRoom(), LoggedRoom(public=False), LoggedRoom()
    for room in (whole, holed, fresh):
        room.fill(9)
    await hot_store.messages.append([whole.run(1, 3), holed.run(1, 3)], now=NOW)
    runs = [whole.run(4, 9), holed.run(5, 9), fresh.run(7, 9)]
    assert await hot_store.messages.append(runs, now=NOW) == [9, 3, 9]


async def test_no_runs_are_no_work(hot_store: HotStore) -> None:
    assert await hot_store.messages.append([], now=NOW) == []


async def test_a_large_run_is_held_as_a_whole(hot_store: HotStore) -> None:
    room = LoggedRoom()
    for number in range(700):
        room.post(" ".join(f"w{number}x{word}" for word in range(20)))
    assert await hot_store.messages.append([room.run()], now=NOW) == [700]
    assert await read_newest(hot_store, room) == Page(1, 700, room.wires()[::-1])


async def test_a_refill_adds_below_the_span(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(9)
    await hot_store.messages.append([room.run(7, 9)], now=NOW)
    assert await hot_store.messages.prepend(room.run(4, 6), now=NOW)
    assert await hot_store.messages.prepend(room.run(1, 3), now=NOW)
    assert await read_newest(hot_store, room) == Page(1, 9, room.wires()[::-1])


async def test_a_refill_begins_the_span_of_a_room_that_has_none(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(9)
    assert await hot_store.messages.prepend(room.run(4, 9), now=NOW)
    assert await read_newest(hot_store, room) == Page(4, 9, room.wires(4)[::-1])


async def test_a_refill_that_does_not_end_below_the_span_is_not_added(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(9)
    await hot_store.messages.append([room.run(6, 9)], now=NOW)
    for first, last in ((1, 4), (1, 6), (4, 9), (6, 9)):
        assert not await hot_store.messages.prepend(room.run(first, last), now=NOW)
    assert await read_newest(hot_store, room) == Page(6, 9, room.wires(6)[::-1])


async def test_a_refill_that_reaches_past_what_expired_is_not_added(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(9, every=HOUR)
    now = NOW + 26 * HOUR  # the third entry has just expired
    await hot_store.messages.append([room.run(6, 9)], now=now)
    assert not await hot_store.messages.prepend(room.run(3, 5), now=now)
    assert await hot_store.messages.prepend(room.run(4, 5), now=now)
    assert not await hot_store.messages.prepend(room.run(3, 3), now=now)


async def test_a_forgotten_room_is_unknown_until_it_is_filled_again(hot_store: HotStore) -> None:
    room, other = LoggedRoom(), LoggedRoom()
    for each in (room, other):
        each.fill(9)
    await hot_store.messages.append([room.run(), other.run()], now=NOW)
    await hot_store.messages.forget(room.id)
    assert await read_newest(hot_store, room) is None
    assert await read_newest(hot_store, other) is not None
    assert await hot_store.messages.append([room.run(4, 6)], now=NOW) == [6]
    assert await read_newest(hot_store, room) == Page(4, 6, room.wires(4, 6)[::-1])


async def test_a_room_that_nobody_filled_is_unknown(hot_store: HotStore) -> None:
    assert await hot_store.messages.pages([PageQuery(uuid4(), 10)], now=NOW) == [None]
    await hot_store.messages.forget(uuid4())


async def test_whoever_appends_in_whatever_order_a_reader_misses_nothing(world: World, hot_store: HotStore) -> None:
    stores = [hot_store, await world.another(epoch=1)]
    room = LoggedRoom()
    room.fill(240)
    await hot_store.messages.append([room.run(1, 1)], now=NOW)

    async def append(number: int) -> None:
        # Commits come in order, their appends do not; who finds a hole fills it.
        first, last = 2 + number * 6, min(7 + number * 6, 240)
        store = stores[number % 2]
        [held] = await store.messages.append([room.run(first, last)], now=NOW)
        if held < last:
            assert await store.messages.append([room.run(held + 1, last)], now=NOW) >= [last]

    async def follow() -> list[bytes]:
        seen = room.wires(1, 1)
        while len(seen) < 240:
            [page] = await read(hot_store, PageQuery(room.id, 50, after=seen[-1][7:33].decode()))
            assert page is not None
            seen += page.entries
        return seen

    reader = asyncio.ensure_future(follow())
    await asyncio.gather(*(append(number) for number in sorted(range(40), key=lambda number: number * 17 % 40)))
    assert await reader == room.wires()


async def test_runs_of_many_sizes_are_appended_in_one_call(hot_store: HotStore) -> None:
    rooms = [LoggedRoom() for _ in range(40)]
    for number, room in enumerate(rooms):
        room.fill(1 + number % 7)
    runs: list[Run] = [room.run() for room in rooms]
    assert await hot_store.messages.append(runs, now=NOW) == [len(room.entries) for room in rooms]
