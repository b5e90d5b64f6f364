"""Which team a memory or a conversation belongs to, and what an actor is there: one statement for each question."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.identity.repositories.belonging import role_in_team
from aicq.memory.models import Conversation, Memory, MemoryLog
from aicq.memory.repositories.log import was_told_to
from aicq.memory.repositories.memories import is_told_to

Place = tuple[UUID, str]
"""A team, and what the actor is in it."""


class ReachRepository:
    """Where an actor stands. None where they are nobody, or where there is nothing.

    Args:
        session: Where to ask.
        actor_id: Who.
    """

    def __init__(self, session: AsyncSession, actor_id: UUID) -> None:
        self._session = session
        self._actor_id = actor_id

    async def team(self, team_id: UUID) -> Place | None:
        """In a team."""
        return await self._place(select(literal(team_id), self._role(team_id)))

    async def memory(self, memory_id: UUID) -> Place | None:
        """At a memory."""
        where = (Memory.id == memory_id, is_told_to(self._actor_id))
        return await self._place(select(Memory.team_id, self._role(Memory.team_id)).where(*where))

    async def history(self, memory_id: UUID) -> Place | None:
        """At a memory's history, which is there when the memory is not any more."""
        last = select(MemoryLog).where(MemoryLog.memory_id == memory_id).order_by(MemoryLog.seq.desc()).limit(1)
        columns = last.with_only_columns(MemoryLog.team_id, MemoryLog.snapshot).subquery()
        is_told = was_told_to(columns.c.snapshot, self._actor_id)
        return await self._place(select(columns.c.team_id, self._role(columns.c.team_id)).where(is_told))

    async def conversation(self, conversation_id: UUID) -> Place | None:
        """At a conversation."""
        statement = select(Conversation.team_id, self._role(Conversation.team_id))
        return await self._place(statement.where(Conversation.id == conversation_id))

    def _role(self, team_id: Any) -> Any:
        return role_in_team(team_id, self._actor_id).label("role")

    async def _place(self, statement: Select[Any]) -> Place | None:
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None or row.role is None else (row[0], row.role)
