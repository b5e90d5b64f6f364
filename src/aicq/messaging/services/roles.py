"""Roles of guilds: making, changing, moving and deleting them, giving and taking them.

Nobody makes a role, or gives one, that allows more than they may do themselves, and nobody changes what stands as high
as they do.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.auth.principal import Principal
from aicq.errors import Forbidden, NotFound, Unprocessable
from aicq.identity.services.directory import enter
from aicq.ids import new_row_id
from aicq.messaging.models import MemberRole, Role
from aicq.messaging.permissions import ALL, Permission
from aicq.messaging.repositories.guilds import GuildMemberRepository, GuildRepository, Standing
from aicq.messaging.repositories.roles import RoleRepository
from aicq.messaging.services.holds import hold_guild
from aicq.messaging.services.texts import line
from aicq.origin import Origin


class RoleService:
    """Roles, within a request's transaction.

    Args:
        session: The transaction.
        origin: Who asks, for the audit log.
    """

    def __init__(self, session: AsyncSession, origin: Origin) -> None:
        self._session = session
        self._origin = origin
        self._guilds = GuildRepository(session)
        self._members = GuildMemberRepository(session)
        self._roles = RoleRepository(session)

    async def list_all(self, caller: Principal, guild_id: UUID, *, below: int | None, limit: int) -> Sequence[Role]:
        """A guild's roles, the highest first and @everyone last.

        Raises:
            NotFound: There is no such guild, or the caller is no member.
        """
        await enter(self._session, caller)
        if await self._guilds.find_for(guild_id, caller.id) is None:
            raise NotFound("guild not found")
        return await self._roles.list_of_guild(guild_id, below=below, limit=limit)

    async def create(self, caller: Principal, guild_id: UUID, *, name: str, permissions: int, now: int) -> Role:
        """Makes a role, the lowest but @everyone.

        Raises:
            NotFound: There is no such guild, or the caller is no member.
            Forbidden: They may not manage roles, or the role would allow what they may not do.
            Unprocessable: The name or the permissions are not well formed.
        """
        _, standing = await hold_guild(self._session, guild_id, caller, Permission.MANAGE_ROLES)
        check_permissions(permissions, standing)
        if not standing.rank:
            raise Forbidden("a role of your own must stand above it")
        role = await self._roles.create(new_row_id(now), guild_id, name=line(name, "name"), permissions=permissions)
        await self._record("create", role, new=told_of(role))
        return role

    async def change(
        self,
        caller: Principal,
        guild_id: UUID,
        role_id: UUID,
        *,
        name: str | None,
        permissions: int | None,
        position: int | None,
    ) -> Role:
        """Renames a role, changes what it allows, or moves it; None leaves a value as it is.

        Raises:
            NotFound: There is no such guild or role.
            Forbidden: The caller may not manage roles, or not this one, or it would allow what they may not do.
            Unprocessable: A value is not well formed, or @everyone would be renamed or moved.
        """
        _, standing = await hold_guild(self._session, guild_id, caller, Permission.MANAGE_ROLES)
        role = await self._below(guild_id, role_id, standing)
        if role.position == 0 and (name is not None or position is not None):
            raise Unprocessable("@everyone keeps its name and its place", field="position" if name is None else "name")
        if position is not None and not 1 <= position < standing.rank:
            raise Forbidden("a role stays below your own", field="position")
        old = told_of(role)
        values: dict[str, Any] = {}
        if name is not None:
            values["name"] = line(name, "name")
        if permissions is not None:
            check_permissions(permissions ^ role.permissions, standing)
            values["permissions"] = permissions
        if values:
            role = await self._roles.change(role_id, **values)
        if position is not None:
            role = await self._roles.move(role, position)
        await self._record("change", role, old=old, new=told_of(role))
        return role

    async def delete(self, caller: Principal, guild_id: UUID, role_id: UUID) -> None:
        """Deletes a role; nobody has it any more.

        Raises:
            NotFound: There is no such guild or role.
            Forbidden: The caller may not manage roles, or not this one.
            Unprocessable: It is @everyone.
        """
        _, standing = await hold_guild(self._session, guild_id, caller, Permission.MANAGE_ROLES)
        role = await self._below(guild_id, role_id, standing)
        if role.position == 0:
            raise Unprocessable("@everyone stays", field="role_id")
        old = told_of(role)
        await self._roles.remove(role)
        await self._record("delete", role, old=old)

    async def give(self, caller: Principal, guild_id: UUID, actor_id: UUID, role_id: UUID) -> None:
        """Gives a role to a member; who has it already keeps it.

        Raises:
            NotFound: There is no such guild, role or member.
            Forbidden: The caller may not manage roles, or not this one, or may not do all that it allows.
            Unprocessable: It is @everyone.
        """
        role, standing = await self._hold_for_gift(caller, guild_id, role_id)
        check_permissions(role.permissions, standing)
        if not await self._members.is_member(guild_id, actor_id):
            raise NotFound("member not found")
        if await self._roles.give(guild_id, actor_id, role_id):
            key = (guild_id, actor_id, role_id)
            await record(self._session, self._origin, "member_roles.give", resource=MemberRole, key=key, new={})

    async def take(self, caller: Principal, guild_id: UUID, actor_id: UUID, role_id: UUID) -> None:
        """Takes a role from a member.

        Raises:
            NotFound: There is no such guild or role, or they do not have it.
            Forbidden: The caller may not manage roles, or not this one.
            Unprocessable: It is @everyone.
        """
        await self._hold_for_gift(caller, guild_id, role_id)
        if not await self._roles.take(guild_id, actor_id, role_id):
            raise NotFound("they do not have this role")
        key = (guild_id, actor_id, role_id)
        await record(self._session, self._origin, "member_roles.take", resource=MemberRole, key=key, old={})

    async def _hold_for_gift(self, caller: Principal, guild_id: UUID, role_id: UUID) -> tuple[Role, Standing]:
        _, standing = await hold_guild(self._session, guild_id, caller, Permission.MANAGE_ROLES)
        role = await self._below(guild_id, role_id, standing)
        if role.position == 0:
            raise Unprocessable("everybody has @everyone", field="role_id")
        return role, standing

    async def _below(self, guild_id: UUID, role_id: UUID, standing: Standing) -> Role:
        """A role that stands below the caller."""
        role = await self._roles.find(guild_id, role_id)
        if role is None:
            raise NotFound("role not found")
        if role.position >= standing.rank:
            raise Forbidden("it stands as high as your own role or higher")
        return role

    async def _record(
        self, verb: str, role: Role, *, old: Mapping[str, Any] | None = None, new: Mapping[str, Any] | None = None
    ) -> None:
        await record(self._session, self._origin, f"roles.{verb}", resource=Role, key=role.id, old=old, new=new)


def check_permissions(permissions: int, standing: Standing) -> None:
    """Refuses bits that mean nothing, and those that the caller does not have.

    Raises:
        Unprocessable: There are no such permissions.
        Forbidden: The caller may not do all of this.
    """
    if not 0 <= permissions <= ALL:
        raise Unprocessable(f"permissions must be between 0 and {ALL}", field="permissions")
    if permissions & ~standing.permissions:
        raise Forbidden("a role allows no more than you may do yourself", field="permissions")


def told_of(role: Role) -> dict[str, Any]:
    """What the audit log keeps of a role."""
    return {"guild_id": role.guild_id, "name": role.name, "permissions": role.permissions, "position": role.position}
