"""Edits and deletes: made with their entry, in place, and never undone by what arrives late."""

from uuid import uuid4

import msgspec

from aicq.hot.base import Change, HotStore, Run, SearchQuery
from aicq.hot.words import index_words
from tests.hot.logged import NOW, LoggedRoom, message_id, read_newest, stub


async def entries_of(store: HotStore, room: LoggedRoom) -> list[bytes]:
    page = await read_newest(store, room)
    assert page is not None
    return list(page.entries)[::-1]


async def found(store: HotStore, word: str, room: LoggedRoom | None = None) -> list[bytes]:
    query = SearchQuery([word], 100, room.id if room else None)
    return [hit.wire for hit in (await store.messages.search(query, now=NOW)).hits]


async def test_an_edit_replaces_the_message_in_its_place(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(3)
    await hot_store.messages.append([room.run()], now=NOW)
    edit = room.edit(room.entries[1], "better")
    await hot_store.messages.append([room.run(4)], now=NOW)
    better = room.wire(room.entries[1].id, "better")
    assert await entries_of(hot_store, room) == [room.entries[0].wire, better, room.entries[2].wire, stub(edit.id)]


async def test_a_delete_leaves_a_stub(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.fill(2)
    gone = room.delete(room.entries[0])
    await hot_store.messages.append([room.run()], now=NOW)
    wires = await entries_of(hot_store, room)
    assert wires == [stub(room.entries[0].id), room.entries[1].wire, stub(gone.id)]


async def test_an_edited_message_is_found_by_its_new_words_only(hot_store: HotStore) -> None:
    room = LoggedRoom()
    message = room.post("old same")
    await hot_store.messages.append([room.run()], now=NOW)
    room.edit(message, "new same")
    await hot_store.messages.append([room.run(2)], now=NOW)
    new = [room.wire(message.id, "new same")]
    for scope in (None, room):
        assert await found(hot_store, "old", scope) == []
        assert await found(hot_store, "new", scope) == new
        assert await found(hot_store, "same", scope) == new


async def test_a_deleted_message_is_not_found(hot_store: HotStore) -> None:
    room = LoggedRoom()
    message = room.post("secret")
    await hot_store.messages.append([room.run()], now=NOW)
    room.delete(message)
    await hot_store.messages.append([room.run(2)], now=NOW)
    assert await found(hot_store, "secret") == []
    assert await found(hot_store, "secret", room) == []


async def test_several_edits_in_one_run_end_with_the_last(hot_store: HotStore) -> None:
    room = LoggedRoom()
    message = room.post("one")
    for body in ("two", "one three", "two four"):
        room.edit(message, body)
    await hot_store.messages.append([room.run()], now=NOW)
    assert (await entries_of(hot_store, room))[0] == room.wire(message.id, "two four")
    assert await found(hot_store, "one") == []
    assert await found(hot_store, "three") == []
    assert len(await found(hot_store, "two")) == 1
    assert len(await found(hot_store, "four")) == 1


async def test_of_several_changes_in_one_run_a_delete_wins(hot_store: HotStore) -> None:
    room = LoggedRoom()
    message = room.post("one")
    room.delete(message)
    room.edit(message, "two")
    await hot_store.messages.append([room.run()], now=NOW)
    assert (await entries_of(hot_store, room))[0] == stub(message.id)
    assert await found(hot_store, "one") == await found(hot_store, "two") == []


async def test_changes_in_a_long_run_are_made_however_far_they_are_from_their_messages(hot_store: HotStore) -> None:
    room = LoggedRoom()
    words = [f"word{number}" for number in range(100)]
    for number in range(8):
        room.post(" ".join([f"number{number}", *words]))
    edited, deleted = room.entries[0], room.entries[1]
    edit = room.edit(edited, " ".join(["better", *words]))
    for number in range(8, 16):
        room.post(" ".join([f"number{number}", *words]))
    again, gone = room.edit(edited, "best"), room.delete(deleted)
    assert await hot_store.messages.append([room.run()], now=NOW) == [19]
    best = room.wire(edited.id, "best")
    rest = [entry.wire for entry in room.entries[2:8] + room.entries[9:17]]
    stubs = [stub(entry.id) for entry in (deleted, edit, again, gone)]
    assert sorted(await entries_of(hot_store, room)) == sorted([best, *stubs, *rest])
    assert await found(hot_store, "best") == [best]
    assert sorted(await found(hot_store, "word99")) == sorted(rest)
    assert (
        await found(hot_store, "better") == await found(hot_store, "number0") == await found(hot_store, "number1") == []
    )


async def test_a_delete_is_made_although_an_edit_that_is_held_tells_of_it_already(hot_store: HotStore) -> None:
    room = LoggedRoom()
    message = room.post("one")
    edit = room.edit(message, "two")
    await hot_store.messages.append([room.run()], now=NOW)
    delete = room.delete(message)
    # As it is read of the log afterwards: the edit tells of the message as it stands now.
    late = msgspec.structs.replace(edit, change=delete.change)
    await hot_store.messages.append([Run(room.id, public=True, entries=[late, delete])], now=NOW)
    assert (await entries_of(hot_store, room))[0] == stub(message.id)
    assert await found(hot_store, "two") == []


async def test_a_change_whose_entry_is_held_already_is_not_made_again(hot_store: HotStore) -> None:
    room = LoggedRoom()
    message = room.post("one")
    room.edit(message, "two")
    await hot_store.messages.append([room.run()], now=NOW)
    room.edit(message, "three")
    await hot_store.messages.append([room.run(3)], now=NOW)
    await hot_store.messages.append([room.run(1, 2)], now=NOW)
    assert (await entries_of(hot_store, room))[0] == room.wire(message.id, "three")
    assert await found(hot_store, "two") == []


async def test_a_change_beyond_a_hole_is_not_made(hot_store: HotStore) -> None:
    room = LoggedRoom()
    message = room.post("one")
    room.fill(1)
    room.edit(message, "two")
    await hot_store.messages.append([room.run(1, 1)], now=NOW)
    assert await hot_store.messages.append([room.run(3)], now=NOW) == [1]
    assert await entries_of(hot_store, room) == room.wires(1, 1)
    assert await found(hot_store, "two") == []
    assert len(await found(hot_store, "one")) == 1


async def test_a_change_to_what_is_not_held_does_nothing(hot_store: HotStore) -> None:
    room = LoggedRoom()
    message = room.post("one")
    room.fill(1)
    room.edit(message, "two")
    assert await hot_store.messages.append([room.run(2)], now=NOW) == [3]
    assert await entries_of(hot_store, room) == [room.entries[1].wire, stub(room.entries[2].id)]
    assert await found(hot_store, "two") == []


async def test_a_revision_changes_what_is_held(hot_store: HotStore) -> None:
    room = LoggedRoom()
    room.post("alpha")
    room.post("beta")
    await hot_store.messages.append([room.run()], now=NOW)
    alpha, beta = room.entries
    changed = [
        Change(alpha.id, room.wire(alpha.id, "gamma"), ["gamma"]),
        Change(beta.id, stub(beta.id)),
        Change(message_id(NOW, 77), room.wire(message_id(NOW, 77), "delta"), ["delta"]),
    ]
    await hot_store.messages.revise(room.id, public=True, changes=changed)
    assert await entries_of(hot_store, room) == [changed[0].wire, changed[1].wire]
    for scope in (None, room):
        assert [len(await found(hot_store, word, scope)) for word in ("alpha", "beta", "gamma", "delta")] == [
            0,
            0,
            1,
            0,
        ]


async def test_a_revision_of_an_unknown_room_or_of_nothing_does_nothing(hot_store: HotStore) -> None:
    change = Change(message_id(NOW, 1), stub(message_id(NOW, 1)))
    await hot_store.messages.revise(uuid4(), public=True, changes=[change])
    await hot_store.messages.revise(uuid4(), public=True, changes=[])


async def test_a_deleted_message_does_not_come_back_by_a_late_revision(hot_store: HotStore) -> None:
    room = LoggedRoom()
    message = room.post("one")
    room.delete(message)
    await hot_store.messages.append([room.run()], now=NOW)
    late = Change(message.id, room.wire(message.id, "two"), index_words("two"))
    await hot_store.messages.revise(room.id, public=True, changes=[late])
    assert (await entries_of(hot_store, room))[0] == stub(message.id)
    assert await found(hot_store, "two") == []


async def test_changes_do_not_touch_another_room(hot_store: HotStore) -> None:
    room, other = LoggedRoom(), LoggedRoom()
    for each in (room, other):
        each.fill(2)
    await hot_store.messages.append([room.run(), other.run()], now=NOW)
    change = Change(room.entries[0].id, stub(room.entries[0].id))
    await hot_store.messages.revise(other.id, public=True, changes=[change])
    assert await entries_of(hot_store, room) == room.wires()
    assert await entries_of(hot_store, other) == other.wires()
