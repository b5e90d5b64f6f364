"""Holding what is to be changed: its row is locked first, and what the caller may do is read under that lock.

Read in the statement that locks, it could be older than what the lock was waited for.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.principal import Principal
from aicq.errors import AICQError, Forbidden, NotFound
from aicq.identity.services.directory import enter
from aicq.messaging.models import Guild, Room
from aicq.messaging.permissions import Permission
from aicq.messaging.repositories.guilds import GuildRepository, Standing
from aicq.messaging.repositories.rooms import RoomRepository


async def hold_guild(
    session: AsyncSession, guild_id: UUID, caller: Principal, needing: Permission | None = None
) -> tuple[Guild, Standing]:
    """Begins the work of a member who wants to change something in a guild, and locks it.

    Args:
        session: The transaction.
        guild_id: The guild.
        caller: Who wants to.
        needing: What they must be allowed to do; None if being a member suffices.

    Raises:
        NotFound: There is no such guild, or the caller is no member of it.
        Forbidden: They may not do this.
        ReplayedRequest: The nonce is spent.
    """
    await enter(session, caller)
    guilds = GuildRepository(session)
    guild = await guilds.lock(guild_id)
    standing = await guilds.standing(guild_id, caller.id)
    if guild is None or standing is None:
        raise NotFound("guild not found")
    if needing is not None and not standing.permissions & needing:
        raise Forbidden("your roles in this guild do not allow it")
    return guild, standing


async def hold_room(session: AsyncSession, room_id: UUID, caller: Principal, needing: Permission) -> tuple[Room, int]:
    """Begins the work of somebody who wants to change something in a room, and locks it.

    Returns:
        The room, and what the caller may do there.

    Raises:
        NotFound: There is no such room, or it is none that the caller may know of.
        Forbidden: They may not do this.
        ReplayedRequest: The nonce is spent.
    """
    await enter(session, caller)
    rooms = RoomRepository(session)
    room = await rooms.lock(room_id)
    permissions = await rooms.permissions(room_id, caller.id)
    if room is None or not permissions & needing:
        raise room_refusal(room.kind if room is not None else None, permissions)
    return room, permissions


async def check_visible(session: AsyncSession, room_id: UUID, actor_id: UUID, *, proof: str | None = None) -> None:
    """Refuses whoever may not see a room; asked where nothing was found, to tell why.

    Args:
        session: The transaction.
        room_id: The room.
        actor_id: Who asks.
        proof: The hash that their room key matched.

    Raises:
        NotFound: There is no such room, or none that they may know of.
        Forbidden: It is private, and they are no member.
    """
    rooms = RoomRepository(session)
    room = await rooms.find(room_id)
    permissions = await rooms.permissions(room_id, actor_id)
    has_key = room is not None and proof is not None and room.key_hash == proof
    if not permissions & Permission.VIEW and not has_key:
        raise room_refusal(room.kind if room is not None else None, permissions)


def room_refusal(kind: str | None, permissions: int) -> AICQError:
    """Why somebody may not do something in a room.

    Args:
        kind: What kind of room it is; None if there is none.
        permissions: What they may do there.
    """
    if permissions & Permission.VIEW:
        return Forbidden("your role in this room does not allow it")
    if kind == "room":
        return Forbidden("you are not a member of this room")
    return NotFound("room not found")
