"""Reads the log: pages of it for readers, and runs of it for the hot store."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from aicq.clock import from_ms, to_ms
from aicq.db.engine import fetch
from aicq.hot.base import Change, Entry, Run
from aicq.hot.keeper import Chunk, HotRoom
from aicq.ids import first_id_at, milliseconds, to_ulid
from aicq.messaging.wire import WireMessage, change_to, encode, message_entry, stub, stub_entry

PAGE_BEFORE = """
SELECT seq, id, author_id, body, parent_id, signature, edited_at FROM messages
WHERE room_id = $1 AND id < $2 AND seq > $3 AND entry = 'message' AND deleted_at IS NULL
ORDER BY id DESC LIMIT $4
"""

PAGE_AFTER = """
SELECT seq, id, author_id, body, parent_id, signature, edited_at FROM messages
WHERE room_id = $1 AND id > $2 AND seq > $3 AND entry = 'message' AND deleted_at IS NULL
ORDER BY id LIMIT $4
"""

HOT_ROOMS = """
SELECT r.id, NOT r.is_private AS public, f.seq AS first_seq, r.last_seq
FROM rooms r CROSS JOIN LATERAL (
    SELECT seq FROM messages WHERE room_id = r.id AND id >= $2 ORDER BY id LIMIT 1
) f
WHERE r.last_active_at > $1
"""

RUN_COLUMNS = """
SELECT m.seq, m.id, m.entry, m.author_id, m.body, m.parent_id, m.signature, m.edited_at, m.deleted_at,
    t.id AS t_id, t.seq AS t_seq, t.author_id AS t_author_id, t.body AS t_body, t.parent_id AS t_parent_id,
    t.signature AS t_signature, t.edited_at AS t_edited_at, t.deleted_at AS t_deleted_at,
    NOT r.is_private AS public, r.last_seq
FROM rooms r
JOIN messages m ON m.room_id = r.id
LEFT JOIN messages t ON t.room_id = m.room_id AND t.id = m.target_id
"""

RUN_ABOVE = f"{RUN_COLUMNS} WHERE r.id = $1 AND m.seq > $2 ORDER BY m.seq LIMIT $3"

# The lower bound is a position, found by one look at an index: of a room with a long past nothing else is read.
RUN_BELOW = f"""{RUN_COLUMNS}
WHERE r.id = $1 AND m.seq < $2
    AND m.seq >= (SELECT seq FROM messages WHERE room_id = $1 AND id >= $3 ORDER BY id LIMIT 1)
ORDER BY m.seq DESC LIMIT $4
"""  # noqa: S608 - static text

CHANGES = f"{RUN_COLUMNS} WHERE r.id = $1 AND m.seq > $2 AND m.entry <> 'message' ORDER BY m.seq"

PARENT = "SELECT parent_id FROM messages WHERE room_id = $1 AND id = $2"

ALL_ROOMS_TIMEOUT = 120.0
"""Seconds that the list of all rooms may take; nobody but the keeper waits for it."""

NO_BOUND = (1 << 63) - 1

LAST_ID = UUID(int=(1 << 128) - 1)


class History:
    """The log as it stands, for readers and for the keeper of the hot store.

    Args:
        pool: Postgres.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def page_before(self, room_id: UUID, before: UUID | None, *, limit: int, above: int = 0) -> list[bytes]:
        """The newest messages below an id, newest first, as they stand on the wire.

        Args:
            room_id: The room.
            before: Exclusive; None for the newest of all.
            limit: The most messages.
            above: Only those at higher positions.
        """
        rows = await fetch(self._pool, PAGE_BEFORE, room_id, before or LAST_ID, above, limit)
        return [encode(wire_of(row)) for row in rows]

    async def page_after(self, room_id: UUID, after: UUID, *, limit: int, above: int = 0) -> list[bytes]:
        """The oldest messages above an id, oldest first, as they stand on the wire."""
        rows = await fetch(self._pool, PAGE_AFTER, room_id, after, above, limit)
        return [encode(wire_of(row)) for row in rows]

    async def hot_rooms(self, *, since: int) -> Sequence[HotRoom]:
        """Rooms with entries newer than that time."""
        rows = await fetch(self._pool, HOT_ROOMS, from_ms(since), first_id_at(since + 1), seconds=ALL_ROOMS_TIMEOUT)
        return [HotRoom(row["id"], row["public"], row["first_seq"], row["last_seq"]) for row in rows]

    async def above(self, room_id: UUID, position: int, *, limit: int) -> Chunk:
        """The oldest entries above a position."""
        return chunk_of(room_id, await fetch(self._pool, RUN_ABOVE, room_id, position, limit))

    async def below(self, room_id: UUID, position: int | None, *, since: int, limit: int) -> Chunk:
        """The newest entries below a position, or at all, that are newer than that time."""
        bound = NO_BOUND if position is None else position
        rows = await fetch(self._pool, RUN_BELOW, room_id, bound, first_id_at(since + 1), limit)
        return chunk_of(room_id, rows[::-1])

    async def changes(self, room_id: UUID, *, above: int) -> Sequence[Change]:
        """What edits and deletes above a position did, as it stands now."""
        return [change_of(row) for row in await fetch(self._pool, CHANGES, room_id, above) if row["t_id"]]

    async def parent(self, room_id: UUID, message_id: UUID) -> UUID | None:
        """The message that a message answers, which never changes; None if it answers none, or is not there."""
        rows = await fetch(self._pool, PARENT, room_id, message_id)
        return rows[0]["parent_id"] if rows else None


def wire_of(row: asyncpg.Record, prefix: str = "") -> WireMessage:
    """A message's row, or the target's part of a row, as readers get it."""
    message_id: UUID = row[prefix + "id"]
    parent, edited = row[prefix + "parent_id"], row[prefix + "edited_at"]
    return WireMessage(
        id=to_ulid(message_id),
        seq=row[prefix + "seq"],
        author=str(row[prefix + "author_id"]),
        body=row[prefix + "body"],
        ts=milliseconds(message_id),
        parent=to_ulid(parent) if parent else "",
        signature=row[prefix + "signature"] or "",
        edited_at=to_ms(edited) if edited else 0,
    )


def chunk_of(room_id: UUID, rows: Sequence[asyncpg.Record]) -> Chunk:
    """Rows in the order of their positions as a run for the hot store."""
    if not rows:
        return Chunk(None, 0)
    return Chunk(Run(room_id, rows[0]["public"], [entry_of(row) for row in rows]), rows[0]["last_seq"])


def entry_of(row: asyncpg.Record) -> Entry:
    """A row as the hot store keeps it: as it stands now, not as it was when it was added."""
    if row["entry"] != "message":
        return stub_entry(row["id"], change_of(row) if row["t_id"] else None)
    if row["deleted_at"] is not None:
        return stub_entry(row["id"])
    return message_entry(wire_of(row))


def change_of(row: asyncpg.Record) -> Change:
    """What an edit or a delete did, as its target stands now; the log may begin after the target by now."""
    target = to_ulid(row["t_id"])
    if row["t_deleted_at"] is not None:
        return Change(target, stub(target))
    return change_to(wire_of(row, "t_"))
