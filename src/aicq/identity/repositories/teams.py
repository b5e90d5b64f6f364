"""Where teams and their members are kept."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from aicq.db.repository import Repository
from aicq.identity.models import Actor, Team, TeamMembership

PAGE = 100


class TeamRepository(Repository[Team]):
    """Teams and their members."""

    model_type = Team

    async def create(self, team_id: UUID, *, owner_id: UUID, **values: Any) -> Team | None:
        """Adds a team, and its owner as a member; None if there is no such owner any more."""
        if not await self.is_living(owner_id):
            return None
        team = await self.added(id=team_id, owner_id=owner_id, **values)
        await self.put_member(team.id, owner_id, "owner")
        return team

    async def is_living(self, actor_id: UUID) -> bool:
        """Whether there is such an actor; none is deleted before the transaction ends."""
        return await self.session.scalar(_living(actor_id)) is not None

    async def owner_of(self, team_id: UUID) -> UUID | None:
        """Whom a team belongs to; nobody changes that before the transaction ends."""
        statement = select(Team.owner_id).where(Team.id == team_id).with_for_update(read=True)
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def lock(self, team_id: UUID) -> bool:
        """Lets nobody else change who belongs to a team until the transaction ends; False if there is no such team."""
        statement = select(Team.id).where(Team.id == team_id).with_for_update(key_share=True)
        return (await self.session.execute(statement)).first() is not None

    async def other_owner(self, team_id: UUID, actor_id: UUID) -> UUID | None:
        """Somebody else who has the role of an owner: the one who has it longest."""
        where = (TeamMembership.team_id == team_id, TeamMembership.role == "owner", TeamMembership.actor_id != actor_id)
        statement = select(TeamMembership.actor_id).where(*where).order_by(TeamMembership.created_at).limit(1)
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def hand_over(self, team_id: UUID, *, owner_id: UUID, from_id: UUID) -> None:
        """Gives a team to another owner, if it was this one's."""
        statement = update(Team).where(Team.id == team_id, Team.owner_id == from_id)
        await self.session.execute(statement.values(owner_id=owner_id))

    async def find(self, team_id: UUID) -> Team | None:
        """The team with this id."""
        return (await self.session.execute(select(Team).where(Team.id == team_id))).scalar_one_or_none()

    async def find_by_slug(self, slug: str) -> Team | None:
        """The team with this slug."""
        return (await self.session.execute(select(Team).where(Team.slug == slug))).scalar_one_or_none()

    async def change(self, team_id: UUID, **values: Any) -> Team | None:
        """Changes columns of a team and returns it, or None if there is none."""
        return await self.changed(update(Team).where(Team.id == team_id).values(values))

    async def remove(self, team_id: UUID) -> None:
        """Deletes a team, and all that belongs to it."""
        await self.session.execute(delete(Team).where(Team.id == team_id))

    async def list_owned(self, actor_id: UUID, *, after: UUID | None = None, limit: int = PAGE) -> Sequence[Team]:
        """The teams that an actor owns."""
        statement = select(Team).where(Team.owner_id == actor_id)
        return await self._page(statement, Team.id, after=after, limit=limit)

    async def list_of(self, actor_id: UUID, *, after: UUID | None = None, limit: int = PAGE) -> Sequence[Team]:
        """The teams that an actor is a member of."""
        statement = select(Team).join(TeamMembership, TeamMembership.team_id == Team.id)
        statement = statement.where(TeamMembership.actor_id == actor_id)
        return await self._page(statement, Team.id, after=after, limit=limit)

    async def role_of(self, team_id: UUID, actor_id: UUID) -> str | None:
        """An actor's role in a team; None if they are no member."""
        where = (TeamMembership.team_id == team_id, TeamMembership.actor_id == actor_id)
        return (await self.session.execute(select(TeamMembership.role).where(*where))).scalar_one_or_none()

    async def put_member(self, team_id: UUID, actor_id: UUID, role: str) -> bool:
        """Has an actor be a member with this role; False if there is no such actor any more."""
        living = _living(actor_id, literal(team_id), Actor.id, literal(role).cast(TeamMembership.role.type))
        statement = insert(TeamMembership).from_select(["team_id", "actor_id", "role"], living)
        keys = [TeamMembership.team_id, TeamMembership.actor_id]
        statement = statement.on_conflict_do_update(index_elements=keys, set_={"role": role})
        return (await self.session.execute(statement.returning(TeamMembership.actor_id))).first() is not None

    async def list_members(
        self, team_id: UUID, *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[TeamMembership]:
        """A team's members."""
        statement = select(TeamMembership).where(TeamMembership.team_id == team_id)
        return await self._page(statement, TeamMembership.actor_id, after=after, limit=limit)

    async def remove_member(self, team_id: UUID, actor_id: UUID) -> bool:
        """Ends a membership; False if there was none."""
        where = (TeamMembership.team_id == team_id, TeamMembership.actor_id == actor_id)
        statement = delete(TeamMembership).where(*where).returning(TeamMembership.actor_id)
        return (await self.session.execute(statement)).first() is not None

    async def _page(self, statement: Any, by: Any, *, after: UUID | None, limit: int) -> Sequence[Any]:
        if after is not None:
            statement = statement.where(by > after)
        return (await self.session.execute(statement.order_by(by).limit(limit))).scalars().all()


def _living(actor_id: UUID, *columns: Any) -> Any:
    """Of an actor who is not deleted, and is not deleted until the transaction ends."""
    statement = select(*(columns or (Actor.id,))).where(Actor.id == actor_id, Actor.deleted_at.is_(None))
    return statement.with_for_update(read=True, key_share=True)
