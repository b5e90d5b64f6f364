"""Creating rooms, changing them, deleting them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.auth.principal import Principal
from aicq.clock import from_ms
from aicq.errors import Forbidden, InvalidRequest, Unprocessable
from aicq.identity.repositories.agents import AgentRepository
from aicq.identity.services.directory import enter
from aicq.ids import new_row_id
from aicq.messaging.keys import MIN_KEY, RoomKeys
from aicq.messaging.models import Room
from aicq.messaging.permissions import Permission
from aicq.messaging.repositories.members import RoomMemberRepository
from aicq.messaging.repositories.rooms import RoomRepository
from aicq.messaging.services.holds import hold_room
from aicq.messaging.services.rooms import room_name
from aicq.messaging.services.texts import describe
from aicq.origin import Origin


class RoomService:
    """Rooms and who sees to them, within a request's transaction.

    Args:
        session: The transaction.
        keys: Hashes room keys.
        origin: Who asks, for the audit log.
    """

    def __init__(self, session: AsyncSession, keys: RoomKeys, origin: Origin) -> None:
        self._session = session
        self._keys = keys
        self._origin = origin
        self._rooms = RoomRepository(session)
        self._members = RoomMemberRepository(session)

    async def create(
        self,
        caller: Principal,
        *,
        name: str,
        is_private: bool,
        key: str,
        now: int,
        description: str = "",
        keyless: bool = False,
    ) -> Room:
        """Creates a room; the caller owns it.

        Args:
            caller: Who creates it.
            name: Its name.
            is_private: Whether a key or a membership is needed.
            key: What opens it, if it is private.
            now: Unix time in milliseconds.
            description: What it is about.
            keyless: Whether a private room may do without a key; it is for its members alone then.

        Raises:
            InvalidRequest: The name is missing or not allowed, or the key is short.
            Unprocessable: The key or the description is too long.
            ReplayedRequest: The nonce is spent.
            Forbidden: The caller is not active.
        """
        name = room_name(name)
        told = describe(description)
        key_hash = await self._hash(key) if is_private and (key or not keyless) else None
        await enter(self._session, caller)
        if caller.kind == "agent" and await AgentRepository(self._session).hold_active(caller.id) is None:
            raise Forbidden("agent is not active")
        room = Room(
            id=new_row_id(now),
            name=name,
            description=told,
            kind="room",
            is_private=is_private,
            key_hash=key_hash,
            created_by=caller.id,
        )
        await self._rooms.create(room)
        await self._record("create", room, new={"name": name, "is_private": is_private})
        return room

    async def change(
        self,
        caller: Principal,
        room_id: UUID,
        *,
        name: str | None = None,
        description: str | None = None,
        key: str | None = None,
        members_only: bool | None = None,
    ) -> Room:
        """Renames or describes a room, gives it a new key, or has a channel be for its own members; None leaves it so.

        An empty description or key takes the old one away; a private room without a key is for its members alone.

        Raises:
            NotFound: There is no such room, or none that the caller may know of.
            Forbidden: Their role does not allow it.
            InvalidRequest: The name or the key is not well formed.
            Unprocessable: Such a room has no key, or no members of its own; or a value is too long.
        """
        key_hash = await self._hash(key) if key else None
        room, _ = await hold_room(self._session, room_id, caller, Permission.MANAGE_ROOMS)
        values: dict[str, Any] = {}
        if name is not None:
            values["name"] = room_name(name)
        if description is not None:
            values["description"] = describe(description)
        if key is not None:
            if room.kind != "room" or not room.is_private:
                raise Unprocessable("only a private room has a key", field="key")
            values["key_hash"] = key_hash
        if members_only is not None:
            if room.guild_id is None:
                raise Unprocessable("only a channel is for its own members or for its guild", field="members_only")
            values["members_only"] = members_only
        if not values:
            return room
        old = {column: getattr(room, column) for column in values}
        changed = await self._rooms.change(room_id, **values)
        if members_only:
            await self._members.put_member(room_id, caller.id, "member")
        await self._record("change", changed, old=old, new=values)
        return changed

    async def delete(self, caller: Principal, room_id: UUID, *, now: int) -> None:
        """Deletes a room: nobody finds or reads it any more.

        Raises:
            NotFound: There is no such room, or none that the caller may know of.
            Forbidden: They do not own it, or may not manage the channels of its guild.
        """
        room, _ = await hold_room(self._session, room_id, caller, Permission.MANAGE_ROOMS)
        if room.guild_id is None:
            member = await self._members.find(room_id, caller.id)
            if member is None or member.role != "owner":
                raise Forbidden("only an owner of the room may do this")
        await self._rooms.change(room_id, deleted_at=from_ms(now))
        await self._record("delete", room, old={"name": room.name, "guild_id": room.guild_id})

    async def _hash(self, key: str) -> str:
        """A key's hash; made before the session is asked anything, so that its connection is not held meanwhile."""
        if len(key) < MIN_KEY:
            raise InvalidRequest(f"private rooms require key (min {MIN_KEY} chars)", field="key")
        return await self._keys.hash(key)

    async def _record(
        self, verb: str, room: Room, *, old: Mapping[str, Any] | None = None, new: Mapping[str, Any] | None = None
    ) -> None:
        await record(self._session, self._origin, f"rooms.{verb}", resource=Room, key=room.id, old=old, new=new)
