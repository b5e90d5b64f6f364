"""What the log gives up: entries older than `MESSAGE_RETENTION_DAYS`, and what was deleted some time ago.

A room's log loses its beginning and nothing else: the positions that are left stay gapless, no position is given twice,
and reading from before the beginning goes on where the log begins. The hot store holds nothing that old. All is done in
chunks, each a short transaction, so that nobody who posts waits for long; what breaks off is gone on with next time.
"""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg

from aicq.clock import from_ms
from aicq.db.engine import fetch
from aicq.hot.base import HOT_WINDOW
from aicq.ids import first_id_at

DAY = 86_400_000

GRACE = 7 * DAY
"""Milliseconds that deleted rooms and guilds stay in their tables, for mistakes to be undone by hand."""

CHUNK = 500
"""Entries that are deleted in one transaction."""

ROOMS = 1000
"""Rooms that are looked at in one statement."""

# One look at an index per room, however long its log is.
ROOMS_FROM = """
SELECT r.id, EXISTS (SELECT FROM messages m WHERE m.room_id = r.id AND m.id < $3) AS has_old
FROM rooms r WHERE r.id > $1 ORDER BY r.id LIMIT $2
"""

# Before the entries: who posts locks the room first as well.
LOCK_ROOM = "SELECT FROM rooms WHERE id = $1 FOR NO KEY UPDATE"

FORGET = """
WITH old AS MATERIALIZED (
    SELECT seq FROM messages WHERE room_id = $1 AND id < $2 ORDER BY id LIMIT $3
), gone AS (
    DELETE FROM messages m USING old WHERE m.room_id = $1 AND m.seq = old.seq RETURNING m.entry, m.deleted_at
), told AS (
    SELECT count(*) AS entries, count(*) FILTER (WHERE entry = 'message' AND deleted_at IS NULL) AS messages FROM gone
), counted AS (
    UPDATE rooms r SET message_count = r.message_count - told.messages FROM told
    WHERE r.id = $1 AND told.messages > 0
)
SELECT entries FROM told
"""

# A channel can be opened at the very moment its guild is deleted.
DELETE_CHANNELS = """
UPDATE rooms r SET deleted_at = g.deleted_at FROM guilds g
WHERE g.deleted_at < $1 AND r.guild_id = g.id AND r.deleted_at IS NULL
"""

DELETED_ROOMS = "SELECT id FROM rooms WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2"

PURGE_ROOM = "DELETE FROM rooms WHERE id = $1"

PURGE_GUILDS = """
DELETE FROM guilds g WHERE g.deleted_at < $1 AND NOT EXISTS (SELECT FROM rooms r WHERE r.guild_id = g.id)
"""

LAST_ID = UUID(int=(1 << 128) - 1)


class Retention:
    """Keeps the log as short as it is to be.

    Args:
        pool: Postgres.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def forget_messages(self, *, days: int, now: int) -> int:
        """Deletes entries that are older than so many days, and what points at them; returns how many entries.

        Args:
            days: `MESSAGE_RETENTION_DAYS`; 0 keeps all.
            now: Unix time in milliseconds.
        """
        if not days:
            return 0
        bound = first_id_at(now - max(days * DAY, HOT_WINDOW))
        forgotten = 0
        async for room_id in self._rooms_with_older(bound):
            forgotten += await self._forget_below(room_id, bound)
        return forgotten

    async def purge(self, *, now: int, grace: int = GRACE) -> int:
        """Takes rooms and guilds that were deleted out of the tables, with all they hold; returns how many rooms.

        Args:
            now: Unix time in milliseconds.
            grace: For how many milliseconds they stay.
        """
        before = from_ms(now - grace)
        await self._pool.execute(DELETE_CHANNELS, before)
        purged = 0
        while rooms := await fetch(self._pool, DELETED_ROOMS, before, ROOMS):
            for (room_id,) in rooms:
                await self._forget_below(room_id, LAST_ID)
                await self._pool.execute(PURGE_ROOM, room_id)
            purged += len(rooms)
        await self._pool.execute(PURGE_GUILDS, before)
        return purged

    async def _rooms_with_older(self, bound: UUID) -> AsyncIterator[UUID]:
        after = UUID(int=0)
        while rooms := await fetch(self._pool, ROOMS_FROM, after, ROOMS, bound):
            for room_id, has_old in rooms:
                if has_old:
                    yield room_id
            after = rooms[-1]["id"]

    async def _forget_below(self, room_id: UUID, bound: UUID) -> int:
        forgotten = 0
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(LOCK_ROOM, room_id)
                entries: int = await connection.fetchval(FORGET, room_id, bound, CHUNK)
            forgotten += entries
            if entries < CHUNK:
                return forgotten
