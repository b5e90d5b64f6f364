"""What those who follow a room get: its entries one by one, as the log has them now."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from aicq.clock import to_ms
from aicq.db.engine import fetch
from aicq.ids import milliseconds, to_ulid
from aicq.messaging.schemas.live import LiveEntry

# The room stands in the answer even if nothing is above the position: whether one may read on is decided by the very
# statement that reads.
ABOVE = """
SELECT r.id AS room_id, r.kind = 'room' AND NOT r.is_private AS public, r.key_hash, r.last_seq,
    ARRAY(SELECT actor FROM unnest($3::uuid[]) AS actor WHERE room_permissions(r.id, actor) & 1 <> 0) AS viewers,
    m.seq, m.id, m.entry, m.author_id, m.body, m.parent_id, m.signature, m.edited_at, m.deleted_at,
    m.target_id, t.body AS t_body, t.edited_at AS t_edited_at, t.deleted_at AS t_deleted_at
FROM rooms r
LEFT JOIN LATERAL (
    SELECT * FROM messages WHERE room_id = r.id AND seq > $2 ORDER BY seq LIMIT $4
) m ON true
LEFT JOIN messages t ON t.room_id = m.room_id AND t.id = m.target_id
WHERE r.id = $1 AND r.deleted_at IS NULL
ORDER BY m.seq
"""

ROOMS = """
SELECT id, last_seq, kind = 'room' AND NOT is_private AS public, key_hash FROM rooms
WHERE id = ANY ($1) AND deleted_at IS NULL
"""


class Event(msgspec.Struct, frozen=True):
    """An entry, ready to be sent to everybody: encoded once, however many follow.

    Args:
        seq: Its position.
        id: Its ULID.
        kind: `message`, `edit` or `delete`.
        data: The `LiveEntry` as JSON.
        message_id: The ULID of the message that it is, or that it edits or deletes.
    """

    seq: int
    id: str
    kind: str
    data: bytes
    message_id: str


class RoomState(msgspec.Struct, frozen=True):
    """A room as it was when entries were read.

    Args:
        last_seq: Its newest position.
        public: Whether anybody may read it.
        key_hash: The hash of its key, if it has one.
        asked: The actors of whom it was asked whether they may see it.
        viewers: Those of them who may.
    """

    last_seq: int
    public: bool
    key_hash: str | None
    asked: frozenset[UUID]
    viewers: frozenset[UUID]


class Events:
    """Reads entries for those who follow.

    Args:
        pool: Postgres.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def above(
        self, room_id: UUID, position: int, *, limit: int, actors: Sequence[UUID]
    ) -> tuple[RoomState, list[Event]] | None:
        """The entries above a position, oldest first, with the room as it is; None if there is no such room.

        Args:
            room_id: The room.
            position: Exclusive.
            limit: The most entries; 0 asks for the room alone.
            actors: Of whom it is asked whether they may see the room.
        """
        rows = await fetch(self._pool, ABOVE, room_id, position, actors, limit)
        if not rows:
            return None
        first = rows[0]
        state = RoomState(
            last_seq=first["last_seq"],
            public=first["public"],
            key_hash=first["key_hash"],
            asked=frozenset(actors),
            viewers=frozenset(first["viewers"]),
        )
        return state, [event_of(row) for row in rows if row["seq"] is not None]

    async def rooms(self, room_ids: Sequence[UUID]) -> dict[UUID, tuple[int, bool, str | None]]:
        """Of the rooms that are there: the newest position, whether anybody may read it, the hash of its key."""
        rows = await fetch(self._pool, ROOMS, room_ids)
        return {row["id"]: (row["last_seq"], row["public"], row["key_hash"]) for row in rows}


encode = msgspec.json.Encoder().encode


def event_of(row: asyncpg.Record) -> Event:
    """A row of `ABOVE`, encoded."""
    entry = entry_of(row)
    return Event(entry.seq, entry.id, entry.kind, encode(entry), entry.target or entry.id)


def emptied(event: Event) -> Event:
    """A message, or an edit of it, as it is told once the message was deleted."""
    entry = msgspec.json.decode(event.data, type=LiveEntry)
    rest = msgspec.structs.replace(entry, body="", signature="", edited_at=0, deleted=True)
    return msgspec.structs.replace(event, data=encode(rest))


def entry_of(row: asyncpg.Record) -> LiveEntry:
    """A row of `ABOVE`, as it stands now."""
    is_message = row["entry"] == "message"
    prefix = "" if is_message else "t_"
    body, edited = row[prefix + "body"], row[prefix + "edited_at"]
    # What an edit changed may be older than the log by now.
    deleted = body is None or row[prefix + "deleted_at"] is not None
    shows_body = not deleted and row["entry"] != "delete"
    return LiveEntry(
        kind=row["entry"],
        id=to_ulid(row["id"]),
        seq=row["seq"],
        author=str(row["author_id"]),
        ts=milliseconds(row["id"]),
        body=body if shows_body else "",
        parent=to_ulid(row["parent_id"]) if is_message and row["parent_id"] else "",
        signature=(row["signature"] or "") if is_message and shows_body else "",
        target="" if is_message else to_ulid(row["target_id"]),
        edited_at=to_ms(edited) if edited and shows_body else 0,
        deleted=deleted and row["entry"] != "delete",
    )
