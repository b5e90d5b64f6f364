"""Rooms and their members under `/admin`."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.errors import Conflict, Unprocessable
from aicq.http.resources.resource import Resource, Row, Secret
from aicq.ids import GLOBAL_ROOM_ID
from aicq.messaging.admin.guilds import hold
from aicq.messaging.keys import MAX_KEY_BYTES, MIN_KEY
from aicq.messaging.models import Room, RoomMember
from aicq.messaging.models.rooms import NAME
from aicq.messaging.repositories.guilds import GuildMemberRepository
from aicq.messaging.repositories.members import RoomMemberRepository

DIRECT = frozenset({"dm", "group_dm"})

ONLY_OF_GUILD = "only a member of the guild is one of its channel"


class Rooms(Resource):
    """Rooms. Deleting one hides it from everybody; what was said in it stays in the log.

    Args:
        hash_key: Makes the hash that a room's key is kept as.
    """

    def __init__(self, hash_key: Callable[[str], Awaitable[str]]) -> None:
        key = Secret(
            "key_hash", hash_key, min_length=MIN_KEY, max_length=MAX_KEY_BYTES, told="The key of a private room."
        )
        super().__init__(
            Room,
            create=("name", "description", "kind", "guild_id", "is_private", "members_only", "created_by"),
            update=("name", "description", "is_private", "members_only"),
            delete=True,
            secrets={"key": key},
            filters=("name", "kind", "guild_id", "is_private", "created_by"),
            search=("name",),
        )

    def clean(self, values: dict[str, Any]) -> dict[str, Any]:
        """A name without the line's end that a pattern lets through."""
        if not re.fullmatch(NAME, values.get("name") or "room"):
            raise Unprocessable("name must be 1-50 characters: letters, digits, hyphens, underscores", field="name")
        return values

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds a room, and its creator as its owner."""
        if values.get("kind") in DIRECT:
            raise Unprocessable("direct messages make their room themselves", field="kind")
        _refuse_closed({"kind": "room", "is_private": False, "key_hash": None, **values})
        if values.get("guild_id") is not None:
            return await self._add_channel(session, values)
        row = await super().add(session, values)
        if row["created_by"] is not None:
            owner = {"room_id": row["id"], "actor_id": row["created_by"], "role": "owner"}
            await session.execute(insert(RoomMember).values(owner))
        return row

    async def _add_channel(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds a channel, which the guild's permissions open; one for its own members has its creator as its first."""
        await hold(session, values["guild_id"])
        row = await super().add(session, values)
        creator = row["created_by"]
        if creator is None or not row["members_only"]:
            return row
        if not await RoomMemberRepository(session).put_member(row["id"], creator, "member"):
            raise Unprocessable(ONLY_OF_GUILD, field="created_by")
        return row

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes a room."""
        _refuse_closed({**row, **values})
        return await super().change(session, row, values)

    async def remove(self, session: AsyncSession, row: Row) -> None:
        """Marks a room as deleted."""
        if row["id"] == GLOBAL_ROOM_ID:
            raise Conflict("the global room stays")
        if row["deleted_at"] is not None:
            raise Conflict("the room is deleted already")
        await session.execute(update(Room).where(Room.id == row["id"]).values(deleted_at=func.now()))


class RoomMembers(Resource):
    """Members of rooms; the two of a direct message stay among themselves."""

    def __init__(self) -> None:
        super().__init__(
            RoomMember,
            create=("room_id", "actor_id", "role"),
            update=("role",),
            delete=True,
            filters=("room_id", "actor_id", "role"),
        )

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds a member, to a channel one of its guild."""
        await _refuse_direct(session, values["room_id"])
        guild_id = await session.scalar(select(Room.guild_id).where(Room.id == values["room_id"]))
        members = GuildMemberRepository(session)
        if guild_id is not None and not await members.is_member(guild_id, values["actor_id"]):
            raise Unprocessable(ONLY_OF_GUILD, field="actor_id")
        return await super().add(session, values)

    async def remove(self, session: AsyncSession, row: Row) -> None:
        """Removes a member."""
        await _refuse_direct(session, row["room_id"])
        await super().remove(session, row)


def _refuse_closed(room: Row) -> None:
    """Refuses a room that nobody could open; a channel's members need no key."""
    if room["kind"] == "room" and room["is_private"] and room["key_hash"] is None:
        raise Unprocessable(f"private rooms require key (min {MIN_KEY} chars)", field="key")


async def _refuse_direct(session: AsyncSession, room_id: Any) -> None:
    if await session.scalar(select(Room.kind).where(Room.id == room_id)) == "dm":
        raise Conflict("a direct message has the two members it began with", field="room_id")
