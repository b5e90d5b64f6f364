"""Conversations and memories under `/admin`."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.http.resources.resource import Resource, Row
from aicq.memory.models import (
    Conversation,
    ConversationMessage,
    Memory,
    MemoryAccess,
    MemoryLink,
    MemoryLog,
    MemoryTag,
)
from aicq.memory.repositories import MemoryRepository

TOLD = (
    "agent_id",
    "user_id",
    "memory_type",
    "content",
    "subject",
    "importance",
    "confidence",
    "is_pinned",
    "source_type",
    "source_conversation_id",
    "source_message_ids",
    "extraction_model",
    "metadata",
    "tier",
    "status",
    "expires_at",
)
"""What an admin may say of a memory; what supersedes it and what it means is for those to say who keep it."""


class Remembered(Resource):
    """Rows of which a change is a part of a memory's history; it tells that an admin made it."""

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds a row and returns it."""
        await MemoryRepository(session).explain(changed_by="admin")
        return await super().add(session, values)

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes a row, which is locked, and returns what it is now."""
        await MemoryRepository(session).explain(changed_by="admin")
        return await super().change(session, row, values)

    async def remove(self, session: AsyncSession, row: Row) -> None:
        """Deletes a row, which is locked."""
        await MemoryRepository(session).explain(changed_by="admin")
        await super().remove(session, row)


class Memories(Remembered):
    """Memories. One that is given other content loses its embedding, which is the meaning of the old."""

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes a memory, which is locked, and returns what it is now."""
        if "content" in values:
            values = {**values, "embedding": None, "embedding_model": None}
        return await super().change(session, row, values)


RESOURCES = [
    Resource(
        Conversation,
        create=("team_id", "agent_id", "user_id", "title", "status", "summary", "metadata"),
        update=("agent_id", "user_id", "title", "status", "summary", "metadata"),
        delete=True,
        filters=("team_id", "agent_id", "user_id", "status"),
        search=("title",),
    ),
    Resource(
        ConversationMessage,
        create=(
            "team_id",
            "conversation_id",
            "agent_id",
            "role",
            "content",
            "tool_calls",
            "tool_results",
            "token_count",
            "model",
        ),
        update=("token_count", "feedback_rating", "feedback_comment"),
        delete=True,
        filters=("team_id", "conversation_id", "agent_id", "role", "feedback_rating"),
    ),
    Memories(
        Memory,
        create=("team_id", *TOLD),
        update=TOLD,
        delete=True,
        hidden=("embedding", "words"),
        filters=("team_id", "agent_id", "user_id", "memory_type", "status", "tier", "superseded_by"),
        search=("subject",),
    ),
    Remembered(
        MemoryTag,
        create=("memory_id", "tag", "team_id"),
        delete=True,
        filters=("memory_id", "tag", "team_id"),
    ),
    Remembered(
        MemoryLink,
        create=("from_id", "to_id", "kind", "team_id"),
        delete=True,
        filters=("from_id", "to_id", "kind", "team_id"),
    ),
    Resource(MemoryAccess, filters=("team_id",)),
    Resource(
        MemoryLog,
        hidden=("embedding",),
        filters=("memory_id", "team_id", "action", "changed_by"),
        period="created_at",
    ),
]
