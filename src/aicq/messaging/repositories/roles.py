"""Where roles are kept, and who has them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from aicq.db.repository import Repository
from aicq.messaging.models import MemberRole, Role

PAGE = 100


class RoleRepository(Repository[Role]):
    """The roles of guilds. Whoever changes them holds the guild's lock, so that positions stay without gaps."""

    model_type = Role

    async def create(self, role_id: UUID, guild_id: UUID, *, name: str, permissions: int) -> Role:
        """Adds a role just above @everyone; all others rise by one."""
        await self._shift(guild_id, Role.position + 1, Role.position > 0)
        return await self.added(id=role_id, guild_id=guild_id, name=name, permissions=permissions, position=1)

    async def find(self, guild_id: UUID, role_id: UUID) -> Role | None:
        """A role of a guild."""
        return (await self.session.execute(_one(guild_id, role_id))).scalar_one_or_none()

    async def list_of_guild(self, guild_id: UUID, *, below: int | None = None, limit: int = PAGE) -> Sequence[Role]:
        """A guild's roles, the highest first and @everyone last."""
        statement = select(Role).where(Role.guild_id == guild_id)
        if below is not None:
            statement = statement.where(Role.position < below)
        statement = statement.order_by(Role.position.desc()).limit(limit)
        return (await self.session.execute(statement)).scalars().all()

    async def list_of_member(self, guild_id: UUID, actor_id: UUID) -> Sequence[Role]:
        """The roles of a member, the highest first and @everyone last; none for who is no member."""
        held = select(MemberRole.role_id).where(MemberRole.guild_id == guild_id, MemberRole.actor_id == actor_id)
        is_theirs = or_(Role.position == 0, Role.id.in_(held))
        statement = select(Role).where(Role.guild_id == guild_id, is_theirs)
        statement = statement.where(func.guild_rank(guild_id, actor_id).is_not(None)).order_by(Role.position.desc())
        return (await self.session.execute(statement)).scalars().all()

    async def list_of_members(self, guild_id: UUID, actor_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
        """The roles that members were given, by member; one statement for all."""
        statement = select(MemberRole.actor_id, MemberRole.role_id).where(
            MemberRole.guild_id == guild_id, MemberRole.actor_id.in_(actor_ids)
        )
        roles: dict[UUID, list[UUID]] = {actor_id: [] for actor_id in actor_ids}
        for actor_id, role_id in await self.session.execute(statement.order_by(MemberRole.role_id)):
            roles[actor_id].append(role_id)
        return roles

    async def list_holders(
        self, guild_id: UUID, role_id: UUID, *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[UUID]:
        """The members who were given a role."""
        statement = select(MemberRole.actor_id).where(MemberRole.guild_id == guild_id, MemberRole.role_id == role_id)
        if after is not None:
            statement = statement.where(MemberRole.actor_id > after)
        statement = statement.order_by(MemberRole.actor_id).limit(limit)
        return (await self.session.execute(statement)).scalars().all()

    async def permissions(self, guild_id: UUID, actor_id: UUID) -> int:
        """What an actor may do in a guild, by all of their roles."""
        return await self.session.scalar(select(func.guild_permissions(guild_id, actor_id))) or 0

    async def change(self, role_id: UUID, **values: Any) -> Role:
        """Changes a role's name or permissions."""
        statement = update(Role).where(Role.id == role_id).values(values).returning(Role)
        statement = statement.execution_options(populate_existing=True)
        return (await self.session.execute(statement)).scalar_one()

    async def move(self, role: Role, position: int) -> Role:
        """Puts a role elsewhere above @everyone; those between give way by one. At most it becomes the highest."""
        highest = await self.session.scalar(select(func.max(Role.position)).where(Role.guild_id == role.guild_id))
        position = max(1, min(position, highest or 1))
        step = -1 if position > role.position else 1
        low, high = sorted((role.position, position))
        moved = case((Role.id == role.id, position), else_=Role.position + step)
        await self._shift(role.guild_id, moved, Role.position.between(low, high))
        found: Role = (await self.session.execute(_one(role.guild_id, role.id))).scalar_one()
        return found

    async def remove(self, role: Role) -> None:
        """Deletes a role; all above it sink by one, and nobody has it any more."""
        statement = delete(Role).where(Role.id == role.id).execution_options(synchronize_session=False)
        await self.session.execute(statement)
        await self._shift(role.guild_id, Role.position - 1, Role.position > role.position)

    async def give(self, guild_id: UUID, actor_id: UUID, role_id: UUID) -> bool:
        """Gives a role to a member; False if they have it already."""
        values = {"guild_id": guild_id, "actor_id": actor_id, "role_id": role_id}
        statement = insert(MemberRole).values(values).on_conflict_do_nothing().returning(literal(1))
        return (await self.session.execute(statement)).first() is not None

    async def take(self, guild_id: UUID, actor_id: UUID, role_id: UUID) -> bool:
        """Takes a role from a member; False if they did not have it."""
        where = (MemberRole.guild_id == guild_id, MemberRole.actor_id == actor_id, MemberRole.role_id == role_id)
        statement = delete(MemberRole).where(*where).returning(literal(1))
        return (await self.session.execute(statement)).first() is not None

    async def _shift(self, guild_id: UUID, position: Any, which: Any) -> None:
        statement = update(Role).where(Role.guild_id == guild_id, which).values(position=position)
        await self.session.execute(statement.execution_options(synchronize_session=False))


def _one(guild_id: UUID, role_id: UUID) -> Any:
    statement = select(Role).where(Role.guild_id == guild_id, Role.id == role_id)
    return statement.execution_options(populate_existing=True)
