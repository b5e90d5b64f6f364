"""Guilds, their members, bans and roles under `/admin`.

An admin stands above all ranks and is bound by the rest: a guild has an owner who is a member, @everyone stays,
positions have no gaps. As everybody who changes something in a guild, an admin locks the guild before anything in it.
What members may do is worked out anew in each statement, so a change holds at once, also for who follows a room.
"""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.clock import from_ms, now_ms
from aicq.errors import Conflict, Unprocessable
from aicq.http.resources.resource import Key, Resource, Row
from aicq.identity.repositories import TeamRepository
from aicq.messaging.models import Guild, GuildBan, GuildMember, MemberRole, Role
from aicq.messaging.repositories.guilds import GuildMemberRepository, GuildRepository
from aicq.messaging.repositories.roles import RoleRepository
from aicq.messaging.services.texts import describe, line


class Guilds(Resource):
    """Guilds. Deleting one hides it and its channels from everybody."""

    def __init__(self) -> None:
        super().__init__(
            Guild,
            create=("name", "description", "owner_id"),
            update=("name", "description", "owner_id"),
            delete=True,
            filters=("owner_id",),
            search=("name",),
        )

    def clean(self, values: dict[str, Any]) -> dict[str, Any]:
        """Texts as guilds have them."""
        return _cleaned(values, "name")

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes a guild; its owner is one of its members."""
        if row["deleted_at"] is not None:
            raise Conflict("the guild is deleted")
        if "owner_id" in values and not await GuildMemberRepository(session).is_member(row["id"], values["owner_id"]):
            raise Unprocessable("the new owner must be a member", field="owner_id")
        return await super().change(session, row, values)

    async def remove(self, session: AsyncSession, row: Row) -> None:
        """Marks a guild and its channels as deleted."""
        if row["deleted_at"] is not None:
            raise Conflict("the guild is deleted already")
        await GuildRepository(session).remove(row["id"], at=from_ms(now_ms()))


class OfGuild(Resource):
    """What belongs to a guild. Nothing of a guild that is deleted can be changed."""

    async def find(self, session: AsyncSession, key: Key, *, locked: bool = False) -> Row | None:
        """The row of a key; locked after its guild, which everybody locks first."""
        row = await super().find(session, key)
        if row is None or not locked:
            return row
        if await GuildRepository(session).lock(row["guild_id"]) is None:
            raise Conflict("the guild is deleted")
        return await super().find(session, key, locked=True)


class GuildMembers(OfGuild):
    """Members of guilds. Who leaves gives back their roles and their places in channels; the owner stays."""

    def __init__(self) -> None:
        super().__init__(
            GuildMember,
            create=("guild_id", "actor_id", "nickname"),
            update=("nickname",),
            delete=True,
            filters=("guild_id", "actor_id"),
        )

    def clean(self, values: dict[str, Any]) -> dict[str, Any]:
        """A nickname in its one spelling."""
        return _cleaned(values, "nickname")

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds a member, unless they are banned or gone."""
        await hold(session, values["guild_id"])
        if await GuildMemberRepository(session).is_banned(values["guild_id"], values["actor_id"]):
            raise Conflict("banned from this guild", field="actor_id")
        if not await TeamRepository(session).is_living(values["actor_id"]):
            raise Unprocessable("actor_id points at nothing", field="actor_id")
        return await super().add(session, values)

    async def remove(self, session: AsyncSession, row: Row) -> None:
        """Removes a member."""
        guild = await hold(session, row["guild_id"])
        if guild.owner_id == row["actor_id"]:
            raise Conflict("the owner stays, until the guild is handed over", field="actor_id")
        await GuildMemberRepository(session).remove_member(row["guild_id"], row["actor_id"])


class GuildBans(OfGuild):
    """Bans. One ends the membership; that it is lifted makes nobody a member."""

    def __init__(self) -> None:
        super().__init__(
            GuildBan,
            # Who banned is left empty: it was an admin.
            create=("guild_id", "actor_id", "reason"),
            update=("reason",),
            delete=True,
            filters=("guild_id", "actor_id", "banned_by"),
        )

    def clean(self, values: dict[str, Any]) -> dict[str, Any]:
        """A reason in its one spelling."""
        return _cleaned(values, "reason")

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Bans an actor."""
        guild = await hold(session, values["guild_id"])
        if guild.owner_id == values["actor_id"]:
            raise Conflict("the owner cannot be banned", field="actor_id")
        row = await super().add(session, values)
        await GuildMemberRepository(session).remove_member(row["guild_id"], row["actor_id"])
        return row


class Roles(OfGuild):
    """Roles. A new one is the lowest but @everyone; one that moves has those between give way."""

    def __init__(self) -> None:
        super().__init__(
            Role,
            create=("guild_id", "name", "permissions"),
            update=("name", "permissions", "position"),
            delete=True,
            filters=("guild_id",),
            search=("name",),
        )

    def clean(self, values: dict[str, Any]) -> dict[str, Any]:
        """A name in its one spelling."""
        return _cleaned(values, "name")

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Makes a role."""
        await hold(session, values["guild_id"])
        role = await RoleRepository(session).create(
            values["id"], values["guild_id"], name=values["name"], permissions=values.get("permissions", 0)
        )
        return await self._found(session, role.id)

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes a role; @everyone keeps its name and its place."""
        values = dict(values)
        for name in ("name", "position"):
            if row["position"] == 0 and name in values:
                raise Unprocessable("@everyone keeps its name and its place", field=name)
        position = values.pop("position", None)
        if position == 0:
            raise Unprocessable("a role stands above @everyone", field="position")
        if position is not None:
            roles = RoleRepository(session)
            role = await roles.find(row["guild_id"], row["id"])
            assert role is not None  # noqa: S101 - its row is locked
            await roles.move(role, position)
        if values:
            await super().change(session, row, values)
        return await self._found(session, row["id"])

    async def remove(self, session: AsyncSession, row: Row) -> None:
        """Deletes a role; nobody has it any more."""
        if row["position"] == 0:
            raise Conflict("@everyone stays")
        roles = RoleRepository(session)
        role = await roles.find(row["guild_id"], row["id"])
        assert role is not None  # noqa: S101 - its row is locked
        await roles.remove(role)

    async def _found(self, session: AsyncSession, role_id: UUID) -> Row:
        row = await self.find(session, (role_id,))
        assert row is not None  # noqa: S101 - it was written in this transaction
        return row


class MemberRoles(OfGuild):
    """Roles of members: given and taken, never changed. Everybody has @everyone without one."""

    def __init__(self) -> None:
        super().__init__(
            MemberRole,
            create=("guild_id", "actor_id", "role_id"),
            delete=True,
            filters=("guild_id", "actor_id", "role_id"),
        )

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Gives a role to a member."""
        await hold(session, values["guild_id"])
        role = await RoleRepository(session).find(values["guild_id"], values["role_id"])
        if role is not None and role.position == 0:
            raise Unprocessable("everybody has @everyone", field="role_id")
        return await super().add(session, values)


async def hold(session: AsyncSession, guild_id: UUID) -> Guild:
    """The guild that something is done in, locked.

    Raises:
        Unprocessable: There is none.
    """
    guild = await GuildRepository(session).lock(guild_id)
    if guild is None:
        raise Unprocessable("guild_id points at nothing", field="guild_id")
    return guild


def _cleaned(values: dict[str, Any], field: str) -> dict[str, Any]:
    """The values with one line and a description as guilds have them."""
    cleaned = dict(values)
    if values.get(field) is not None:
        cleaned[field] = line(values[field], field)
    if values.get("description") is not None:
        cleaned["description"] = describe(values["description"])
    return cleaned
