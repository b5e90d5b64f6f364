"""Pages: what stands between the span's ends, in both directions, bounded by any id."""

import pytest

from aicq.hot.base import Entry, HotStore, Page, PageQuery, Run
from tests.hot.logged import NOW, LoggedRoom, message_id, read

BEGINNING = "0" * 26
END = "7" + "Z" * 25


async def page_of(
    store: HotStore, room: LoggedRoom, limit: int, *, before: str | None = None, after: str | None = None
) -> list[bytes]:
    page = (await read(store, PageQuery(room.id, limit, before, after)))[0]
    assert page is not None
    return list(page.entries)


@pytest.fixture(params=[1, 0], ids=["a_millisecond_each", "all_in_one_millisecond"])
async def room(request: pytest.FixtureRequest, hot_store: HotStore) -> LoggedRoom:
    """A room with twenty messages."""
    room = LoggedRoom()
    room.fill(20, every=request.param)
    await hot_store.messages.append([room.run()], now=NOW)
    return room


async def test_without_a_bound_it_is_the_newest(hot_store: HotStore, room: LoggedRoom) -> None:
    assert await page_of(hot_store, room, 5) == room.wires(16, 20)[::-1]


async def test_before_an_id_come_the_next_older_newest_first(hot_store: HotStore, room: LoggedRoom) -> None:
    assert await page_of(hot_store, room, 5, before=room.entries[10].id) == room.wires(6, 10)[::-1]


async def test_after_an_id_come_the_next_newer_oldest_first(hot_store: HotStore, room: LoggedRoom) -> None:
    assert await page_of(hot_store, room, 5, after=room.entries[10].id) == room.wires(12, 16)


async def test_a_bound_need_not_be_held(hot_store: HotStore, room: LoggedRoom) -> None:
    at_the_end = message_id(NOW, 1 << 39)
    older = [wire for wire, entry in zip(room.wires(), room.entries, strict=True) if entry.id < at_the_end]
    assert await page_of(hot_store, room, 100, before=at_the_end) == older[::-1]
    assert await page_of(hot_store, room, 100, after=at_the_end) == room.wires()[len(older) :]


async def test_the_lowest_and_highest_ids_bound_nothing(hot_store: HotStore, room: LoggedRoom) -> None:
    assert await page_of(hot_store, room, 100, before=END) == room.wires()[::-1]
    assert await page_of(hot_store, room, 100, after=BEGINNING) == room.wires()
    assert await page_of(hot_store, room, 100, before=BEGINNING) == []
    assert await page_of(hot_store, room, 100, after=END) == []


async def test_pages_at_the_ends_are_short(hot_store: HotStore, room: LoggedRoom) -> None:
    assert await page_of(hot_store, room, 5, before=room.entries[2].id) == room.wires(1, 2)[::-1]
    assert await page_of(hot_store, room, 5, after=room.entries[17].id) == room.wires(19, 20)
    assert await page_of(hot_store, room, 5, after=room.entries[19].id) == []
    assert await page_of(hot_store, room, 5, before=room.entries[0].id) == []


@pytest.mark.parametrize("limit", [1, 3, 7, 20, 50])
async def test_going_on_page_by_page_repeats_and_skips_nothing(
    hot_store: HotStore, room: LoggedRoom, limit: int
) -> None:
    down: list[bytes] = []
    while page := await page_of(hot_store, room, limit, before=down[-1][7:33].decode() if down else None):
        down += page
    assert down == room.wires()[::-1]
    up: list[bytes] = []
    while page := await page_of(hot_store, room, limit, after=up[-1][7:33].decode() if up else BEGINNING):
        up += page
    assert up == room.wires()


async def test_every_page_tells_the_span(hot_store: HotStore, room: LoggedRoom) -> None:
    queries = [PageQuery(room.id, 1), PageQuery(room.id, 1, after=END), PageQuery(room.id, 1, before=BEGINNING)]
    for page in await read(hot_store, *queries):
        assert page is not None
        assert (page.first, page.last) == (1, 20)


async def test_one_call_reads_many_rooms(hot_store: HotStore, room: LoggedRoom) -> None:
    other, unknown = LoggedRoom(), LoggedRoom()
    other.fill(3)
    await hot_store.messages.append([other.run(2)], now=NOW)
    queries = [PageQuery(each.id, 2) for each in (room, unknown, other, room)]
    newest = Page(1, 20, room.wires(19)[::-1])
    assert await read(hot_store, *queries) == [newest, None, Page(2, 3, other.wires(2)[::-1]), newest]


async def test_entries_keep_every_byte(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post('quotes " and \\ and \u2028 and 日本語 and \x01 and \U0001f600' + "x" * 20_000)
    await hot_store.messages.append([room.run()], now=NOW)
    assert await page_of(hot_store, room, 1) == room.wires()


async def test_positions_beyond_32_bits_are_told(hot_store: HotStore) -> None:
    room = LoggedRoom()
    at = (1 << 40) - 2
    ids = [message_id(NOW, at), message_id(NOW, at + 1)]
    entries = [Entry(each, room.wire(each, "far"), ["far"]) for each in ids]
    assert await hot_store.messages.append([Run(room.id, public=True, entries=entries)], now=NOW) == [at + 1]
    page = (await read(hot_store, PageQuery(room.id, 1)))[0]
    assert page is not None
    assert (page.first, page.last) == (at, at + 1)
