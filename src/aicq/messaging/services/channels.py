"""Channels of guilds: opening them, and listing those that one may see."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.auth.principal import Principal
from aicq.errors import NotFound
from aicq.identity.services.directory import enter
from aicq.ids import new_row_id
from aicq.messaging.models import Room
from aicq.messaging.permissions import Permission
from aicq.messaging.repositories.guilds import GuildRepository
from aicq.messaging.repositories.members import RoomMemberRepository
from aicq.messaging.repositories.room_views import FIRST, RoomView, RoomViewRepository
from aicq.messaging.repositories.rooms import RoomRepository
from aicq.messaging.services.holds import hold_guild
from aicq.messaging.services.rooms import room_name
from aicq.messaging.services.texts import describe
from aicq.origin import Origin


class ChannelService:
    """Channels, within a request's transaction. What is done to a channel that is there is done to it as a room.

    Args:
        session: The transaction.
        origin: Who asks, for the audit log.
    """

    def __init__(self, session: AsyncSession, origin: Origin) -> None:
        self._session = session
        self._origin = origin
        self._guilds = GuildRepository(session)
        self._rooms = RoomRepository(session)
        self._members = RoomMemberRepository(session)
        self._views = RoomViewRepository(session)

    async def create(
        self,
        caller: Principal,
        guild_id: UUID,
        *,
        name: str,
        kind: Literal["text", "voice"],
        description: str,
        members_only: bool,
        now: int,
    ) -> RoomView:
        """Opens a channel; one for its own members alone has the caller as its first.

        Raises:
            NotFound: There is no such guild, or the caller is no member.
            Forbidden: They may not manage rooms.
            InvalidRequest: The name is missing or not allowed.
        """
        await hold_guild(self._session, guild_id, caller, Permission.MANAGE_ROOMS)
        channel = Room(
            id=new_row_id(now),
            name=room_name(name),
            description=describe(description),
            kind=kind,
            guild_id=guild_id,
            is_private=True,
            members_only=members_only,
            created_by=caller.id,
        )
        await self._rooms.add(channel)
        if members_only:
            await self._members.put_member(channel.id, caller.id, "member")
        told = {"name": channel.name, "kind": kind, "guild_id": guild_id, "members_only": members_only}
        await record(self._session, self._origin, "rooms.create", resource=Room, key=channel.id, new=told)
        view = await self._views.find(channel.id, caller.id)
        assert view is not None  # noqa: S101 - it was made in this transaction
        return view

    async def list_visible(
        self, caller: Principal, guild_id: UUID, *, after: UUID | None, limit: int
    ) -> Sequence[RoomView]:
        """The channels of a guild that the caller may see.

        Raises:
            NotFound: There is no such guild, or the caller is no member.
        """
        await enter(self._session, caller)
        if await self._guilds.find_for(guild_id, caller.id) is None:
            raise NotFound("guild not found")
        return await self._views.list_of_guild(guild_id, caller.id, after=after or FIRST, limit=limit)
