"""Where agents are kept."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, delete, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert

from aicq.db.repository import Repository
from aicq.identity.models import Agent

PAGE = 100

ENTER = text("""
WITH me AS (
    SELECT id, is_active FROM agents WHERE id = :agent_id
), spent AS (
    INSERT INTO nonces (actor_id, nonce) SELECT id, :nonce FROM me WHERE is_active
    ON CONFLICT DO NOTHING RETURNING actor_id
)
SELECT me.is_active, EXISTS (SELECT FROM spent) AS is_fresh FROM me
""")


class AgentRepository(Repository[Agent]):
    """Agents by id, by key, by name, and by what they belong to."""

    model_type = Agent

    async def register(self, agent_id: UUID, *, public_key: str, name: str | None, email: str | None) -> Agent | None:
        """Adds an agent, or returns None if its key is registered already; of many at once, one is added."""
        values = {"id": agent_id, "public_key": public_key, "name": name, "email": email}
        statement = insert(Agent).values(values).on_conflict_do_nothing(index_elements=[Agent.public_key])
        async with self.session.begin_nested() as attempt:
            added = (await self.session.execute(statement.returning(Agent))).scalar_one_or_none()
            if added is None:
                # The trigger has made the actor before the conflict was found.
                await attempt.rollback()
        return added

    async def enter(self, agent_id: UUID, nonce: str) -> tuple[bool, bool]:
        """Spends a nonce of an agent, if it is active; returns whether it is, and whether the nonce was fresh."""
        row = (await self.session.execute(ENTER, {"agent_id": agent_id, "nonce": nonce})).one_or_none()
        return (False, False) if row is None else (row.is_active, row.is_fresh)

    async def find(self, agent_id: UUID) -> Agent | None:
        """The agent with this id, active or not."""
        return await self._one(Agent.id == agent_id)

    async def hold_active(self, agent_id: UUID) -> Agent | None:
        """The agent if it is active; nobody changes that before the transaction ends."""
        statement = select(Agent).where(Agent.id == agent_id, Agent.is_active).with_for_update(read=True)
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def find_by_public_key(self, public_key: str) -> Agent | None:
        """The agent with this key, active or not."""
        return await self._one(Agent.public_key == public_key)

    async def find_by_slug(self, team_id: UUID, slug: str) -> Agent | None:
        """The agent of a team with this slug that is not archived."""
        return await self._one(Agent.team_id == team_id, Agent.slug == slug, Agent.status != "archived")

    async def find_by_name(self, agent_type: str, name: str) -> Agent | None:
        """The agent of this type with this name."""
        return await self._one(Agent.type == agent_type, Agent.name == name)

    async def list_active(
        self, agent_ids: Sequence[UUID], *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Agent]:
        """Those of these agents that are active, by id."""
        among = Agent.id == any_(literal(list(agent_ids), ARRAY(Uuid)))
        return await self._page(among, Agent.is_active, after=after, limit=limit)

    async def list_by_type(self, agent_type: str, *, after: str = "", limit: int = PAGE) -> Sequence[Agent]:
        """Agents of a type by name, beginning behind the name `after`."""
        statement = select(Agent).where(Agent.type == agent_type, Agent.name > after).order_by(Agent.name)
        return (await self.session.execute(statement.limit(limit))).scalars().all()

    async def list_of_team(
        self, team_id: UUID, *, status: str = "active", after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Agent]:
        """A team's agents that are in this status."""
        return await self._page(Agent.team_id == team_id, Agent.status == status, after=after, limit=limit)

    async def list_by_model(
        self, provider: str, name: str, *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Agent]:
        """The agents that run on this model."""
        where = (Agent.model_provider == provider, Agent.model_name == name)
        return await self._page(*where, after=after, limit=limit)

    async def list_tagged(
        self, tags: Sequence[str], *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Agent]:
        """The agents that bear all of these tags."""
        return await self._page(Agent.tags.contains(tags), after=after, limit=limit)

    async def change(self, agent_id: UUID, **values: Any) -> Agent | None:
        """Changes columns of an agent and returns it, or None if there is none."""
        return await self.changed(update(Agent).where(Agent.id == agent_id).values(values))

    async def change_key(self, agent_id: UUID, *, old: str, new: str) -> Agent | None:
        """Gives an active agent another key, if the old one is still its; else returns None."""
        where = (Agent.id == agent_id, Agent.public_key == old, Agent.is_active)
        return await self.changed(update(Agent).where(*where).values(public_key=new))

    async def remove(self, agent_id: UUID, *, public_key: str) -> bool:
        """Deletes the agent with this key; its anchor stays. False if there is none."""
        statement = delete(Agent).where(Agent.id == agent_id, Agent.public_key == public_key).returning(Agent.id)
        return (await self.session.execute(statement)).first() is not None

    async def _one(self, *where: Any) -> Agent | None:
        return (await self.session.execute(select(Agent).where(*where))).scalar_one_or_none()

    async def _page(self, *where: Any, after: UUID | None, limit: int) -> Sequence[Agent]:
        statement = select(Agent).where(*where).order_by(Agent.id).limit(limit)
        if after is not None:
            statement = statement.where(Agent.id > after)
        return (await self.session.execute(statement)).scalars().all()
