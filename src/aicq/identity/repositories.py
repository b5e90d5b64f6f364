"""Where agents are kept."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from aicq.db.repository import Repository
from aicq.identity.models import Agent


class AgentRepository(Repository[Agent]):
    """Agents by id and by key."""

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

    async def find(self, agent_id: UUID) -> Agent | None:
        """The agent with this id, active or not."""
        return (await self.session.execute(select(Agent).where(Agent.id == agent_id))).scalar_one_or_none()

    async def find_by_public_key(self, public_key: str) -> Agent | None:
        """The agent with this key, active or not."""
        statement = select(Agent).where(Agent.public_key == public_key)
        return (await self.session.execute(statement)).scalar_one_or_none()
