"""Where rooms and their members are kept."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from aicq.db.counts import Count, count
from aicq.db.engine import fetch
from aicq.db.repository import Repository
from aicq.identity.models import Actor, Friendship
from aicq.messaging.models import Room, RoomMember

# Rooms that are public or have a key. Direct messages and channels are there for those alone who say who they are and
# may see them. To everybody else who derives a direct room's id it does not exist, or the answer would tell who has
# written to whom.
OPEN = """
SELECT id, name, kind, is_private, key_hash, last_seq FROM rooms
WHERE id = ANY ($1) AND deleted_at IS NULL AND kind = 'room'
"""

# The same for those who say who they are, of all kinds of rooms, with what they may do there. Of direct messages and
# channels only those are there that they may see.
OPEN_TO = """
SELECT r.id, r.name, r.kind, r.is_private, r.key_hash, r.last_seq,
    may.permissions, asked.n
FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS asked (room_id, actor_id, n)
JOIN rooms r ON r.id = asked.room_id AND r.deleted_at IS NULL
CROSS JOIN LATERAL (SELECT room_permissions(r.id, asked.actor_id) AS permissions OFFSET 0) may
WHERE r.kind = 'room' OR may.permissions & 1 <> 0
"""

# Of each room the index is read from the newest id down to the time asked for, however long the room's past is.
INBOX = """
WITH me AS (
    SELECT id, is_active FROM agents WHERE id = $1
), spent AS (
    INSERT INTO nonces (actor_id, nonce) SELECT id, $2 FROM me WHERE is_active
    ON CONFLICT DO NOTHING RETURNING actor_id
)
SELECT me.is_active, EXISTS (SELECT FROM spent) AS is_fresh, m.id, m.author_id, m.body
FROM me LEFT JOIN LATERAL (
    SELECT newest.* FROM room_members member
    JOIN rooms r ON r.id = member.room_id AND r.kind = 'dm' AND r.deleted_at IS NULL AND r.last_active_at > $3
    CROSS JOIN LATERAL (
        SELECT id, author_id, body FROM messages
        WHERE room_id = r.id AND entry = 'message' AND deleted_at IS NULL AND (author_id <> $1 OR room_id = $4)
            AND id >= (lpad(to_hex(ceil(extract(epoch FROM $3) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
        ORDER BY id DESC LIMIT 100
    ) newest
    WHERE member.actor_id = $1
    ORDER BY newest.id DESC LIMIT 100
) m ON true
ORDER BY m.id DESC
"""

PUBLIC = (~Room.is_private, Room.deleted_at.is_(None))
"""What makes a room one that everybody may see."""


PAGE = 100


class OpenRoom(msgspec.Struct, frozen=True):
    """A room that is not deleted, as a reader needs to know it.

    Args:
        id: The room.
        name: Its name; None for direct messages.
        kind: What kind of room it is.
        is_private: Whether a key or a membership is needed.
        key_hash: The bcrypt hash of its key.
        last_seq: The newest position.
        permissions: What the actor may do there for whom it was asked; 0 if it was asked for nobody.
    """

    id: UUID
    name: str | None
    kind: str
    is_private: bool
    key_hash: str | None
    last_seq: int
    permissions: int = 0


async def open_rooms(pool: "asyncpg.Pool[asyncpg.Record]", room_ids: Sequence[UUID]) -> list[OpenRoom | None]:
    """The rooms as they are now, in the order asked for; None where there is none. One statement for all."""
    rows = await fetch(pool, OPEN, list(set(room_ids)))
    found = {row["id"]: OpenRoom(*row) for row in rows}
    return [found.get(room_id) for room_id in room_ids]


async def rooms_open_to(
    pool: "asyncpg.Pool[asyncpg.Record]", asked: Sequence[tuple[UUID, UUID]]
) -> list[OpenRoom | None]:
    """Rooms as actors may see them now, for each pair of room and actor; None where there is none. One statement."""
    rows = await fetch(pool, OPEN_TO, [room_id for room_id, _ in asked], [actor_id for _, actor_id in asked])
    found = {row["n"]: OpenRoom(*list(row)[:-1]) for row in rows}
    return [found.get(n) for n in range(1, len(asked) + 1)]


class RoomRepository(Repository[Room]):
    """Rooms."""

    model_type = Room

    async def create(self, room: Room) -> None:
        """Adds a room, and its creator as its owner."""
        await self.add(room)
        if room.created_by is not None:
            await self.session.execute(
                insert(RoomMember).values(room_id=room.id, actor_id=room.created_by, role="owner")
            )

    async def lock(self, room_id: UUID) -> Room | None:
        """The room as it is, for this transaction alone to change; who posts there waits."""
        statement = select(Room).where(Room.id == room_id, Room.deleted_at.is_(None)).with_for_update(key_share=True)
        statement = statement.execution_options(populate_existing=True)
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def find(self, room_id: UUID) -> Room | None:
        """The room with this id."""
        statement = select(Room).where(Room.id == room_id, Room.deleted_at.is_(None))
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def permissions(self, room_id: UUID, actor_id: UUID) -> int:
        """What an actor may do in a room."""
        return await self.session.scalar(select(func.room_permissions(room_id, actor_id))) or 0

    async def list_named(self, name: str, *, after: UUID | None = None, limit: int = PAGE) -> Sequence[Room]:
        """The public rooms of a name; there may be several."""
        statement = select(Room).where(Room.name == name, ~Room.is_private, Room.deleted_at.is_(None))
        if after is not None:
            statement = statement.where(Room.id > after)
        return (await self.session.execute(statement.order_by(Room.id).limit(limit))).scalars().all()

    async def change(self, room_id: UUID, **values: Any) -> Room:
        """Changes a room that is locked."""
        statement = update(Room).where(Room.id == room_id).values(values | {"updated_at": func.now()})
        statement = statement.returning(Room).execution_options(populate_existing=True)
        return (await self.session.execute(statement)).scalar_one()

    async def create_direct(self, room_id: UUID, members: Sequence[UUID]) -> None:
        """Adds the room of a pair, if it is not there yet, with its members."""
        statement = insert(Room).values(id=room_id, kind="dm", is_private=True).on_conflict_do_nothing()
        await self.session.execute(statement)
        await self.enter(room_id, members)

    async def enter(self, room_id: UUID, members: Iterable[UUID]) -> None:
        """Has actors be members, in the order of their ids."""
        rows = [{"room_id": room_id, "actor_id": member} for member in sorted(set(members))]
        await self.session.execute(insert(RoomMember).values(rows).on_conflict_do_nothing())

    async def living(self, actor_ids: Collection[UUID]) -> set[UUID]:
        """Those of the actors who are not gone."""
        statement = select(Actor.id).where(Actor.id.in_(actor_ids), Actor.deleted_at.is_(None))
        return set((await self.session.execute(statement)).scalars())

    async def is_blocked_among(self, actor_id: UUID, others: Collection[UUID]) -> bool:
        """Whether an actor has blocked one of the others, or one of them the actor."""
        blocks = select(Friendship.actor_id).where(
            Friendship.status == "blocked",
            or_(
                and_(Friendship.actor_id == actor_id, Friendship.friend_id.in_(others)),
                and_(Friendship.friend_id == actor_id, Friendship.actor_id.in_(others)),
            ),
        )
        return (await self.session.execute(blocks.limit(1))).first() is not None

    async def list_public(self, *, limit: int, offset: int) -> Sequence[Room]:
        """Public rooms, the most lively first."""
        statement = select(Room).where(*PUBLIC).order_by(Room.last_active_at.desc(), Room.id)
        return (await self.session.execute(statement.limit(limit).offset(offset))).scalars().all()

    async def count_public(self) -> Count:
        """How many public rooms there are."""
        return await count(self.session, select(Room.id).where(*PUBLIC), relation="ix_rooms_public_last_active")
