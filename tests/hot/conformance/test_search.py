"""Search: all words, newest first, and nothing that the searcher may not or can no longer see."""

from uuid import UUID

import pytest

from aicq.hot.base import Change, Found, HotStore, SearchQuery
from aicq.hot.words import query_words
from tests.hot.logged import NOW, LoggedRoom, bodies, stub


async def search(
    store: HotStore, query: str, *, room: LoggedRoom | None = None, limit: int = 100, **more: int
) -> Found:
    words = SearchQuery(query_words(query), limit, room.id if room else None, **more)
    return await store.messages.search(words, now=NOW)


async def texts(
    store: HotStore, query: str, *, room: LoggedRoom | None = None, limit: int = 100, **more: int
) -> list[str]:
    found = await search(store, query, room=room, limit=limit, **more)
    return bodies(found)


async def hold(store: HotStore, *rooms: LoggedRoom) -> None:
    await store.messages.append([room.run() for room in rooms], now=NOW)


async def test_every_word_must_be_there(hot_store: HotStore) -> None:
    room = LoggedRoom()
    for body in ("red green", "green blue", "red blue", "red green blue"):
        room.post(body)
    await hold(hot_store, room)
    assert await texts(hot_store, "red") == ["red green blue", "red blue", "red green"]
    assert await texts(hot_store, "green red") == ["red green blue", "red green"]
    assert await texts(hot_store, "red green blue") == ["red green blue"]
    assert await texts(hot_store, "red yellow") == []


@pytest.mark.parametrize(
    "text", ["foo_bar failed", "see ERR-42", "a.b.c", "日本語のテキスト", "naïve Straße", "don't 'quote' & | ! :* <->"]
)
async def test_whatever_was_written_is_found(hot_store: HotStore, text: str) -> None:
    room = LoggedRoom()
    room.post("before")
    room.post(f"well: {text}!")
    await hold(hot_store, room)
    assert await texts(hot_store, text) == [f"well: {text}!"]


async def test_parts_of_an_identifier_are_found(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post("ERR-42 in foo_bar")
    await hold(hot_store, room)
    for query in ("err", "42", "foo", "bar", "FOO_BAR"):
        assert len(await texts(hot_store, query)) == 1


async def test_a_private_room_is_found_only_in_itself(hot_store: HotStore) -> None:
    public, private, other = LoggedRoom(), LoggedRoom(public=False), LoggedRoom(public=False)
    public.post("word in public")
    private.post("word in private")
    other.post("word in another")
    await hold(hot_store, public, private, other)
    assert await texts(hot_store, "word") == ["word in public"]
    assert await texts(hot_store, "word", room=private) == ["word in private"]
    assert await texts(hot_store, "word", room=public) == ["word in public"]
    assert await texts(hot_store, "word", room=LoggedRoom()) == []


async def test_an_edit_in_a_private_room_stays_private(hot_store: HotStore) -> None:
    room = LoggedRoom(public=False)
    message = room.post("one")
    room.edit(message, "two")
    await hold(hot_store, room)
    revised = Change(message.id, room.wire(message.id, "two three"), ["two", "three"])
    await hot_store.messages.revise(room.id, public=False, changes=[revised])
    assert await texts(hot_store, "two") == await texts(hot_store, "three") == []
    assert await texts(hot_store, "three", room=room) == ["two three"]


async def test_a_room_that_was_refilled_as_private_is_public_no_more(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post("word")
    await hold(hot_store, room)
    await hot_store.messages.forget(room.id)
    room.public = False
    await hold(hot_store, room)
    assert await texts(hot_store, "word") == []
    assert await texts(hot_store, "word", room=room) == ["word"]


async def test_what_was_public_is_found_no_more_once_its_room_is_private(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post("word before")
    await hold(hot_store, room)
    room.public = False
    room.post("word after")
    await hot_store.messages.append([room.run(2)], now=NOW)
    assert await texts(hot_store, "word") == []
    assert await texts(hot_store, "word", room=room) == ["word after", "word before"]


async def test_refilled_messages_are_found(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post("word one")
    room.post("word two")
    await hot_store.messages.append([room.run(2)], now=NOW)
    await hot_store.messages.prepend(room.run(1, 1), now=NOW)
    assert await texts(hot_store, "word") == ["word two", "word one"]


async def test_a_forgotten_room_is_not_found(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post("word")
    await hold(hot_store, room)
    await hot_store.messages.forget(room.id)
    assert await texts(hot_store, "word") == await texts(hot_store, "word", room=room) == []


async def test_what_waits_beyond_a_hole_is_not_found(hot_store: HotStore) -> None:
    room = LoggedRoom()
    for number in range(1, 4):
        room.post(f"word {number}")
    await hot_store.messages.append([room.run(1, 1)], now=NOW)
    await hot_store.messages.append([room.run(3, 3)], now=NOW)
    assert await texts(hot_store, "word") == ["word 1"]


async def test_hits_come_newest_first_across_rooms(hot_store: HotStore) -> None:
    rooms = [LoggedRoom() for _ in range(4)]
    for number in range(60):
        rooms[number * 7 // 3 % 4].post(f"word {number}", at=NOW + number)
    await hold(hot_store, *rooms)
    assert await texts(hot_store, "word") == [f"word {number}" for number in reversed(range(60))]


async def test_of_one_millisecond_the_higher_room_then_the_higher_id_comes_first(hot_store: HotStore) -> None:
    rooms = [LoggedRoom(room_id=UUID(int=number << 120 | 5)) for number in (3, 0xA0, 0x11, 0xFF)]
    for room in rooms:
        for number in range(5):
            room.post(f"word {room.id} {number}")
    await hold(hot_store, *rooms)
    found = await search(hot_store, "word", limit=100)
    order = [(hit.room_id, hit.wire[7:33]) for hit in found.hits]
    assert order == sorted(order, reverse=True)
    assert len(order) == 20
    for limit in (1, 7, 19):
        assert (await search(hot_store, "word", limit=limit)).hits == found.hits[:limit]


async def test_after_a_time_is_exclusive(hot_store: HotStore) -> None:
    room = LoggedRoom()
    for number in range(5):
        room.post(f"word {number}", at=NOW + number)
    await hold(hot_store, room)
    for scope in (None, room):
        assert await texts(hot_store, "word", room=scope, after=NOW + 2) == ["word 4", "word 3"]
        assert await texts(hot_store, "word", room=scope, after=NOW + 4) == []


async def test_the_limit_keeps_the_newest(hot_store: HotStore) -> None:
    room = LoggedRoom()
    for number in range(5):
        room.post(f"word {number}", at=NOW + number)
    await hold(hot_store, room)
    assert await texts(hot_store, "word", limit=2) == ["word 4", "word 3"]


async def test_stubs_are_not_found(hot_store: HotStore) -> None:
    room = LoggedRoom()
    message = room.post("word here")
    await hold(hot_store, room)
    await hot_store.messages.revise(room.id, public=True, changes=[Change(message.id, stub(message.id))])
    assert await texts(hot_store, "word") == await texts(hot_store, "word", room=room) == []


@pytest.mark.parametrize("scoped", [False, True])
async def test_a_page_that_is_full_or_complete_is_not_truncated(hot_store: HotStore, scoped: bool) -> None:  # noqa: FBT001 - a parameter
    room = LoggedRoom(public=not scoped)
    for number in range(6):
        room.post(f"word {number}", at=NOW + number)
    await hold(hot_store, room)
    scope = room if scoped else None
    assert not (await search(hot_store, "word", room=scope, limit=3, candidates=4)).truncated
    assert not (await search(hot_store, "word", room=scope, limit=10, candidates=6)).truncated


@pytest.mark.parametrize("scoped", [False, True])
async def test_where_the_candidates_end_it_is_truncated(hot_store: HotStore, scoped: bool) -> None:  # noqa: FBT001 - a parameter
    room = LoggedRoom(public=not scoped)
    for number in range(6):
        room.post(f"word {number}", at=NOW + number)
    await hold(hot_store, room)
    found = await search(hot_store, "word", room=room if scoped else None, limit=10, candidates=4)
    assert bodies(found) == ["word 5", "word 4", "word 3", "word 2"]
    assert found.truncated


async def test_candidates_are_counted_by_the_rarest_word(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post("rare common", at=NOW)
    for number in range(20):
        room.post(f"common {number}", at=NOW + 1 + number)
    await hold(hot_store, room)
    found = await search(hot_store, "common rare", candidates=1)
    assert bodies(found) == ["rare common"]
    assert not found.truncated


async def test_words_that_never_meet_are_looked_for_no_longer_than_the_candidates(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post("here there", at=NOW)
    for number in range(20):
        room.post(f"{'here' if number % 2 else 'there'} {number}", at=NOW + 1 + number)
    await hold(hot_store, room)
    assert await search(hot_store, "here there", candidates=10) == Found([], truncated=True)
    whole = await search(hot_store, "here there", candidates=11)
    assert bodies(whole) == ["here there"]


async def test_more_candidates_than_one_step_are_walked(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post("left right", at=NOW)
    for number in range(1300):
        room.post("left" if number % 2 else "right", at=NOW + 1 + number)
    await hold(hot_store, room)
    found = await search(hot_store, "left right")
    assert bodies(found) == ["left right"]
    assert not found.truncated
