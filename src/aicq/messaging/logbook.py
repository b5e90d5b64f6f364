"""The log as an admin sees it: every entry of every room, what changed and what was deleted shown as such."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from aicq.clock import from_ms
from aicq.db.engine import fetch
from aicq.hot.keeper import HotRoom
from aicq.ids import first_id_at, milliseconds

LOOKED_AT = 20_000
"""The most entries that one page looks at for a text; a page that ends there says where to go on."""

LAST_ID = UUID(int=(1 << 128) - 1)

# Nobody reads what was deleted, admins neither: not the message, and not what an edit made of it.
COLUMNS = """
    m.id, m.room_id, r.name AS room_name, m.seq, m.entry::text AS entry, m.target_id, m.author_id,
    CASE WHEN coalesce(t.deleted_at, m.deleted_at) IS NULL AND m.entry <> 'delete' THEN m.body END AS body,
    m.type, m.parent_id, m.edited_at, coalesce(m.deleted_at, t.deleted_at) AS deleted_at
"""

JOINED = """
JOIN rooms r ON r.id = m.room_id
LEFT JOIN messages t ON t.room_id = m.room_id AND t.id = m.target_id
"""

# The oldest of the last 24 hours and the newest position of a room.
HOT_ROOMS = """
SELECT r.id, NOT r.is_private AS public, f.seq AS first_seq, r.last_seq
FROM (SELECT * FROM rooms WHERE last_active_at > $1 AND id > $3 ORDER BY {order} LIMIT $4) r
CROSS JOIN LATERAL (SELECT seq FROM messages WHERE room_id = r.id AND id >= $2 ORDER BY id LIMIT 1) f
ORDER BY r.{order}
"""
BY_ID = HOT_ROOMS.format(order="id")
LIVELY = HOT_ROOMS.format(order="last_active_at DESC")

NEWEST = "SELECT max(last_active_at) FROM rooms WHERE last_seq > 0"

ONE = f"SELECT {COLUMNS} FROM messages m {JOINED} WHERE m.room_id = $1 AND m.id = $2"  # noqa: S608 - static text


class LogEntry(msgspec.Struct, frozen=True):
    """An entry of the log.

    Args:
        id: Its id; on the wire a ULID.
        room_id: Its room.
        room_name: The room's name; None for direct messages.
        seq: Its position in the room.
        entry: What it is.
        target_id: The message that an edit or a delete changes.
        author_id: The actor who made it.
        body: The text; None of a delete, and of what is deleted.
        type: What the text is.
        parent_id: The message that it answers.
        edited_at: When its text was last changed.
        deleted_at: When it, or the message that it changes, was deleted.
    """

    id: UUID
    room_id: UUID
    room_name: str | None
    seq: int
    entry: Literal["message", "edit", "delete"]
    target_id: UUID | None
    author_id: UUID
    body: str | None
    type: str
    parent_id: UUID | None
    edited_at: datetime | None
    deleted_at: datetime | None

    @property
    def ts(self) -> int:
        """When it was made, Unix time in milliseconds."""
        return milliseconds(self.id)


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted, the newest first.

    Args:
        since: Only entries with this id or a higher one.
        below: Only entries with a lower id.
        room_id: Only of this room.
        author_id: Only by this actor.
        text: Only those whose body holds this, in any case.
        limit: The most entries.
    """

    since: UUID = UUID(int=0)
    below: UUID = LAST_ID
    room_id: UUID | None = None
    author_id: UUID | None = None
    text: str = ""
    limit: int


class LogPage(msgspec.Struct, frozen=True):
    """A page of the log.

    Args:
        entries: The newest first.
        below: Where the next page begins; None if this is the last.
    """

    entries: Sequence[LogEntry]
    below: UUID | None


class LogBook:
    """Reads the log for admins.

    Args:
        pool: Postgres.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def page(self, query: LogQuery) -> LogPage:
        """A page of the log; one of those that hold a text may have fewer entries than there are."""
        arguments: list[object] = [query.below, query.since]
        narrowed: list[str] = []
        for column, value in (("room_id", query.room_id), ("author_id", query.author_id)):
            if value is not None:
                arguments.append(value)
                narrowed.append(f"m.{column} = ${len(arguments)}")
        looked_at = LOOKED_AT if query.text else query.limit + 1
        rows = await fetch(self._pool, page_statement(narrowed), *arguments, query.text, looked_at, query.limit + 1)
        found = [entry_of(row) for row in rows if row["id"] is not None]
        if len(found) > query.limit:
            return LogPage(found[: query.limit], found[query.limit - 1].id)
        is_cut = bool(rows) and rows[0]["looked_at"] == looked_at and bool(query.text)
        return LogPage(found, rows[0]["reached"] if is_cut else None)

    async def find(self, room_id: UUID, entry_id: UUID) -> LogEntry | None:
        """An entry, or None."""
        rows = await fetch(self._pool, ONE, room_id, entry_id)
        return entry_of(rows[0]) if rows else None

    async def hot_rooms(self, *, since: int, after: UUID, limit: int) -> Sequence[HotRoom]:
        """Rooms with entries newer than that time and with higher ids, by their ids."""
        return await self._hot_rooms(BY_ID, since, after, limit)

    async def lively_rooms(self, *, since: int, limit: int) -> Sequence[HotRoom]:
        """Rooms with entries newer than that time, the most lively first."""
        return await self._hot_rooms(LIVELY, since, UUID(int=0), limit)

    async def newest(self) -> datetime | None:
        """When the newest entry of all rooms was committed."""
        [row] = await fetch(self._pool, NEWEST)
        moment: datetime | None = row[0]
        return moment

    async def _hot_rooms(self, query: str, since: int, after: UUID, limit: int) -> Sequence[HotRoom]:
        rows = await fetch(self._pool, query, from_ms(since), first_id_at(since + 1), after, limit)
        return [HotRoom(row["id"], row["public"], row["first_seq"], row["last_seq"]) for row in rows]


def entry_of(row: asyncpg.Record) -> LogEntry:
    """A row as an entry."""
    return LogEntry(*(row[name] for name in LogEntry.__struct_fields__))


def page_statement(narrowed: Sequence[str]) -> str:
    """Looks at the newest entries that meet the conditions, and gives those among them that hold the text."""
    text, looked_at, limit = (f"${len(narrowed) + number}" for number in (3, 4, 5))
    # The index of all rooms is not of plain ids, see migration 0014.
    order, below, since = ("m.id", "$1", "$2") if narrowed else ("uuid_send(m.id)", "uuid_send($1)", "uuid_send($2)")
    where = " AND ".join([f"{order} < {below}", f"{order} >= {since}", *narrowed])
    return f"""
WITH looked AS MATERIALIZED (
    SELECT m.room_id, m.seq, m.id FROM messages m
    WHERE {where} ORDER BY {order} DESC LIMIT {looked_at}
), reach AS (
    SELECT count(*) AS looked_at, (SELECT l.id FROM looked l ORDER BY l.id LIMIT 1) AS reached FROM looked
), found AS (
    SELECT {COLUMNS} FROM looked l JOIN messages m ON m.room_id = l.room_id AND m.seq = l.seq {JOINED}
    WHERE {text} = '' OR coalesce(t.deleted_at, m.deleted_at) IS NULL AND strpos(lower(m.body), lower({text})) > 0
    ORDER BY m.id DESC LIMIT {limit}
)
SELECT reach.looked_at, reach.reached, found.* FROM reach LEFT JOIN found ON true ORDER BY found.id DESC
"""  # noqa: S608 - the conditions are ours
