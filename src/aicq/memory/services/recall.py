"""Recalling memories: what a team knows now, or knew at a past moment."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.batches import Batcher
from aicq.errors import NotFound, Unavailable
from aicq.http.resources.fields import given
from aicq.memory.repositories import MemoryFilter, MemoryLogRepository, MemoryRepository
from aicq.memory.repositories.ranking import Question
from aicq.memory.repositories.recall import Found, Scope
from aicq.memory.schemas.memories import (
    MemoryEntry,
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
            Unprocessable: The embedding is not one, or Postgres cannot read a value.
        """
        given(asked)
        check_embedding(asked.embedding, self._dimensions)
        question = Question(
            embedding=asked.embedding,
            query=asked.query,
            min_similarity=asked.min_similarity or -1.0,
            limit=asked.limit,
            weights=asked.weights,
        )
        if asked.as_of is not None:
            return await self._recall_at(question, scope_of(asked, now=asked.as_of, past=True))
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
        self,
        team_id: UUID,
        moment: datetime,
        *,
        reader: UUID | None = None,
        after: UUID | None = None,
        limit: int = 100,
    ) -> tuple[list[MemoryRecord], bool]:
        """What a team's memories were at a moment, whatever their status, by id, and whether that stays as it is.

        Args:
            team_id: The team.
            moment: When.
            reader: Who asks; only they are told what they kept for themselves.
            after: The last memory of the page before.
            limit: The most memories.
        """
        is_stable = await self._log.is_stable(moment)
        snapshots = await self._log.of_team_at(team_id, moment, reader=reader, after=after, limit=limit)
        return [past_record(snapshot) for snapshot in snapshots], is_stable

    async def get(self, team_id: UUID, memory_id: UUID) -> MemoryRecord:
        """A memory as it is, whatever its status.

        Raises:
            NotFound: There is no such memory.
        """
        memory = await self._memories.find(team_id, memory_id)
        if memory is None:
            raise NotFound("memory not found")
        return record_of(memory)

    async def page(
        self, wanted: MemoryFilter, *, reader: UUID, now: datetime, before: UUID | None, limit: int
    ) -> list[MemoryRecord]:
        """A team's memories, the newest first; those that agents keep for themselves are told to these alone."""
        found = await self._memories.page(wanted, reader=reader, now=now, before=before, limit=limit)
        return [record_of(memory) for memory in found]

    async def history(self, team_id: UUID, memory_id: UUID, *, after: int, limit: int) -> list[MemoryEntry]:
        """What was done to a memory, the oldest first, beginning behind the version `after`."""
        entries = await self._log.list_of(team_id, memory_id, after=after, limit=limit)
        return [msgspec.convert(entry, MemoryEntry, from_attributes=True) for entry in entries]

    async def changes(
        self,
        team_id: UUID,
        *,
        since: datetime,
        until: datetime,
        reader: UUID,
        after: tuple[datetime, UUID, int] | None,
        limit: int,
    ) -> tuple[list[MemoryEntry], bool]:
        """What was done to a team's memories in a time, the oldest first, and whether that stays as it is.

        Args:
            team_id: The team.
            since: The first moment.
            until: The moment after the last.
            reader: Who asks; only they are told what they keep for themselves.
            after: The time, the memory and the version of the last entry of the page before.
            limit: The most entries.
        """
        is_stable = await self._log.is_stable(until)
        entries = await self._log.list_changes(
            team_id, since=since, until=until, reader=reader, after=after, limit=limit
        )
        return [msgspec.convert(entry, MemoryEntry, from_attributes=True) for entry in entries], is_stable

    async def _recall_at(self, question: Question, scope: Scope) -> Recollection:
        # Asked first: what begins to change after that is later than the moment that was asked about.
        is_stable = await self._log.is_stable(scope.now)
        extent = await self._memories.measure(scope)
        found, suppressed, is_exact = await self._memories.recall_at(question, scope, extent)
        results = [_told(each, past_record(each.memory)) for each in found]
        return Recollection(results=results, is_exact=is_exact, suppressed=suppressed, is_stable=is_stable)


class Recalled(msgspec.Struct, frozen=True):
    """What was recalled, and when."""

    memory_ids: Sequence[UUID]
    at: datetime


class Accesses:
    """Counts recalls, after they were answered; those of one moment together. What goes wrong here is nobody's error.

    Args:
        sessions: Opens a transaction for each count.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions
        self._count: Batcher[Recalled, None] = Batcher(self._count_all)

    def note(self, memory_ids: Sequence[UUID], *, now: datetime) -> None:
        """Counts that memories were recalled, each once. Nothing waits for it."""
        if not memory_ids:
            return
        try:
            self._count.send(Recalled(memory_ids, now))
        except Unavailable:
            log.warning("recalls not counted", count=len(memory_ids), error="too many wait")

    async def settle(self) -> None:
        """Waits until all that was noted is counted, or cannot be."""
        await self._count.drain()

    async def _count_all(self, batch: list[Recalled]) -> list[None]:
        counts = Counter(memory_id for recalled in batch for memory_id in set(recalled.memory_ids))
        now = max(recalled.at for recalled in batch)
        try:
            async with self._sessions.begin() as session:
                memories = MemoryRepository(session)
                # A call counts a memory once. The first locks all of them in order, those that follow some of these.
                while counts:
                    await memories.note_access(list(counts), now=now)
                    counts -= Counter(list(counts))
        except (SQLAlchemyError, OSError) as error:
            log.warning("recalls not counted", count=len(batch), error=type(error).__name__)
        return [None] * len(batch)


def scope_of(asked: MemorySearchRequest, *, now: datetime, past: bool = False) -> Scope:
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
        past=past,
    )


def past_record(snapshot: dict[str, Any]) -> MemoryRecord:
    """A memory as it was, out of its history."""
    return msgspec.convert(snapshot, MemoryRecord)


def _told(found: Found, memory: MemoryRecord) -> MemorySearchResult:
    return MemorySearchResult(
        memory=memory, score=found.score, parts=ScoreParts(**found.parts), similarity=found.similarity
    )
