"""Where teams and their members are kept."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, literal, select
from sqlalchemy.dialects.postgresql import insert

from aicq.db.repository import Repository
from aicq.identity.models import Actor, Team, TeamMembership

PAGE = 100


class TeamRepository(Repository[Team]):
    """Teams and their members."""

    model_type = Team

    async def create(self, team_id: UUID, **values: Any) -> Team:
        """Adds a team, and its owner as a member."""
        team = (await self.session.execute(insert(Team).values(id=team_id, **values).returning(Team))).scalar_one()
        await self.put_member(team.id, team.owner_id, "owner")
        return team

    async def find(self, team_id: UUID) -> Team | None:
        """The team with this id."""
        return (await self.session.execute(select(Team).where(Team.id == team_id))).scalar_one_or_none()

    async def find_by_slug(self, slug: str) -> Team | None:
        """The team with this slug."""
        return (await self.session.execute(select(Team).where(Team.slug == slug))).scalar_one_or_none()

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
        living = (
            select(literal(team_id), Actor.id, literal(role).cast(TeamMembership.role.type))
            .where(Actor.id == actor_id, Actor.deleted_at.is_(None))
            .with_for_update(read=True, key_share=True)
        )
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
