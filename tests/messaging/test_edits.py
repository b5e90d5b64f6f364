"""Edits are entries of the log: committed with the change, and the same for readers of the hot store and of the log."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import msgspec
import pytest

from aicq.clock import now_ms
from aicq.errors import Forbidden, NotFound, ReplayedRequest
from aicq.hot.base import HOT_WINDOW, PageQuery, SearchQuery
from aicq.ids import to_ulid
from aicq.messaging.log import Draft, MessageLog, Stored
from tests.messaging.conftest import (
    Connection,
    Outbox,
    Process,
    World,
    a_draft,
    add_agent,
    assert_gapless,
    logged,
)

pytestmark = pytest.mark.anyio


def an_edit(message: Stored, body: str = "better", **more: object) -> Draft:
    change = {"entry": "edit", "target_id": message.id} | more
    return a_draft(message.draft.room_id, message.draft.author_id, body, **change)


async def found(process: Process, word: str, room_id: UUID | None = None) -> list[str]:
    """The texts of the messages that the hot store finds."""
    query = SearchQuery([word], 100, room_id)
    hits = (await process.hot.messages.search(query, now=now_ms())).hits
    return [msgspec.json.decode(hit.wire)["body"] for hit in hits]


async def newest_page(process: Process, room_id: UUID) -> list[bytes]:
    last_seq = await process.pool.fetchval("SELECT last_seq FROM rooms WHERE id = $1", room_id)
    page = await process.pages.before(room_id, None, last_seq=last_seq, limit=100, whole_millisecond=False)
    return list(page.messages)


async def assert_same_everywhere(processes: Sequence[Process], room_id: UUID) -> None:
    """What each process reads of the hot store is what the log says, byte for byte."""
    for process in processes:
        held = (await process.hot.messages.pages([PageQuery(room_id, 1000)], now=now_ms()))[0]
        assert held is not None
        messages = [wire for wire in held.entries if len(wire) > 35]
        assert messages == await process.history.page_before(room_id, None, limit=1000)


async def test_an_edit_takes_a_position_and_changes_the_message_in_one_commit(
    log: MessageLog, database: Connection, room: UUID, author: UUID
) -> None:
    message = await log.append(a_draft(room, author, "good", signature="of the old text"))
    edit = await log.append(an_edit(message, "better", signature="of the new text"))
    target, entry = await logged(database, room)
    assert (edit.position, entry["seq"], entry["entry"], entry["target_id"]) == (2, 2, "edit", message.id)
    assert (target["body"], target["signature"], target["is_edited"]) == ("better", "of the new text", True)
    assert target["edited_at"] == target["updated_at"] == entry["created_at"]
    assert (target["id"], target["seq"], target["created_at"] < target["edited_at"]) == (message.id, 1, True)
    await assert_gapless(database, room)


async def test_an_edit_without_a_signature_takes_the_old_one_away(
    log: MessageLog, database: Connection, room: UUID, author: UUID
) -> None:
    message = await log.append(a_draft(room, author, "good", signature="of the old text"))
    await log.append(an_edit(message))
    assert (await logged(database, room))[0]["signature"] is None


async def test_only_the_author_edits_and_only_what_is_a_message_still(
    log: MessageLog, database: Connection, room: UUID, author: UUID
) -> None:
    message, other = await log.append(a_draft(room, author)), await add_agent(database)
    edit = await log.append(an_edit(message))
    deleted = await log.append(a_draft(room, author, "gone soon"))
    await log.append(a_draft(room, author, "", entry="delete", target_id=deleted.id))
    before = await logged(database, room)
    for draft, error in (
        (a_draft(room, other, "mine", entry="edit", target_id=message.id), Forbidden),
        (a_draft(room, other, "mine", entry="edit", target_id=message.id, may_moderate=True), Forbidden),
        (an_edit(deleted), NotFound),
        (an_edit(edit), NotFound),
        (an_edit(message, target_id=uuid4()), NotFound),
    ):
        with pytest.raises(error):
            await log.append(draft)
    assert await logged(database, room) == before


async def test_a_replayed_edit_takes_no_position_and_changes_nothing(
    log: MessageLog, database: Connection, room: UUID, author: UUID
) -> None:
    message = await log.append(a_draft(room, author))
    first = an_edit(message, "one", nonce="spent")
    await log.append(first)
    await log.append(an_edit(message, "two"))
    with pytest.raises(ReplayedRequest):
        await log.append(first)
    assert [row["body"] for row in await logged(database, room)] == ["two", "one", "two"]


async def test_edits_of_one_message_in_one_group_follow_each_other(
    log: MessageLog, database: Connection, room: UUID, author: UUID
) -> None:
    message = await log.append(a_draft(room, author))
    edits = await asyncio.gather(*(log.append(an_edit(message, f"{number}")) for number in range(20)))
    last = max(edits, key=lambda edit: edit.position)
    target = (await logged(database, room))[0]
    assert (target["body"], target["edited_at"].timestamp()) == (last.draft.body, last.ts / 1000)
    await assert_gapless(database, room)


async def test_an_edited_message_is_read_and_found_by_its_new_words_only(
    world: World, room: UUID, author: UUID
) -> None:
    process = await world.running()
    question = await process.post(room, author, "which word")
    answer = await process.log.append(a_draft(room, author, f"old {room.hex} word", parent_id=question.id))
    edit = await process.edit(answer, f"new {room.hex} word")
    told = msgspec.json.decode((await newest_page(process, room))[0])
    assert told == {
        "id": answer.ulid,
        "seq": 2,
        "from": str(author),
        "body": f"new {room.hex} word",
        "ts": answer.ts,
        "pid": question.ulid,
        "edited_at": edit.ts,
    }
    for scope in (None, room):
        assert await found(process, room.hex, scope) == [f"new {room.hex} word"]
    assert await found(process, "old", room) == []
    assert await found(process, "new", room) == [f"new {room.hex} word"]
    await assert_same_everywhere([process], room)


async def test_writers_who_edit_and_delete_at_once_on_two_processes_leave_one_truth(
    world: World, database: Connection, room: UUID, author: UUID
) -> None:
    processes = [await world.running(), await world.running()]
    posted = [await processes[0].post(room, author, f"word {number}") for number in range(6)]
    refused: list[UUID] = []

    async def change(number: int) -> None:
        process, message = processes[number % 2], posted[number % 7 % 6]
        try:
            if number % 13:
                await process.edit(message, f"word changed{number}")
            else:
                await process.delete(room, author, message.id)
        except NotFound:
            refused.append(message.id)

    await asyncio.gather(*(change(number) for number in range(1, 121)))
    await assert_gapless(database, room)
    rows = await logged(database, room)
    assert set(refused) <= {row["id"] for row in rows if row["deleted_at"]}
    for row, message in zip(rows, posted, strict=False):
        edits = [edit["body"] for edit in rows if edit["entry"] == "edit" and edit["target_id"] == message.id]
        assert row["body"] == [message.draft.body, *edits][-1]
    await assert_same_everywhere(processes, room)
    readable = await processes[1].history.page_before(room, None, limit=100)
    assert sorted(await found(processes[1], "word", room)) == sorted(
        msgspec.json.decode(wire)["body"] for wire in readable
    )


async def test_a_message_that_is_no_longer_hot_is_edited_in_the_log(
    world: World, database: Connection, room: UUID, author: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await world.running()
    message = await process.post(room, author, "old")
    await process.post(room, author, "between")
    later = now_ms() + HOT_WINDOW + 1
    for module in ("aicq.messaging.publisher", "aicq.messaging.pages", "aicq.hot.keeper"):
        monkeypatch.setattr(f"{module}.now_ms", lambda: later)
    await process.edit(message, "new")
    page = [msgspec.json.decode(wire)["body"] for wire in await newest_page(process, room)]
    assert page == ["between", "new"]
    held = (await process.hot.messages.pages([PageQuery(room, 9)], now=later))[0]
    assert held is None or to_ulid(message.id).encode() not in b"".join(held.entries)
    await assert_gapless(database, room)


async def test_an_edit_that_the_hot_store_missed_is_there_after_it_was_filled_again(
    world: World, room: UUID, author: UUID
) -> None:
    process = await world.running()
    message = await process.post(room, author, "old text")
    silent = MessageLog(process.pool, Outbox().publish)
    await silent.append(an_edit(message, "new text"))
    assert [msgspec.json.decode(wire)["body"] for wire in await newest_page(process, room)] == ["new text"]
    await process.post(room, author, "next")
    await assert_same_everywhere([process], room)
    assert await found(process, "old", room) == []
    assert await found(process, "new", room) == ["new text"]
