"""Where conversations and their messages are kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, tuple_, update

from aicq.db.repository import Repository
from aicq.identity.models import Team
from aicq.memory.models import Conversation, ConversationMessage

PAGE = 100

FRESH = {"populate_existing": True}
"""As the rows are now, not as the session has seen them before a trigger changed them."""


class ConversationRepository(Repository[Conversation]):
    """A team's conversations. Lists go by id, which is by age: each takes the last id of the page before."""

    model_type = Conversation

    async def create(self, conversation_id: UUID, **values: Any) -> Conversation:
        """Adds a conversation."""
        statement = insert(Conversation).values(id=conversation_id, **values).returning(Conversation)
        return (await self.session.execute(statement)).scalar_one()

    async def find(self, team_id: UUID, conversation_id: UUID) -> Conversation | None:
        """A team's conversation."""
        where = (Conversation.team_id == team_id, Conversation.id == conversation_id)
        found = await self.session.execute(select(Conversation).where(*where), execution_options=FRESH)
        return found.scalar_one_or_none()

    async def change(self, team_id: UUID, conversation_id: UUID, **values: Any) -> Conversation | None:
        """Changes columns of a conversation and returns it, or None if there is none."""
        where = (Conversation.team_id == team_id, Conversation.id == conversation_id)
        statement = update(Conversation).where(*where).values(values).returning(Conversation)
        return (await self.session.execute(statement, execution_options=FRESH)).scalar_one_or_none()

    async def remove(self, team_id: UUID, conversation_id: UUID) -> bool:
        """Deletes a conversation with its messages; what was drawn out of it stays. False if there is none."""
        where = (Conversation.team_id == team_id, Conversation.id == conversation_id)
        return (
            await self.session.execute(delete(Conversation).where(*where).returning(Conversation.id))
        ).first() is not None

    async def list_of_team(
        self, team_id: UUID, *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Conversation]:
        """A team's conversations."""
        return await self._page(Conversation.team_id == team_id, after=after, limit=limit)

    async def list_active(
        self, team_id: UUID, *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Conversation]:
        """A team's conversations that go on."""
        where = (Conversation.team_id == team_id, Conversation.status == "active")
        return await self._page(*where, after=after, limit=limit)

    async def list_by_agent(
        self, team_id: UUID, agent_id: UUID, *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Conversation]:
        """An agent's conversations."""
        where = (Conversation.team_id == team_id, Conversation.agent_id == agent_id)
        return await self._page(*where, after=after, limit=limit)

    async def list_by_user(
        self, user_id: UUID, *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Conversation]:
        """Conversations with an actor, of all teams."""
        return await self._page(Conversation.user_id == user_id, after=after, limit=limit)

    async def prune(self, *, now: datetime, limit: int = PAGE) -> int:
        """Deletes some conversations that are past what their teams keep, and returns how many.

        What counts is when the last message came. A conversation that somebody writes in just now is left.
        """
        kept_since = now - func.make_interval(0, 0, 0, Team.conversation_retention_days)
        last = func.coalesce(Conversation.last_message_at, Conversation.created_at)
        past = (
            select(Conversation.id)
            .join(Team, Team.id == Conversation.team_id)
            .where(Team.conversation_retention_days.is_not(None), last < kept_since)
            .order_by(Conversation.id)
            .limit(limit)
            .with_for_update(skip_locked=True, of=Conversation)
        )
        statement = delete(Conversation).where(Conversation.id.in_(past)).returning(Conversation.id)
        return len((await self.session.execute(statement)).all())

    async def _page(self, *where: Any, after: UUID | None, limit: int) -> Sequence[Conversation]:
        statement = select(Conversation).where(*where).order_by(Conversation.id).limit(limit)
        if after is not None:
            statement = statement.where(Conversation.id > after)
        return (await self.session.execute(statement, execution_options=FRESH)).scalars().all()


class ConversationMessageRepository(Repository[ConversationMessage]):
    """What was said in conversations."""

    model_type = ConversationMessage

    async def append(self, rows: Sequence[dict[str, Any]]) -> Sequence[ConversationMessage]:
        """Adds messages, of whichever conversations, in one statement."""
        statement = insert(ConversationMessage).returning(ConversationMessage, sort_by_parameter_order=True)
        return (await self.session.execute(statement, rows)).scalars().all()

    async def list_of(
        self, conversation_id: UUID, *, after: tuple[datetime, UUID] | None = None, limit: int = PAGE
    ) -> Sequence[ConversationMessage]:
        """The messages of a conversation in the order in which they were said.

        Args:
            conversation_id: The conversation.
            after: The time and the id of the last message of the page before.
            limit: The most messages.
        """
        key = (ConversationMessage.created_at, ConversationMessage.id)
        statement = select(ConversationMessage).where(ConversationMessage.conversation_id == conversation_id)
        if after is not None:
            statement = statement.where(tuple_(*key) > after)
        return (await self.session.execute(statement.order_by(*key).limit(limit))).scalars().all()

    async def rate(self, team_id: UUID, message_id: UUID, *, rating: str | None, comment: str | None) -> bool:
        """Keeps what somebody thinks of a message; False if there is no such message."""
        where = (ConversationMessage.team_id == team_id, ConversationMessage.id == message_id)
        values = {"feedback_rating": rating, "feedback_comment": comment}
        statement = update(ConversationMessage).where(*where).values(values).returning(ConversationMessage.id)
        return (await self.session.execute(statement)).first() is not None
