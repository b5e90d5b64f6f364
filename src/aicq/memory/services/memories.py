"""Keeping memories: remember, revise, supersede, forget, link. Each change is in the history and in the audit log."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.errors import Changed, Conflict, NotFound, Unprocessable
from aicq.http.resources.fields import given, is_storable
from aicq.ids import new_row_id
from aicq.memory.models import Memory, MemoryLink
from aicq.memory.repositories import MemoryLinkRepository, MemoryRepository
from aicq.memory.schemas.memories import LinkKind, MemoryChange, MemoryCreate, MemoryRecord
from aicq.origin import Origin


class Because(msgspec.Struct, frozen=True):
    """Why a memory changes, for its history.

    Args:
        reason: In words.
        conversation_id: The conversation that it comes of.
    """

    reason: str = ""
    conversation_id: UUID | None = None


NO_REASON = Because()


class MemoryService:
    """What can be done to a team's memories, within a transaction.

    Args:
        session: The transaction.
        dimensions: The length of embeddings.
        origin: Who does it, for the history and the audit log.
    """

    def __init__(self, session: AsyncSession, *, dimensions: int, origin: Origin) -> None:
        self._session = session
        self._memories = MemoryRepository(session)
        self._links = MemoryLinkRepository(session)
        self._dimensions = dimensions
        self._origin = origin

    async def remember(self, wanted: MemoryCreate, *, now: int, because: Because = NO_REASON) -> MemoryRecord:
        """Keeps something.

        Args:
            wanted: What is kept.
            now: Unix time in milliseconds.
            because: Why.

        Raises:
            Unprocessable: The embedding is not one, a private memory names no agent, or a user's profile no user.
                Postgres refuses an agent or a conversation of another team.
        """
        given_values = given(wanted)
        values = {name: given_values[name] for name in MemoryCreate.__struct_fields__ if name != "tags"}
        check_embedding(wanted.embedding, self._dimensions)
        if wanted.memory_type == "agent_private" and wanted.agent_id is None:
            raise Unprocessable("a private memory needs an agent_id", field="agent_id")
        if wanted.memory_type == "user_profile" and wanted.user_id is None:
            raise Unprocessable("a user's profile needs a user_id", field="user_id")
        memory_id = new_row_id(now)
        await self._explain(because)
        await self._memories.create(memory_id, tags=clean_tags(wanted.tags), **values)
        kept = await self._read(wanted.team_id, memory_id)
        await self._record(
            "create", memory_id, new={name: values[name] for name in Memory.__audited__ if name in values}
        )
        return kept

    async def revise(
        self,
        team_id: UUID,
        memory_id: UUID,
        change: MemoryChange,
        *,
        versions: Collection[int] | None = None,
        because: Because = NO_REASON,
    ) -> MemoryRecord:
        """Changes a memory.

        Args:
            team_id: Its team.
            memory_id: The memory.
            change: What is to change.
            versions: It is to be one of these; None: whichever there is.
            because: Why.

        Raises:
            NotFound: There is no such memory.
            Changed: It is another version by now.
            Conflict: It is superseded, and what is superseded has no other status.
            Unprocessable: The embedding is not one.
        """
        given_values = given(change)
        values = {name: value for name, value in given_values.items() if name in MemoryChange.__struct_fields__}
        check_embedding(values.get("embedding"), self._dimensions)
        tags = values.pop("tags", None)
        memory = (await self._lock(team_id, memory_id))[memory_id]
        if versions is not None and memory.version not in versions:
            raise Changed
        if "status" in values and memory.superseded_by is not None:
            raise Conflict("it is superseded; what supersedes it can be forgotten", field="status")
        if values.get("content", memory.content) != memory.content:
            # It is the meaning of what was there before.
            values = {"embedding": None, "embedding_model": None} | values
        before = {name: getattr(memory, name) for name in Memory.__audited__ if name in values}
        await self._explain(because)
        await self._memories.change(memory_id, **values)
        if tags is not None:
            await self._memories.set_tags(memory, clean_tags(tags))
        await self._record("update", memory_id, old=before, new={name: values[name] for name in before})
        return await self._read(team_id, memory_id)

    async def supersede(
        self, team_id: UUID, old_id: UUID, new_id: UUID, *, because: Because = NO_REASON
    ) -> MemoryRecord:
        """Has a memory hold instead of another, which stays and is not recalled any more. Twice is as good as once.

        Returns:
            The memory that does not hold any more.

        Raises:
            NotFound: One of them is not there.
            Conflict: The old one is superseded by another, or the new one is superseded itself.
            Unprocessable: They are one and the same.
        """
        if old_id == new_id:
            raise Unprocessable("a memory cannot supersede itself")
        found = await self._lock(team_id, old_id, new_id)
        old, new = found[old_id], found[new_id]
        if old.superseded_by == new_id:
            return record_of(old)
        if old.superseded_by is not None:
            raise Conflict("it is superseded by another memory already")
        if new.superseded_by is not None:
            raise Conflict("what is to supersede it is superseded itself")
        await self._explain(because)
        await self._memories.change(old_id, superseded_by=new_id, status="superseded")
        await self._record("supersede", old_id, old={"status": old.status}, new={"status": "superseded"})
        return await self._read(team_id, old_id)

    async def forget(self, team_id: UUID, memory_id: UUID, *, because: Because = NO_REASON) -> None:
        """Deletes a memory. Its history stays, and what it superseded stays superseded.

        Raises:
            NotFound: There is no such memory.
        """
        if not await self._memories.lock_around(team_id, memory_id):
            raise NotFound("memory not found")
        await self._explain(because)
        await self._memories.remove(memory_id)
        await self._record("delete", memory_id)

    async def link(
        self, team_id: UUID, from_id: UUID, to_id: UUID, kind: LinkKind, *, because: Because = NO_REASON
    ) -> None:
        """Links a memory to another. Twice is as good as once.

        Raises:
            NotFound: One of them is not there.
            Unprocessable: They are one and the same.
        """
        if from_id == to_id:
            raise Unprocessable("a memory cannot be linked to itself")
        await self._lock(team_id, from_id, to_id)
        await self._explain(because)
        if await self._links.put(team_id, from_id, to_id, kind):
            await self._record("create", (from_id, to_id, kind), resource=MemoryLink)

    async def unlink(
        self, team_id: UUID, from_id: UUID, to_id: UUID, kind: LinkKind, *, because: Because = NO_REASON
    ) -> None:
        """Takes a link away.

        Raises:
            NotFound: There is none.
        """
        await self._lock(team_id, from_id)
        await self._explain(because)
        if not await self._links.remove(from_id, to_id, kind):
            raise NotFound("link not found")
        await self._record("delete", (from_id, to_id, kind), resource=MemoryLink)

    async def _lock(self, team_id: UUID, *memory_ids: UUID) -> dict[UUID, Memory]:
        found = await self._memories.lock(team_id, memory_ids)
        if len(found) < len(set(memory_ids)):
            raise NotFound("memory not found")
        return found

    async def _read(self, team_id: UUID, memory_id: UUID) -> MemoryRecord:
        memory = await self._memories.find(team_id, memory_id)
        if memory is None:
            raise NotFound("memory not found")
        return record_of(memory)

    async def _explain(self, because: Because) -> None:
        origin = self._origin
        who = f"{origin.acted_as} {origin.actor_id}" if origin.actor_id else origin.acted_as
        await self._memories.explain(changed_by=who, reason=because.reason, conversation_id=because.conversation_id)

    async def _record(
        self,
        verb: str,
        key: object,
        *,
        resource: type[Memory | MemoryLink] = Memory,
        old: dict[str, Any] | None = None,
        new: dict[str, Any] | None = None,
    ) -> None:
        action = f"{resource.__tablename__}.{verb}"
        await record(self._session, self._origin, action, resource=resource, key=key, old=old, new=new)


def record_of(memory: Memory) -> MemoryRecord:
    """A memory as it is told of."""
    return msgspec.convert(memory, MemoryRecord, from_attributes=True)


def clean_tags(tags: Iterable[str], *, field: str = "tags") -> list[str]:
    """Tags as they are kept: trimmed, in small letters, each once.

    Raises:
        Unprocessable: One is nothing but space, or Postgres cannot read it.
    """
    cleaned = {tag.strip().lower() for tag in tags}
    if "" in cleaned:
        raise Unprocessable("a tag must not be empty", field=field)
    if not is_storable(list(cleaned)):
        raise Unprocessable("a tag must not contain U+0000", field=field)
    return sorted(cleaned)


def check_embedding(embedding: list[float] | None, dimensions: int) -> None:
    """Refuses an embedding that Postgres could not keep or compare.

    Raises:
        Unprocessable: It is of another length, or it has no direction that could be told.
    """
    if embedding is None:
        return
    if len(embedding) != dimensions:
        raise Unprocessable(f"embedding must have {dimensions} numbers, not {len(embedding)}", field="embedding")
    length = sum(number * number for number in embedding) ** 0.5
    if not SHORTEST <= length <= LONGEST:
        raise Unprocessable(f"embedding must be {SHORTEST} to {LONGEST} long", field="embedding")


SHORTEST, LONGEST = 0.001, 10_000
"""How long an embedding may be as a vector; the table refuses others as well."""
