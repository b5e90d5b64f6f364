"""Where memories are kept, with their tags, links and counts."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Table, Text, Uuid, bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from aicq.db.repository import Repository
from aicq.memory.models import Memory, MemoryAccess, MemoryLink, MemoryTag
from aicq.memory.repositories.past import PastSearch

PAGE = 100

MEMORIES = cast("Table", Memory.__table__)
TAGS = cast("Table", MemoryTag.__table__)

EXPLAIN = text("""
SELECT set_config('aicq.changed_by', :changed_by, true), set_config('aicq.reason', :reason, true),
    set_config('aicq.conversation_id', :conversation_id, true)
""")


class MemoryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a team's memories are wanted; None asks for nothing, and of tags all must be there."""

    team_id: UUID
    memory_type: str | None = None
    status: str | None = None
    tier: str | None = None
    agent_id: UUID | None = None
    user_id: UUID | None = None
    source_conversation_id: UUID | None = None
    subject: str | None = None
    tags: Collection[str] = ()


class MemoryRepository(PastSearch):
    """A team's memories."""

    async def explain(self, *, changed_by: str, reason: str = "", conversation_id: UUID | None = None) -> None:
        """Tells the history who makes the changes of this transaction, and why."""
        told = {"changed_by": changed_by, "reason": reason, "conversation_id": str(conversation_id or "")}
        await self.session.execute(EXPLAIN, told)

    async def create(self, memory_id: UUID, *, tags: Iterable[str] = (), **values: Any) -> None:
        """Adds a memory with its tags, in one statement, so that its history begins with all of it."""
        adding = insert(MEMORIES).values(id=memory_id, **values)
        if names := sorted(set(tags)):
            made = adding.returning(MEMORIES.c.id, MEMORIES.c.team_id).cte("made")
            tag = func.unnest(sql_cast(names, ARRAY(Text)))
            adding = insert(TAGS).from_select(["memory_id", "team_id", "tag"], select(made.c.id, made.c.team_id, tag))
        await self.session.execute(adding)

    async def find(self, team_id: UUID, memory_id: UUID) -> Memory | None:
        """A team's memory, whatever its status."""
        return next(iter(await self.find_many(team_id, [memory_id])), None)

    async def find_many(self, team_id: UUID, memory_ids: Sequence[UUID]) -> Sequence[Memory]:
        """Those of a team's memories that are there, as they are now; one statement."""
        return await self._all(select(Memory).where(Memory.team_id == team_id, Memory.id.in_(memory_ids)))

    async def lock(self, team_id: UUID, memory_ids: Iterable[UUID]) -> dict[UUID, Memory]:
        """Those of a team's memories that are there; nobody else changes them until the transaction ends.

        They are locked in the order of their ids, so no two callers wait for each other.
        """
        wanted = select(Memory).where(Memory.team_id == team_id, Memory.id.in_(set(memory_ids))).order_by(Memory.id)
        return {memory.id: memory for memory in await self._all(wanted.with_for_update(key_share=True, of=MEMORIES))}

    async def lock_around(self, team_id: UUID, memory_id: UUID) -> bool:
        """Locks a memory and all that point at it, because deleting it changes them; False if it is not there.

        While somebody else is waited for, more may come to point at it. To lock these afterwards would be out of order,
        so all is let go and locked anew.
        """
        pointing = select(MemoryLink.from_id).where(MemoryLink.to_id == memory_id)
        where = or_(Memory.id == memory_id, Memory.superseded_by == memory_id, Memory.id.in_(pointing))
        around = select(Memory.id).where(Memory.team_id == team_id, where)
        while True:
            async with self.session.begin_nested() as attempt:
                locked = (await self.session.scalars(around.order_by(Memory.id).with_for_update())).all()
                if memory_id not in locked:
                    return False
                if set(await self.session.scalars(around)) <= set(locked):
                    return True
                await attempt.rollback()

    async def change(self, memory_id: UUID, **values: Any) -> None:
        """Changes columns of a memory."""
        if values:
            await self.session.execute(update(MEMORIES).where(MEMORIES.c.id == memory_id).values(values))

    async def set_tags(self, memory: Memory, tags: Iterable[str]) -> None:
        """Files a memory under these tags and no others."""
        wanted = set(tags)
        if gone := set(memory.tags) - wanted:
            await self.session.execute(delete(TAGS).where(TAGS.c.memory_id == memory.id, TAGS.c.tag.in_(gone)))
        if new := sorted(wanted - set(memory.tags)):
            rows = [{"memory_id": memory.id, "team_id": memory.team_id, "tag": tag} for tag in new]
            await self.session.execute(insert(TAGS).values(rows))

    async def remove(self, memory_id: UUID) -> None:
        """Deletes a memory; its history stays."""
        await self.session.execute(delete(MEMORIES).where(MEMORIES.c.id == memory_id))

    async def note_access(self, memory_ids: Sequence[UUID], *, now: datetime) -> None:
        """Counts that memories were recalled, each once; those that are gone count nowhere."""
        counting = text("SELECT update_memory_access(:ids, :now)").bindparams(bindparam("ids", type_=ARRAY(Uuid())))
        await self.session.execute(counting, {"ids": list(memory_ids), "now": now})

    async def page(
        self, wanted: MemoryFilter, *, reader: UUID, now: datetime, before: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Memory]:
        """A team's memories, the newest first; those that agents keep for themselves are told to these alone.

        Args:
            wanted: Which.
            reader: Who asks.
            now: Those that have expired by then are not active.
            before: The last memory of the page before.
            limit: The most memories.
        """
        statement = select(Memory).where(Memory.team_id == wanted.team_id, is_told_to(reader), *narrowed(wanted, now))
        if before is not None:
            statement = statement.where(Memory.id < before)
        return await self._all(statement.order_by(Memory.id.desc()).limit(limit))

    async def list_superseded_by(self, team_id: UUID, memory_id: UUID) -> Sequence[Memory]:
        """The memories that this one holds in place of."""
        where = (Memory.team_id == team_id, Memory.superseded_by == memory_id)
        return await self._all(select(Memory).where(*where).order_by(Memory.id))

    async def list_important(self, team_id: UUID, *, limit: int = PAGE) -> Sequence[Memory]:
        """A team's active memories, the most important first."""
        where = (Memory.team_id == team_id, Memory.status == "active")
        return await self._all(select(Memory).where(*where).order_by(Memory.importance.desc(), Memory.id).limit(limit))

    async def list_recent(self, team_id: UUID, *, limit: int = PAGE) -> Sequence[Memory]:
        """A team's memories that were recalled last, the latest first."""
        statement = select(Memory).join(MemoryAccess, MemoryAccess.memory_id == Memory.id)
        statement = statement.where(MemoryAccess.team_id == team_id)
        order = (MemoryAccess.last_accessed_at.desc(), MemoryAccess.memory_id)
        return await self._all(statement.order_by(*order).limit(limit))

    async def list_expired(self, *, now: datetime, limit: int = PAGE) -> Sequence[Memory]:
        """Active memories of all teams that have expired, the longest ago first."""
        where = (Memory.expires_at <= now, Memory.status == "active")
        return await self._all(select(Memory).where(*where).order_by(Memory.expires_at).limit(limit))

    async def archive_expired(self, *, now: datetime, limit: int = PAGE) -> int:
        """Archives some memories that have expired, and returns how many; those that somebody changes are left."""
        where = (MEMORIES.c.expires_at <= now, MEMORIES.c.status == "active")
        expired = select(MEMORIES.c.id).where(*where).order_by(MEMORIES.c.expires_at).limit(limit)
        expired = expired.with_for_update(skip_locked=True, key_share=True)
        statement = update(MEMORIES).where(MEMORIES.c.id.in_(expired)).values(status="archived")
        return len((await self.session.execute(statement.returning(MEMORIES.c.id))).all())

    async def _all(self, statement: Any) -> Sequence[Memory]:
        # As the row is now, not as the session has seen it before a trigger changed it.
        found = await self.session.execute(statement, execution_options={"populate_existing": True})
        return cast("Sequence[Memory]", found.scalars().all())


def is_told_to(reader: UUID) -> ColumnElement[bool]:
    """Whether a member of the team may know of a memory: what an agent keeps for itself, nobody else does."""
    return or_(Memory.memory_type != "agent_private", Memory.agent_id == reader)


def narrowed(wanted: MemoryFilter, now: datetime) -> Iterator[ColumnElement[bool]]:
    """What a filter asks for."""
    for name in ("memory_type", "status", "tier", "agent_id", "user_id", "source_conversation_id"):
        value = getattr(wanted, name)
        if value is not None:
            yield getattr(Memory, name) == value
    if wanted.status == "active":
        yield or_(Memory.expires_at.is_(None), Memory.expires_at > now)
    if wanted.subject is not None:
        yield func.lower(Memory.subject) == func.lower(wanted.subject)
    if wanted.tags:
        tags = set(wanted.tags)
        bearing = select(MemoryTag.memory_id).where(MemoryTag.team_id == wanted.team_id, MemoryTag.tag.in_(tags))
        yield Memory.id.in_(bearing.group_by(MemoryTag.memory_id).having(func.count() == len(tags)))


class MemoryLinkRepository(Repository[MemoryLink]):
    """How memories have to do with each other."""

    model_type = MemoryLink

    async def put(self, team_id: UUID, from_id: UUID, to_id: UUID, kind: str) -> bool:
        """Links a memory to another; False if it was linked already."""
        values = {"team_id": team_id, "from_id": from_id, "to_id": to_id, "kind": kind}
        statement = upsert(MemoryLink).values(values).on_conflict_do_nothing().returning(MemoryLink.to_id)
        return (await self.session.execute(statement)).first() is not None

    async def remove(self, from_id: UUID, to_id: UUID, kind: str) -> bool:
        """Takes a link away; False if there was none."""
        where = (MemoryLink.from_id == from_id, MemoryLink.to_id == to_id, MemoryLink.kind == kind)
        return (
            await self.session.execute(delete(MemoryLink).where(*where).returning(MemoryLink.to_id))
        ).first() is not None

    async def list_of(self, memory_ids: Sequence[UUID]) -> Sequence[MemoryLink]:
        """The links that lead from these memories or to them; one statement."""
        where = or_(MemoryLink.from_id.in_(memory_ids), MemoryLink.to_id.in_(memory_ids))
        statement = select(MemoryLink).where(where).order_by(MemoryLink.from_id, MemoryLink.to_id, MemoryLink.kind)
        return (await self.session.execute(statement)).scalars().all()
