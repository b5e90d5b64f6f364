"""Epochs: a store that lost what it held, or was given to another epoch, says so instead of answering wrongly."""

from collections.abc import Awaitable, Callable

import pytest

from aicq.hot.base import Change, HotBlock, HotStore, HotStoreStale, PageQuery, Quota, SearchQuery
from tests.hot.conftest import World
from tests.hot.logged import NOW, LoggedRoom, read_newest, stub

Call = Callable[[HotStore, LoggedRoom], Awaitable[object]]

CALLS: dict[str, Call] = {
    "append": lambda store, room: store.messages.append([room.run()], now=NOW),
    "prepend": lambda store, room: store.messages.prepend(room.run(), now=NOW),
    "revise": lambda store, room: store.messages.revise(
        room.id, public=True, changes=[Change(room.entries[0].id, stub(room.entries[0].id))]
    ),
    "forget": lambda store, room: store.messages.forget(room.id),
    "pages": lambda store, room: store.messages.pages([PageQuery(room.id, 10)], now=NOW),
    "search": lambda store, _room: store.messages.search(SearchQuery(["message"], 10), now=NOW),
    "search_in_room": lambda store, room: store.messages.search(SearchQuery(["message"], 10, room.id), now=NOW),
}

every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
async def room(hot_store: HotStore) -> LoggedRoom:
    """A room that is held."""
    room = LoggedRoom()
    room.fill(3)
    await hot_store.messages.append([room.run()], now=NOW)
    return room


@every_call
async def test_before_any_epoch_began_the_store_is_stale(world: World, call: Call) -> None:
    store = await world.another(epoch=1)
    room = LoggedRoom()
    room.fill(3)
    with pytest.raises(HotStoreStale):
        await call(store, room)


@every_call
async def test_a_store_that_lost_everything_is_stale(
    world: World, hot_store: HotStore, room: LoggedRoom, call: Call
) -> None:
    await world.lose_everything()
    with pytest.raises(HotStoreStale):
        await call(hot_store, room)


@every_call
async def test_who_still_works_in_the_old_epoch_is_told(
    world: World, hot_store: HotStore, room: LoggedRoom, call: Call
) -> None:
    other = await world.another(epoch=2)
    await other.begin(2)
    with pytest.raises(HotStoreStale):
        await call(hot_store, room)
    hot_store.epoch = 2
    await call(hot_store, room)


async def test_a_new_epoch_begins_empty(hot_store: HotStore, room: LoggedRoom) -> None:
    await hot_store.begin(2)
    hot_store.epoch = 2
    assert await read_newest(hot_store, room) is None
    assert (await hot_store.messages.search(SearchQuery(["message"], 10), now=NOW)).hits == []
    assert (await hot_store.messages.search(SearchQuery(["message"], 10, room.id), now=NOW)).hits == []


async def test_what_is_refused_as_stale_is_not_added(world: World, hot_store: HotStore, room: LoggedRoom) -> None:
    other = await world.another(epoch=2)
    await other.begin(2)
    with pytest.raises(HotStoreStale):
        await hot_store.messages.append([room.run()], now=NOW)
    with pytest.raises(HotStoreStale):
        await hot_store.messages.prepend(room.run(), now=NOW)
    assert await read_newest(other, room) is None


async def test_many_rooms_are_emptied(world: World, hot_store: HotStore) -> None:
    rooms = [LoggedRoom(public=bool(number % 2)) for number in range(300)]
    for room in rooms:
        room.fill(3)
    await hot_store.messages.append([room.run() for room in rooms], now=NOW)
    other = await world.another(epoch=2)
    await other.begin(2)
    pages = await other.messages.pages([PageQuery(room.id, 10) for room in rooms], now=NOW)
    assert pages == [None] * 300


async def test_limits_and_values_stay_when_an_epoch_begins(hot_store: HotStore) -> None:
    quota = Quota("post:x", limit=3, window=1000, cost=2)
    await hot_store.values.set("session:1", b"kept", expires=NOW + 1000)
    await hot_store.limits.block([HotBlock("192.0.2.1", NOW + 1000, "flood")])
    await hot_store.values.set("room-key:1", b"kept", expires=NOW + 1000)
    [before] = await hot_store.limits.peek([quota], now=NOW)
    await hot_store.begin(2)
    assert await hot_store.values.get("session:1", now=NOW) == b"kept"
    assert await hot_store.values.get("room-key:1", now=NOW) == b"kept"
    assert await hot_store.limits.peek([quota], now=NOW) == [before]


async def test_the_probe_tells_the_epoch(world: World, hot_store: HotStore) -> None:
    assert (await hot_store.probe()).epoch == 1
    await hot_store.begin(7)
    assert (await hot_store.probe()).epoch == 7
    await world.lose_everything()
    probe = await hot_store.probe()
    assert probe.epoch is None
    assert probe.version.startswith(("redis ", "valkey ", "postgres "))
    assert 0 < probe.latency_ms < 10_000


async def test_two_processes_in_one_epoch_share_what_is_held(
    world: World, hot_store: HotStore, room: LoggedRoom
) -> None:
    other = await world.another(epoch=1)
    room.fill(2)
    assert await other.messages.append([room.run(4)], now=NOW) == [5]
    assert await read_newest(hot_store, room) == await read_newest(other, room)
