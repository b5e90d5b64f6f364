"""Recalling memories: what a team knows now, or knew at a past moment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.memory.repositories import MemoryLogRepository, MemoryRepository
from aicq.memory.repositories.ranking import Question
from aicq.memory.repositories.recall import Found, Scope
from aicq.memory.schemas.memories import (
    MemoryRecord,
    MemorySearchRequest,
    MemorySearchResult,
    PastMemory,
    Recollection,
    ScoreParts,
)
from aicq.memory.services.memories import check_embedding, clean_tags, record_of

log = structlog.get_logger("aicq.memory")


class Recall:
    """What can be asked of a team's memories. Nothing is counted here: `Accesses` does that after the answer.

    Args:
        session: Where to ask.
        dimensions: The length of embeddings.
    """

    def __init__(self, session: AsyncSession, *, dimensions: int) -> None:
        self._memories = MemoryRepository(session)
        self._log = MemoryLogRepository(session)
        self._dimensions = dimensions

    async def recall(self, asked: MemorySearchRequest, *, now: datetime) -> Recollection:
        """Finds what answers a question best, by meaning and by words.

        Raises:
            Unprocessable: The embedding is not one.
        """
        check_embedding(asked.embedding, self._dimensions)
        question = Question(
            embedding=asked.embedding,
            query=asked.query,
            min_similarity=asked.min_similarity or -1.0,
            limit=asked.limit,
            weights=asked.weights,
        )
        if asked.as_of is not None:
            return await self._recall_at(question, scope_of(asked, now=asked.as_of))
        scope = scope_of(asked, now=now)
        extent = await self._memories.measure(scope)
        found, is_exact = await self._memories.recall(question, scope, extent)
        results = [_told(each, record_of(each.memory)) for each in found]
        return Recollection(results=results, is_exact=is_exact, suppressed=extent.suppressed)

    async def at(self, team_id: UUID, memory_id: UUID, moment: datetime) -> PastMemory:
        """What a memory was at a moment."""
        is_stable = await self._log.is_stable(moment)
        snapshot, deleted_at = await self._log.at(team_id, memory_id, moment)
        memory = None if snapshot is None else past_record(snapshot)
        return PastMemory(memory=memory, deleted_at=deleted_at, is_stable=is_stable)

    async def of_team_at(
        self, team_id: UUID, moment: datetime, *, after: UUID | None = None, limit: int = 100
    ) -> list[MemoryRecord]:
        """What a team's memories were at a moment, whatever their status, by id."""
        snapshots = await self._log.of_team_at(team_id, moment, after=after, limit=limit)
        return [past_record(snapshot) for snapshot in snapshots]

    async def _recall_at(self, question: Question, scope: Scope) -> Recollection:
        # Asked first: what begins to change after that is later than the moment that was asked about.
        is_stable = await self._log.is_stable(scope.now)
        found, suppressed = await self._log.recall_at(question, scope)
        results = [_told(each, past_record(each.memory)) for each in found]
        return Recollection(results=results, is_exact=True, suppressed=suppressed, is_stable=is_stable)


class Accesses:
    """Counts recalls, after they were answered. What goes wrong here is nobody's error.

    Args:
        sessions: A transaction of its own for each count.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions

    async def note(self, memory_ids: Sequence[UUID], *, now: datetime) -> None:
        """Counts that memories were recalled, each once."""
        if not memory_ids:
            return
        try:
            async with self._sessions.begin() as session:
                await MemoryRepository(session).note_access(memory_ids, now=now)
        except (SQLAlchemyError, OSError) as error:
            log.warning("recalls not counted", error=type(error).__name__)


def scope_of(asked: MemorySearchRequest, *, now: datetime) -> Scope:
    """Which memories a question is about."""
    return Scope(
        team_id=asked.team_id,
        now=now,
        agent_id=asked.agent_id,
        user_id=asked.user_id,
        memory_types=asked.memory_types,
        tags=clean_tags(asked.tags),
        min_importance=asked.min_importance,
        include_superseded=asked.include_superseded,
    )


def past_record(snapshot: dict[str, Any]) -> MemoryRecord:
    """A memory as it was, out of its history."""
    return msgspec.convert(snapshot, MemoryRecord)


def _told(found: Found, memory: MemoryRecord) -> MemorySearchResult:
    return MemorySearchResult(
        memory=memory, score=found.score, parts=ScoreParts(**found.parts), similarity=found.similarity
    )
