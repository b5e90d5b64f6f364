"""Where conversations and their messages are kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, insert, select, tuple_, update

from aicq.db.repository import Repository
from aicq.identity.models import Team
from aicq.memory.models import Conversation, ConversationMessage

PAGE = 100

FRESH = {"populate_existing": True}
"""As the rows are now, not as the session has seen them before a trigger changed them."""


class ConversationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a team's conversations are wanted; None asks for nothing."""

    team_id: UUID
    agent_id: UUID | None = None
    user_id: UUID | None = None
    status: str | None = None


class ConversationRepository(Repository[Conversation]):
    """A team's conversations."""

    model_type = Conversation

    async def create(self, conversation_id: UUID, **values: Any) -> Conversation:
        """Adds a conversation."""
        return await self.added(id=conversation_id, **values)

    async def find(self, team_id: UUID, conversation_id: UUID, *, locked: bool = False) -> Conversation | None:
        """A team's conversation; locked against changes by others if it is to change."""
        statement = select(Conversation).where(Conversation.team_id == team_id, Conversation.id == conversation_id)
        statement = statement.with_for_update(key_share=True) if locked else statement
        return (await self.session.execute(statement, execution_options=FRESH)).scalar_one_or_none()

    async def change(self, team_id: UUID, conversation_id: UUID, **values: Any) -> Conversation | None:
        """Changes columns of a conversation and returns it, or None if there is none."""
        where = (Conversation.team_id == team_id, Conversation.id == conversation_id)
        return await self.changed(update(Conversation).where(*where).values(values))

    async def remove(self, team_id: UUID, conversation_id: UUID) -> bool:
        """Deletes a conversation with its messages; what was drawn out of it stays. False if there is none."""
        where = (Conversation.team_id == team_id, Conversation.id == conversation_id)
        return (
            await self.session.execute(delete(Conversation).where(*where).returning(Conversation.id))
        ).first() is not None

    async def page(
        self, wanted: ConversationFilter, *, before: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Conversation]:
        """A team's conversations, the newest first; only those older than `before`."""
        given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
        statement = select(Conversation).where(*(getattr(Conversation, name) == given[name] for name in given))
        if before is not None:
            statement = statement.where(Conversation.id < before)
        statement = statement.order_by(Conversation.id.desc()).limit(limit)
        return (await self.session.execute(statement, execution_options=FRESH)).scalars().all()

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

    async def rate(self, conversation_id: UUID, message_id: UUID, *, rating: str | None, comment: str | None) -> bool:
        """Keeps what somebody thinks of a message; False if there is no such message."""
        where = (ConversationMessage.conversation_id == conversation_id, ConversationMessage.id == message_id)
        values = {"feedback_rating": rating, "feedback_comment": comment}
        statement = update(ConversationMessage).where(*where).values(values).returning(ConversationMessage.id)
        return (await self.session.execute(statement)).first() is not None
