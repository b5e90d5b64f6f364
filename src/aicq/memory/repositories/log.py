"""Where the history of memories is kept: what was done, and what they were at a past moment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, text, tuple_

from aicq.db.repository import Repository
from aicq.memory.models import MemoryLog

PAGE = 100

AT = text("""
SELECT was.snapshot, gone.created_at AS deleted_at
FROM (SELECT) one
LEFT JOIN reconstruct_memory_at(:memory_id, :moment) was ON was.team_id = :team_id
LEFT JOIN LATERAL (
    SELECT l.created_at, l.action FROM memory_log l
    WHERE l.memory_id = :memory_id AND l.team_id = :team_id AND l.created_at <= :moment
    ORDER BY l.created_at DESC LIMIT 1
) gone ON gone.action = 'deleted'
""")

TEAM_AT = text("""
SELECT snapshot FROM reconstruct_memories_at(:team_id, :moment)
WHERE memory_id > :after AND (snapshot ->> 'memory_type' <> 'agent_private' OR snapshot ->> 'agent_id' = :agent)
ORDER BY memory_id LIMIT :limit
""")

# A change of the past is made by a transaction that had begun by then and has written something.
IS_STABLE = text("""
SELECT :moment <= clock_timestamp() AND NOT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL AND xact_start <= :moment
)
""")


class MemoryLogRepository(Repository[MemoryLog]):
    """The history of memories, which is only ever read here: a trigger writes it."""

    model_type = MemoryLog

    async def list_of(
        self, team_id: UUID, memory_id: UUID, *, after: int = 0, limit: int = PAGE
    ) -> Sequence[MemoryLog]:
        """What was done to a memory, the oldest first, beginning behind the version `after`."""
        where = (MemoryLog.memory_id == memory_id, MemoryLog.team_id == team_id, MemoryLog.seq > after)
        statement = select(MemoryLog).where(*where).order_by(MemoryLog.seq).limit(limit)
        return (await self.session.execute(statement)).scalars().all()

    async def list_changes(
        self,
        team_id: UUID,
        *,
        since: datetime,
        until: datetime,
        reader: UUID | None = None,
        after: tuple[datetime, UUID, int] | None = None,
        limit: int = PAGE,
    ) -> Sequence[MemoryLog]:
        """What was done to a team's memories from a moment until before another, the oldest first.

        Args:
            team_id: The team.
            since: The first moment.
            until: The moment after the last.
            reader: Who asks; only they are told what they keep for themselves.
            after: The time, the memory and the version of the last entry of the page before.
            limit: The most entries.
        """
        key = (MemoryLog.created_at, MemoryLog.memory_id, MemoryLog.seq)
        where = [MemoryLog.team_id == team_id, MemoryLog.created_at >= since, MemoryLog.created_at < until]
        where.append(was_told_to(MemoryLog.snapshot, reader))
        if after is not None:
            where.append(tuple_(*key) > after)
        statement = select(MemoryLog).where(*where).order_by(*key).limit(limit)
        return (await self.session.execute(statement)).scalars().all()

    async def at(
        self, team_id: UUID, memory_id: UUID, moment: datetime
    ) -> tuple[dict[str, Any] | None, datetime | None]:
        """What a memory was at a moment, if it was made and not deleted yet; and when it was deleted, if it was."""
        asked = {"memory_id": memory_id, "team_id": team_id, "moment": moment}
        row = (await self.session.execute(AT, asked)).one()
        return row.snapshot, row.deleted_at

    async def of_team_at(
        self,
        team_id: UUID,
        moment: datetime,
        *,
        reader: UUID | None = None,
        after: UUID | None = None,
        limit: int = PAGE,
    ) -> list[dict[str, Any]]:
        """What a team's memories were at a moment, by id; those that agents kept for themselves to these alone."""
        asked = {"team_id": team_id, "moment": moment, "agent": str(reader or ""), "limit": limit}
        asked["after"] = after or UUID(int=0)
        return list((await self.session.execute(TEAM_AT, asked)).scalars())

    async def is_stable(self, moment: datetime) -> bool:
        """Whether nothing that is being done just now can still change what was at that moment."""
        return bool(await self.session.scalar(IS_STABLE, {"moment": moment}))


def was_told_to(snapshot: Any, reader: UUID | None) -> ColumnElement[bool]:
    """Whether a member of the team may know what a memory was: what an agent keeps for itself, nobody else does."""
    return or_(snapshot["memory_type"].astext != "agent_private", snapshot["agent_id"].astext == str(reader or ""))
