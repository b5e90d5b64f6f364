"""Rooms as one actor sees them: what they may do there, how far they have read, how much is unread."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.messaging.permissions import Permission

PAGE = 100

MOST_UNREAD = 1000
"""Unread messages are counted no further."""

# Unread begins after the newest message that the actor is known to have read, else when they came.
VIEW = f"""
SELECT r.id, r.name, r.description, r.kind, r.guild_id, r.is_private, r.members_only, r.key_hash IS NOT NULL AS has_key,
    r.created_by, r.created_at, r.last_active_at, r.message_count, r.last_seq, m.role, may.permissions,
    seen.message_id AS last_read,
    CASE WHEN seen.message_id IS NOT NULL OR came.at IS NOT NULL THEN unread.number END AS unread
FROM rooms r
LEFT JOIN room_members m ON m.room_id = r.id AND m.actor_id = :actor_id
LEFT JOIN guild_members g ON g.guild_id = r.guild_id AND g.actor_id = :actor_id
CROSS JOIN LATERAL (SELECT room_permissions(r.id, :actor_id) AS permissions OFFSET 0) may
CROSS JOIN LATERAL (SELECT coalesce(m.joined_at, g.joined_at) AS at) came
CROSS JOIN LATERAL (
    SELECT greatest(m.last_read_message_id, (
        SELECT c.message_id FROM message_read_receipts c WHERE c.actor_id = :actor_id AND c.room_id = r.id
        ORDER BY c.message_id DESC LIMIT 1
    )) AS message_id
) seen
CROSS JOIN LATERAL (
    SELECT count(*) AS number FROM (
        SELECT FROM messages x
        WHERE x.room_id = r.id AND x.entry = 'message' AND x.deleted_at IS NULL AND x.author_id <> :actor_id
            AND x.id > coalesce(
                seen.message_id,
                (lpad(to_hex(floor(extract(epoch FROM came.at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
            )
        ORDER BY x.id LIMIT {MOST_UNREAD}
    ) newer
) unread
"""  # noqa: S608 - static text

ONE = f"{VIEW} WHERE r.id = :room_id AND r.deleted_at IS NULL"

VISIBLE = f"may.permissions & {int(Permission.VIEW)} <> 0"

# The actor's places are walked in the order of the index, so a page costs what it shows.
OF_ACTOR = (
    VIEW.replace(
        "FROM rooms r\nLEFT JOIN room_members m ON m.room_id = r.id AND m.actor_id = :actor_id\n",
        """
FROM room_members m JOIN rooms r ON r.id = m.room_id
""",
    )
    + f"""
WHERE m.actor_id = :actor_id AND m.room_id > :after AND r.deleted_at IS NULL AND {VISIBLE}
    AND r.kind = ANY (CAST(:kinds AS room_kind[]))
ORDER BY m.room_id LIMIT :limit
"""
)

OF_GUILD = f"""{VIEW}
WHERE r.guild_id = :guild_id AND r.id > :after AND r.deleted_at IS NULL AND {VISIBLE}
ORDER BY r.id LIMIT :limit
"""

FIRST = UUID(int=0)

KINDS = ("room", "text", "voice", "dm", "group_dm")


class RoomView(msgspec.Struct, frozen=True):
    """A room as one actor sees it.

    Args:
        id: The room.
        name: Its name; direct messages have none.
        description: What it is about.
        kind: What kind of room it is.
        guild_id: The guild that it is a channel of.
        is_private: Whether a key or a membership is needed.
        members_only: Whether it is a channel for its own members alone.
        has_key: Whether there is a key that opens it.
        created_by: Who created it.
        created_at: When.
        last_active_at: When its newest entry was added.
        message_count: How many messages it holds.
        last_seq: The newest position.
        role: The actor's role as its member.
        permissions: What they may do in it.
        last_read: The newest message that they are known to have read.
        unread: How many messages of others are newer, at most 1,000; None if they neither came nor ever read.
    """

    id: UUID
    name: str | None
    description: str | None
    kind: str
    guild_id: UUID | None
    is_private: bool
    members_only: bool
    has_key: bool
    created_by: UUID | None
    created_at: datetime
    last_active_at: datetime
    message_count: int
    last_seq: int
    role: str | None
    permissions: int
    last_read: UUID | None
    unread: int | None


class RoomViewRepository:
    """Rooms as actors see them. Each call is one statement, however many rooms it tells of.

    Args:
        session: The request's.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, room_id: UUID, actor_id: UUID) -> RoomView | None:
        """A room, be it visible to the actor or not."""
        found = await self._views(ONE, room_id=room_id, actor_id=actor_id)
        return found[0] if found else None

    async def list_of_actor(
        self, actor_id: UUID, *, kinds: Collection[str] = KINDS, after: UUID = FIRST, limit: int = PAGE
    ) -> Sequence[RoomView]:
        """The rooms that an actor is a member of: rooms, private channels, direct messages."""
        return await self._views(OF_ACTOR, actor_id=actor_id, kinds=list(kinds), after=after, limit=limit)

    async def list_of_guild(
        self, guild_id: UUID, actor_id: UUID, *, after: UUID = FIRST, limit: int = PAGE
    ) -> Sequence[RoomView]:
        """The channels of a guild that an actor may see."""
        return await self._views(OF_GUILD, guild_id=guild_id, actor_id=actor_id, after=after, limit=limit)

    async def _views(self, statement: str, **given: Any) -> Sequence[RoomView]:
        rows = await self._session.execute(text(statement), given)
        return [RoomView(*row) for row in rows]
