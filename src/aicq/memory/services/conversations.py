"""Keeping conversations: begin, say, change, rate, delete."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.clock import from_ms
from aicq.errors import Conflict, NotFound
from aicq.http.resources.fields import given
from aicq.ids import new_row_id
from aicq.memory.models import Conversation, ConversationMessage
from aicq.memory.repositories import ConversationFilter, ConversationMessageRepository, ConversationRepository
from aicq.memory.schemas.conversations import (
    ConversationChange,
    ConversationCreate,
    ConversationRecord,
    Feedback,
    MessageCreate,
    MessageRecord,
)
from aicq.origin import Origin

PAGE = 100

TICK = timedelta(microseconds=1)


class ConversationService:
    """What can be done in a team's conversations, within a transaction.

    Args:
        session: The transaction.
        origin: Who does it, for the audit log.
    """

    def __init__(self, session: AsyncSession, *, origin: Origin) -> None:
        self._session = session
        self._conversations = ConversationRepository(session)
        self._messages = ConversationMessageRepository(session)
        self._origin = origin

    async def begin(self, wanted: ConversationCreate, *, now: int) -> ConversationRecord:
        """Begins a conversation. Postgres refuses an agent of another team.

        Args:
            wanted: What begins.
            now: Unix time in milliseconds.
        """
        values = given(wanted)
        made = await self._conversations.create(new_row_id(now), details=values.pop("metadata"), **values)
        new = {name: values[name] for name in Conversation.__audited__ if name in values}
        await record(self._session, self._origin, "conversations.create", resource=Conversation, key=made.id, new=new)
        return _told(made)

    async def say(
        self, team_id: UUID, conversation_id: UUID, turns: Sequence[MessageCreate], *, now: int
    ) -> list[MessageRecord]:
        """Adds turns to a conversation, in one statement and in their order.

        Turns are no change of what there was, so they are not in the audit log.

        Args:
            team_id: Its team.
            conversation_id: The conversation.
            turns: What is said.
            now: Unix time in milliseconds.

        Raises:
            NotFound: There is no such conversation.
            Conflict: It is closed.
        """
        conversation = await self._find(team_id, conversation_id, locked=True)
        if conversation.status == "closed":
            raise Conflict("the conversation is closed")
        # Later than all that was said, so that no page has passed the place. Turns of one moment go by their ids.
        last = conversation.last_message_at or conversation.created_at
        same = {"team_id": team_id, "conversation_id": conversation_id, "created_at": max(from_ms(now), last + TICK)}
        ids = sorted(new_row_id(now) for _ in turns)
        rows = [{"id": each, **same, **given(turn)} for each, turn in zip(ids, turns, strict=True)]
        return [_turn(row) for row in await self._messages.append(rows)]

    async def change(self, team_id: UUID, conversation_id: UUID, change: ConversationChange) -> ConversationRecord:
        """Changes what is told of a conversation.

        Raises:
            NotFound: There is no such conversation.
        """
        values = given(change)
        if not values:
            return await self.get(team_id, conversation_id)
        if "metadata" in values:
            values["details"] = values.pop("metadata")
        changed = await self._conversations.change(team_id, conversation_id, **values)
        if changed is None:
            raise NotFound("conversation not found")
        await self._record("update", conversation_id, new=values)
        return _told(changed)

    async def rate(self, conversation_id: UUID, message_id: UUID, feedback: Feedback) -> None:
        """Keeps what somebody thinks of a turn.

        Raises:
            NotFound: There is no such turn.
        """
        if not await self._messages.rate(conversation_id, message_id, **given(feedback)):
            raise NotFound("message not found")

    async def remove(self, team_id: UUID, conversation_id: UUID) -> None:
        """Deletes a conversation with its turns; what was drawn out of it stays.

        Raises:
            NotFound: There is no such conversation.
        """
        if not await self._conversations.remove(team_id, conversation_id):
            raise NotFound("conversation not found")
        await self._record("delete", conversation_id)

    async def get(self, team_id: UUID, conversation_id: UUID) -> ConversationRecord:
        """Returns a conversation.

        Raises:
            NotFound: There is no such conversation.
        """
        return _told(await self._find(team_id, conversation_id))

    async def page(
        self, wanted: ConversationFilter, *, before: UUID | None = None, limit: int = PAGE
    ) -> list[ConversationRecord]:
        """A team's conversations, the newest first; only those older than `before`."""
        return [_told(row) for row in await self._conversations.page(wanted, before=before, limit=limit)]

    async def turns(
        self,
        team_id: UUID,
        conversation_id: UUID,
        *,
        after: tuple[datetime, UUID] | None = None,
        limit: int = PAGE,
    ) -> list[MessageRecord]:
        """The turns of a conversation, in the order in which they were said.

        Args:
            team_id: Its team.
            conversation_id: The conversation.
            after: The time and the id of the last turn of the page before.
            limit: The most turns.

        Raises:
            NotFound: There is no such conversation.
        """
        await self.get(team_id, conversation_id)
        return [_turn(row) for row in await self._messages.list_of(conversation_id, after=after, limit=limit)]

    async def _find(self, team_id: UUID, conversation_id: UUID, *, locked: bool = False) -> Conversation:
        found = await self._conversations.find(team_id, conversation_id, locked=locked)
        if found is None:
            raise NotFound("conversation not found")
        return found

    async def _record(self, verb: str, conversation_id: UUID, new: dict[str, Any] | None = None) -> None:
        action = f"conversations.{verb}"
        await record(self._session, self._origin, action, resource=Conversation, key=conversation_id, new=new)


def _told(conversation: Conversation) -> ConversationRecord:
    return msgspec.convert(conversation, ConversationRecord, from_attributes=True)


def _turn(message: ConversationMessage) -> MessageRecord:
    return msgspec.convert(message, MessageRecord, from_attributes=True)
