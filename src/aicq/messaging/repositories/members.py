"""Where the members of rooms are kept."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, exists, func, literal, select, true
from sqlalchemy.dialects.postgresql import insert

from aicq.db.repository import Repository
from aicq.identity.models import Actor
from aicq.messaging.models import GuildMember, Room, RoomMember
from aicq.messaging.permissions import Permission

PAGE = 100


class RoomMemberRepository(Repository[RoomMember]):
    """Actors' places in rooms."""

    model_type = RoomMember

    async def find(self, room_id: UUID, actor_id: UUID) -> RoomMember | None:
        """An actor's place in a room."""
        statement = select(RoomMember).where(RoomMember.room_id == room_id, RoomMember.actor_id == actor_id)
        statement = statement.execution_options(populate_existing=True)
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def put_member(self, room_id: UUID, actor_id: UUID, role: str) -> bool:
        """Has an actor be a member with this role; False if they are gone, or are not in the guild of the channel."""
        in_guild = exists().where(GuildMember.guild_id == Room.guild_id, GuildMember.actor_id == actor_id)
        living = (
            select(Room.id, Actor.id, literal(role).cast(RoomMember.role.type))
            .join(Actor, Actor.id == actor_id)
            .where(Room.id == room_id, Actor.deleted_at.is_(None), Room.guild_id.is_(None) | in_guild)
            .with_for_update(read=True, key_share=True, of=Actor)
        )
        statement = insert(RoomMember).from_select(["room_id", "actor_id", "role"], living)
        keys = [RoomMember.room_id, RoomMember.actor_id]
        statement = statement.on_conflict_do_update(index_elements=keys, set_={"role": role})
        return (await self.session.execute(statement.returning(RoomMember.actor_id))).first() is not None

    async def list_visible(
        self, room_id: UUID, actor_id: UUID, *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[RoomMember]:
        """A room's members; none if `actor_id`, who asks, may not see the room."""
        visible = func.room_permissions(room_id, actor_id).bitwise_and(int(Permission.VIEW)) != 0
        statement = select(RoomMember).where(RoomMember.room_id == room_id, visible)
        if after is not None:
            statement = statement.where(RoomMember.actor_id > after)
        statement = statement.order_by(RoomMember.actor_id).limit(limit)
        return (await self.session.execute(statement)).scalars().all()

    async def list_of_rooms(self, room_ids: Sequence[UUID], *, most: int) -> dict[UUID, list[UUID]]:
        """Some members of each room; one statement for all."""
        of_room = select(RoomMember.room_id, RoomMember.actor_id).where(RoomMember.room_id == Room.id)
        first = of_room.order_by(RoomMember.actor_id).limit(most).lateral()
        statement = select(first.c.room_id, first.c.actor_id).select_from(Room).join(first, true())
        members: dict[UUID, list[UUID]] = {room_id: [] for room_id in room_ids}
        for room_id, actor_id in await self.session.execute(statement.where(Room.id.in_(room_ids))):
            members[room_id].append(actor_id)
        return members

    async def count_owners(self, room_id: UUID) -> int:
        """How many owners a room has."""
        owners = select(func.count()).where(RoomMember.room_id == room_id, RoomMember.role == "owner")
        return await self.session.scalar(owners) or 0

    async def remove_member(self, room_id: UUID, actor_id: UUID) -> bool:
        """Ends a membership; False if there was none."""
        where = (RoomMember.room_id == room_id, RoomMember.actor_id == actor_id)
        statement = delete(RoomMember).where(*where).returning(RoomMember.actor_id)
        statement = statement.execution_options(synchronize_session=False)
        return (await self.session.execute(statement)).first() is not None
