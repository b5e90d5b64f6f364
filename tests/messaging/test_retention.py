"""What the log gives up: old entries and deleted rooms, without a gap, a position twice, or a wrong page."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from aicq.clock import now_ms
from aicq.hot.base import PageQuery
from aicq.messaging import retention as retention_module
from aicq.messaging.events import Events
from aicq.messaging.log import Stored
from aicq.messaging.retention import DAY, GRACE, Retention
from tests.messaging.conftest import Connection, Pool, Process, World, a_draft, add_room, logged

pytestmark = pytest.mark.anyio

AGE = """
UPDATE messages SET id = overlay(id::text placing lpad(to_hex(($2::bigint >> 16)::bigint), 8, '0') from 1 for 8)::uuid
WHERE room_id = $1 AND seq <= $3
"""


@pytest.fixture
async def retention(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Retention:
    """One that works in small chunks."""
    monkeypatch.setattr(retention_module, "CHUNK", 4)
    monkeypatch.setattr(retention_module, "ROOMS", 2)
    return Retention(pool)


async def age(database: Connection, room_id: UUID, *, upto: int, days: int) -> None:
    """Has the first entries of a room be some days older."""
    await database.execute(AGE, room_id, now_ms() - days * DAY, upto)


async def bodies_before(process: Process, room_id: UUID) -> list[str]:
    last_seq = await process.pool.fetchval("SELECT last_seq FROM rooms WHERE id = $1", room_id)
    page = await process.pages.before(room_id, None, last_seq=last_seq, limit=100, whole_millisecond=False)
    assert not page.has_more
    return [msgspec.json.decode(wire)["body"] for wire in page.messages]


async def post_many(process: Process, room_id: UUID, author_id: UUID, count: int) -> list[Stored]:
    return [await process.post(room_id, author_id, f"{number}") for number in range(1, count + 1)]


async def test_old_entries_go_and_the_rest_stays_as_it_was(
    world: World, retention: Retention, database: Connection, room: UUID, author: UUID
) -> None:
    process = await world.running()
    posted = await post_many(process, room, author, 12)
    other = await add_room(database)
    await post_many(process, other, author, 2)
    await process.delete(room, author, posted[4].id)
    await age(database, room, upto=9, days=31)
    assert await retention.forget_messages(days=0, now=now_ms()) == 0
    assert await retention.forget_messages(days=32, now=now_ms()) == 0
    before = (await logged(database, room))[9:]
    assert await retention.forget_messages(days=30, now=now_ms()) == 9
    assert await logged(database, room) == before
    assert len(await logged(database, other)) == 2
    state = await database.fetchrow("SELECT last_seq, message_count FROM rooms WHERE id = $1", room)
    assert state is not None
    assert tuple(state) == (13, 3)


async def test_pages_streams_and_the_hot_store_go_on_where_the_log_begins(
    world: World, retention: Retention, database: Connection, room: UUID, author: UUID
) -> None:
    process = await world.running()
    posted = await post_many(process, room, author, 8)
    await age(database, room, upto=5, days=31)
    await retention.forget_messages(days=30, now=now_ms())
    await process.hot.messages.forget(room)
    assert await bodies_before(process, room) == ["8", "7", "6"]
    following = await process.post(room, author, "9")
    assert following.position == 9
    assert await bodies_before(process, room) == ["9", "8", "7", "6"]
    page = await process.pages.after(room, UUID(int=0), last_seq=9, limit=2)
    assert [msgspec.json.decode(wire)["seq"] for wire in page.messages] == [7, 6]
    page = await process.pages.after(room, posted[6].id, last_seq=9, limit=5)
    assert [msgspec.json.decode(wire)["seq"] for wire in page.messages] == [9, 8]
    await process.keeper.fill_below(room, public=True)
    held = (await process.hot.messages.pages([PageQuery(room, 100)], now=now_ms()))[0]
    assert held is not None
    assert (held.first, held.last, len(held.entries)) == (6, 9, 4)
    read = await Events(process.pool).above(room, 2, limit=9, actors=[])
    assert read is not None
    assert [event.seq for event in read[1]] == [6, 7, 8, 9]


async def test_a_change_outlives_what_it_changed(
    world: World, retention: Retention, database: Connection, room: UUID, author: UUID
) -> None:
    process = await world.running()
    edited, deleted, kept = await post_many(process, room, author, 3)
    await process.edit(edited, "new text")
    await process.delete(room, author, deleted.id)
    await age(database, room, upto=2, days=31)
    await database.execute(
        "UPDATE messages m SET target_id = t.id FROM messages t"
        " WHERE m.room_id = $1 AND t.room_id = $1 AND m.seq = t.seq + 3 AND t.seq <= 2",
        room,
    )
    await retention.forget_messages(days=30, now=now_ms())
    await process.hot.messages.forget(room)
    await process.keeper.fill_below(room, public=True)
    held = (await process.hot.messages.pages([PageQuery(room, 100)], now=now_ms()))[0]
    assert held is not None
    assert (held.first, held.last) == (3, 5)
    assert await process.history.changes(room, above=0) == []
    assert await bodies_before(process, room) == [kept.draft.body]
    read = await Events(process.pool).above(room, 0, limit=9, actors=[])
    assert read is not None
    told = [msgspec.json.decode(event.data) for event in read[1]]
    assert [(entry["seq"], entry["kind"], entry.get("body"), entry.get("deleted")) for entry in told] == [
        (3, "message", kept.draft.body, None),
        (4, "edit", None, True),
        (5, "delete", None, None),
    ]


async def test_what_points_at_forgotten_messages_is_let_go_of(
    world: World, retention: Retention, database: Connection, room: UUID, author: UUID
) -> None:
    process = await world.running()
    old, new = await post_many(process, room, author, 2)
    await age(database, room, upto=1, days=31)
    first = (await logged(database, room))[0]["id"]
    assert first != old.id
    for message_id in (first, new.id):
        await database.execute("INSERT INTO message_read_receipts VALUES ($1, $2, $3)", room, message_id, author)
        await database.execute(
            "INSERT INTO message_attachments (room_id, message_id, filename, size_bytes, storage_key)"
            " VALUES ($1, $2, 'file', 1, 'key')",
            room,
            message_id,
        )
    await database.execute(
        "INSERT INTO room_members (room_id, actor_id, last_read_message_id) VALUES ($1, $2, $3)", room, author, first
    )
    await retention.forget_messages(days=30, now=now_ms())
    for table in ("message_read_receipts", "message_attachments"):
        rows = await database.fetch(f"SELECT message_id FROM {table} WHERE room_id = $1", room)
        assert [row["message_id"] for row in rows] == [new.id]
    [member] = await database.fetch("SELECT * FROM room_members WHERE room_id = $1", room)
    assert member["last_read_message_id"] is None


async def test_nobody_who_posts_meanwhile_is_refused_or_loses_a_position(
    world: World, retention: Retention, database: Connection, room: UUID, author: UUID
) -> None:
    process = await world.running()
    await post_many(process, room, author, 60)
    await age(database, room, upto=60, days=31)
    forgetting = asyncio.create_task(retention.forget_messages(days=30, now=now_ms()))
    posted = await asyncio.gather(*(process.log.append(a_draft(room, author, f"new {number}")) for number in range(40)))
    assert await forgetting == 60
    assert sorted(stored.position for stored in posted) == list(range(61, 101))
    assert [row["seq"] for row in await logged(database, room)] == list(range(61, 101))
    assert await database.fetchval("SELECT message_count FROM rooms WHERE id = $1", room) == 40


async def test_deleted_rooms_and_guilds_are_taken_out_once_their_time_is_over(
    world: World, retention: Retention, database: Connection, author: UUID
) -> None:
    process = await world.running()
    guild = await database.fetchval("INSERT INTO guilds (name, owner_id) VALUES ('Guild', $1) RETURNING id", author)
    channel = await database.fetchval(
        "INSERT INTO rooms (name, kind, is_private, guild_id) VALUES ('c', 'text', true, $1) RETURNING id", guild
    )
    gone, later, kept = [await add_room(database) for _ in range(3)]
    for room_id in (channel, gone, later, kept):
        await post_many(process, room_id, author, 9)
    await database.execute("UPDATE guilds SET deleted_at = now() - interval '8 days' WHERE id = $1", guild)
    await database.execute("UPDATE rooms SET deleted_at = now() - interval '8 days' WHERE id = $1", gone)
    await database.execute("UPDATE rooms SET deleted_at = now() - interval '6 days' WHERE id = $1", later)
    assert await retention.purge(now=now_ms()) == 2
    left = {row["id"] for row in await database.fetch("SELECT id FROM rooms")}
    assert {channel, gone} & left == set()
    assert {later, kept} <= left
    assert await database.fetchval("SELECT count(*) FROM guilds WHERE id = $1", guild) == 0
    assert await database.fetchval("SELECT count(*) FROM roles WHERE guild_id = $1", guild) == 0
    assert len(await logged(database, later)) == 9
    assert await retention.purge(now=now_ms(), grace=GRACE - 2 * DAY) == 1
    assert await logged(database, later) == []
    assert len(await logged(database, kept)) == 9
