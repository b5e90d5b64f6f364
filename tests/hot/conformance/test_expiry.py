"""Expiry is per message: each is seen until 24 hours after it was posted, however busy the room."""

from aicq.hot.base import HOT_WINDOW, HotStore, Page, PageQuery, SearchQuery
from tests.hot.logged import HOUR, NOW, LoggedRoom, read, read_newest


async def test_a_message_is_seen_until_the_last_millisecond(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(3, every=10)
    await hot_store.messages.append([room.run()], now=NOW)
    assert await read_newest(hot_store, room, now=NOW + HOT_WINDOW - 1) == Page(1, 3, room.wires()[::-1])
    assert await read_newest(hot_store, room, now=NOW + HOT_WINDOW) == Page(2, 3, room.wires(2)[::-1])
    assert await read_newest(hot_store, room, now=NOW + HOT_WINDOW + 9) == Page(2, 3, room.wires(2)[::-1])
    assert await read_newest(hot_store, room, now=NOW + HOT_WINDOW + 10) == Page(3, 3, room.wires(3))


async def test_a_busy_room_loses_its_old_messages_all_the_same(hot_store: HotStore) -> None:
    room = LoggedRoom()
    for hour in range(60):
        room.post(f"at hour {hour}", at=NOW + hour * HOUR)
        await hot_store.messages.append([room.run(hour + 1)], now=NOW + hour * HOUR)
    assert await read_newest(hot_store, room, now=NOW + 59 * HOUR) == Page(37, 60, room.wires(37)[::-1])


async def test_where_all_has_expired_the_span_is_empty_and_goes_on(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(3)
    later = NOW + 2 * HOT_WINDOW
    await hot_store.messages.append([room.run()], now=NOW)
    assert await read_newest(hot_store, room, now=later) == Page(4, 3, [])
    room.post("again", at=later)
    assert await hot_store.messages.append([room.run(4)], now=later) == [4]
    assert await read_newest(hot_store, room, now=later) == Page(4, 4, room.wires(4))


async def test_what_expired_is_not_seen_below_either_bound(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(6, every=HOUR)
    await hot_store.messages.append([room.run()], now=NOW)
    now = NOW + HOT_WINDOW + 2 * HOUR
    queries = [
        PageQuery(room.id, 10, before=room.entries[4].id),
        PageQuery(room.id, 10, before=room.entries[1].id),
        PageQuery(room.id, 2, after=room.entries[0].id),
    ]
    pages = await read(hot_store, *queries, now=now)
    assert pages == [Page(4, 6, room.wires(4, 4)), Page(4, 6, []), Page(4, 6, room.wires(4, 5))]


async def test_what_was_swept_leaves_a_whole_span(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(30, every=HOUR)
    await hot_store.messages.append([room.run(1, 29)], now=NOW + 28 * HOUR)
    now = NOW + 29 * HOUR
    await hot_store.messages.append([room.run(30)], now=now)
    assert await read_newest(hot_store, room, now=now) == Page(7, 30, room.wires(7)[::-1])
    assert not await hot_store.messages.prepend(room.run(5, 6), now=now)


async def test_an_expired_message_is_not_found(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post("needle", at=NOW)
    await hot_store.messages.append([room.run()], now=NOW)
    for room_id in (None, room.id):
        query = SearchQuery(["needle"], 10, room_id)
        assert len((await hot_store.messages.search(query, now=NOW + HOT_WINDOW - 1)).hits) == 1
        assert (await hot_store.messages.search(query, now=NOW + HOT_WINDOW)).hits == []
