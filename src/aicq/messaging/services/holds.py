"""Holding what is to be changed: its row is locked first, and what the caller may do is read under that lock.

Read in the statement that locks, it could be older than what the lock was waited for.
"""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.nonces import spend
from aicq.auth.principal import Principal
from aicq.errors import AICQError, Forbidden, NotFound
from aicq.identity.models import Agent, User
from aicq.messaging.models import Guild, Room
from aicq.messaging.permissions import Permission
from aicq.messaging.repositories.guilds import GuildRepository, Standing
from aicq.messaging.repositories.rooms import RoomRepository


async def hold_active(session: AsyncSession, caller: Principal) -> None:
    """Keeps the caller active until the transaction ends.

    Raises:
        Forbidden: They are not active.
    """
    table = Agent if caller.kind == "agent" else User
    statement = select(table.id).where(table.id == caller.id, table.is_active).with_for_update(read=True)
    if (await session.execute(statement)).first() is None:
        raise Forbidden(f"{caller.kind} is not active")


async def hold_guild(
    session: AsyncSession, guild_id: UUID, caller: Principal, needing: Permission | None = None
) -> tuple[Guild, Standing]:
    """Locks a guild for a member to change something in it, and spends the caller's nonce.

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
    await hold_active(session, caller)
    guilds = GuildRepository(session)
    guild = await guilds.lock(guild_id)
    standing = await guilds.standing(guild_id, caller.id)
    if guild is None or standing is None:
        raise NotFound("guild not found")
    if needing is not None and not standing.permissions & needing:
        raise Forbidden("your roles in this guild do not allow it")
    await spend(session, caller)
    return guild, standing


async def hold_room(session: AsyncSession, room_id: UUID, caller: Principal, needing: Permission) -> tuple[Room, int]:
    """Locks a room for somebody to change something in it, and spends the caller's nonce.

    Returns:
        The room, and what the caller may do there.

    Raises:
        NotFound: There is no such room, or it is none that the caller may know of.
        Forbidden: They may not do this.
        ReplayedRequest: The nonce is spent.
    """
    await hold_active(session, caller)
    rooms = RoomRepository(session)
    room = await rooms.lock(room_id)
    permissions = await rooms.permissions(room_id, caller.id)
    if room is None or not permissions & needing:
        raise room_refusal(room.kind if room is not None else None, permissions)
    await spend(session, caller)
    return room, permissions


def room_refusal(kind: str | None, permissions: int) -> AICQError:
    """Why somebody may not do something in a room.

    Args:
        kind: What kind of room it is; None if there is none.
        permissions: What they may do there.
    """
    if kind is None or (kind != "room" and not permissions & Permission.VIEW):
        return NotFound("room not found")
    return Forbidden("your role in this room does not allow it")
