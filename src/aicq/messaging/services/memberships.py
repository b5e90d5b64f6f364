"""Who is in a room: listing, adding, changing roles, removing, leaving."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.auth.principal import Principal
from aicq.errors import Forbidden, NotFound
from aicq.identity.services.directory import enter
from aicq.messaging.models import Room, RoomMember
from aicq.messaging.permissions import Permission
from aicq.messaging.repositories.members import RoomMemberRepository
from aicq.messaging.repositories.rooms import RoomRepository
from aicq.messaging.services.holds import check_visible, hold_room, room_refusal
from aicq.origin import Origin

RANKS = {"viewer": 0, "member": 1, "admin": 2, "owner": 3}
"""The roles in a room, each above those before it."""

OWNER = RANKS["owner"]


class MembershipService:
    """Members of rooms, within a request's transaction.

    An admin of a room sees to its members and viewers, an owner to everybody; in a guild's channel does who may manage
    rooms there.

    Args:
        session: The transaction.
        origin: Who asks, for the audit log.
    """

    def __init__(self, session: AsyncSession, origin: Origin) -> None:
        self._session = session
        self._origin = origin
        self._members = RoomMemberRepository(session)

    async def list_all(
        self, caller: Principal, room_id: UUID, *, after: UUID | None, limit: int
    ) -> Sequence[RoomMember]:
        """A room's members. Those of a private room are told to its members alone, not to who holds its key.

        Raises:
            NotFound: There is no such room, or none that the caller may know of.
            Forbidden: They may not see it.
        """
        await enter(self._session, caller)
        members = await self._members.list_visible(room_id, caller.id, after=after, limit=limit)
        if not members:
            await check_visible(self._session, room_id, caller.id)
        return members

    async def put(self, caller: Principal, room_id: UUID, actor_id: UUID, role: str) -> None:
        """Has somebody be a member with this role. A public room is joined by everybody who wants to.

        Raises:
            NotFound: There is no such room, or nobody of that id; in a channel, nobody of the guild.
            Forbidden: The caller may not give this role, or not to them, or one of the two has blocked the other.
        """
        room, permissions = await hold_room(self._session, room_id, caller, Permission.VIEW)
        old = await self._members.find(room_id, actor_id)
        before = old.role if old is not None else None
        joins = caller.id == actor_id and before is None and role == "member" and not room.is_private
        if not joins:
            if not permissions & Permission.MANAGE_ROOMS:
                raise room_refusal(room.kind, permissions)
            await self._check_rank(room, caller, before, role)
        if before == "owner" and role != "owner":
            await self._check_another_owner(room)
        if await RoomRepository(self._session).is_blocked_among(caller.id, [actor_id]):
            raise Forbidden("one of you has blocked the other")
        if not await self._members.put_member(room_id, actor_id, role):
            raise NotFound("actor not found")
        await self._record("put", (room_id, actor_id), {"role": before} if before else None, {"role": role})

    async def remove(self, caller: Principal, room_id: UUID, actor_id: UUID) -> None:
        """Ends a membership: one's own, or that of somebody whom one sees to.

        Raises:
            NotFound: There is no such room or member.
            Forbidden: The caller does not see to them, or the room would be left without an owner.
        """
        leaves = caller.id == actor_id
        needing = Permission.VIEW if leaves else Permission.MANAGE_ROOMS
        room, _ = await hold_room(self._session, room_id, caller, needing)
        if room.kind == "dm":
            raise Forbidden("a direct message has two members")
        member = await self._members.find(room_id, actor_id)
        if member is None:
            raise NotFound("member not found")
        role = member.role
        if not leaves:
            await self._check_rank(room, caller, role, "viewer")
        if role == "owner":
            await self._check_another_owner(room)
        await self._members.remove_member(room_id, actor_id)
        await self._record("leave" if leaves else "remove", (room_id, actor_id), {"role": role}, None)

    async def _check_rank(self, room: Room, caller: Principal, before: str | None, role: str) -> None:
        """Refuses to give a role as high as one's own, and to touch who stands as high; owners may do both."""
        if room.guild_id is not None:
            return
        own = await self._members.find(room.id, caller.id)
        rank = RANKS[own.role] if own is not None else -1
        if rank < OWNER and (RANKS[role] >= rank or (before is not None and RANKS[before] >= rank)):
            raise Forbidden("only an owner of the room may do this")

    async def _check_another_owner(self, room: Room) -> None:
        if room.guild_id is None and await self._members.count_owners(room.id) == 1:
            raise Forbidden("the room would be left without an owner")

    async def _record(
        self, verb: str, key: tuple[UUID, UUID], old: dict[str, str] | None, new: dict[str, str] | None
    ) -> None:
        action = f"room_members.{verb}"
        await record(self._session, self._origin, action, resource=RoomMember, key=key, old=old, new=new)
