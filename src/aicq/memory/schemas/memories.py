"""Memories: what is kept, what is changed, what is asked and what is answered."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aicq.identity.schemas import RetrievalWeights

MemoryType = Literal["semantic", "episodic", "procedural", "agent_private", "shared", "identity", "user_profile"]
MemorySource = Literal["extraction", "explicit", "system", "feedback", "consolidation", "compaction"]
MemoryTier = Literal["hot", "warm", "cold"]
MemoryStatus = Literal["active", "superseded", "archived", "disputed"]
LinkKind = Literal["contradicts", "related_to"]

Content = Annotated[str, Meta(min_length=1, max_length=65_536)]
Subject = Annotated[str, Meta(min_length=1, max_length=200)]
Importance = Annotated[int, Meta(ge=1, le=10)]
Share = Annotated[float, Meta(ge=0, le=1)]
Moment = Annotated[datetime, Meta(tz=True)]
Tags = Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=50)]
Embedding = Annotated[list[float], Meta(min_length=1, max_length=2000)]
Reason = Annotated[str, Meta(max_length=1000)]
Model = Annotated[str, Meta(min_length=1, max_length=100)]


class MemoryCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something to be kept.

    Args:
        team_id: Whose it is.
        memory_type: What kind of memory it is.
        content: What is kept, 1 to 65,536 characters.
        subject: What it is about, 1 to 200 characters.
        agent_id: The agent that keeps it; only that agent recalls an `agent_private` one.
        user_id: The actor that it is about.
        embedding: Its meaning, as many numbers as `EMBEDDING_DIMENSIONS`; without one it is found by its words alone.
        embedding_model: What made the embedding.
        importance: From 1 to 10.
        confidence: How sure it is, from 0 to 1.
        is_pinned: Whether it never fades.
        source_type: How it came to be known.
        source_conversation_id: The conversation that it comes from.
        source_message_ids: The messages that it comes from.
        extraction_model: What drew it out of them.
        tags: What it is filed under; kept trimmed and in small letters.
        tier: How near at hand it is kept.
        metadata: Whatever else belongs to it.
        expires_at: From when on it is not recalled, with its time zone.
    """

    team_id: UUID
    memory_type: MemoryType
    content: Content
    subject: Subject | None = None
    agent_id: UUID | None = None
    user_id: UUID | None = None
    embedding: Embedding | None = None
    embedding_model: Model | None = None
    importance: Importance = 5
    confidence: Share = 1.0
    is_pinned: bool = False
    source_type: MemorySource = "explicit"
    source_conversation_id: UUID | None = None
    source_message_ids: Annotated[list[UUID], Meta(max_length=1000)] = []
    extraction_model: Model | None = None
    tags: Tags = []
    tier: MemoryTier = "hot"
    metadata: dict[str, Any] = {}
    expires_at: Moment | None = None


class NewMemory(MemoryCreate, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that an actor wants to be kept, and why.

    Args:
        supersedes: The memory in place of which it holds.
        reason: Why it is kept, for its history, at most 1,000 characters.
    """

    supersedes: UUID | None = None
    reason: Reason = ""


class MemoryChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is to change in a memory; what is not given stays as it is.

    Args:
        content: What is kept; its embedding goes unless there is a new one.
        subject: What it is about; None for nothing in particular.
        embedding: Its meaning; None for none.
        embedding_model: What made the embedding.
        importance: From 1 to 10.
        confidence: How sure it is, from 0 to 1.
        is_pinned: Whether it never fades.
        tags: What it is filed under, all of it.
        tier: How near at hand it is kept.
        status: Whether it holds; it is superseded by `supersede` alone.
        metadata: Whatever else belongs to it, all of it.
        expires_at: From when on it is not recalled; None for never.
    """

    content: Content | UnsetType = UNSET
    subject: Subject | UnsetType | None = UNSET
    embedding: Embedding | UnsetType | None = UNSET
    embedding_model: Model | UnsetType | None = UNSET
    importance: Importance | UnsetType = UNSET
    confidence: Share | UnsetType = UNSET
    is_pinned: bool | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    tier: MemoryTier | UnsetType = UNSET
    status: Literal["active", "archived", "disputed"] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET


class MemoryRevision(MemoryChange, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What an actor wants to change in a memory, and why; what is not given stays as it is.

    Args:
        reason: Why it changes, for its history, at most 1,000 characters.
    """

    reason: Reason = ""


class Succession(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds in place of a memory.

    Args:
        memory_id: The memory that holds instead.
        reason: Why, for its history, at most 1,000 characters.
    """

    memory_id: UUID
    reason: Reason = ""


class MemoryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A memory as it is, or as it was.

    Args:
        version: How often it was changed, and once for its making.
        superseded_by: The memory that holds instead.
        contradicts: The memories that it says the contrary of.
        related_to: The memories that it has to do with.
        access_count: How often it was recalled; of the past it is not known and told as 0.
        last_accessed_at: When it was recalled last.
        created_at: When it was made.
        updated_at: When it was changed last.
    """

    id: UUID
    team_id: UUID
    agent_id: UUID | None
    user_id: UUID | None
    memory_type: MemoryType
    content: str
    subject: str | None
    embedding_model: str | None
    importance: int
    confidence: float
    is_pinned: bool
    source_type: MemorySource
    source_conversation_id: UUID | None
    source_message_ids: list[UUID]
    extraction_model: str | None
    version: int
    superseded_by: UUID | None
    contradicts: list[UUID]
    related_to: list[UUID]
    tags: list[str]
    tier: MemoryTier
    status: MemoryStatus
    details: dict[str, Any] = msgspec.field(name="metadata")
    access_count: int = 0
    last_accessed_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None


class MemorySearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A question to a team's memories: in words, as an embedding, or both.

    Args:
        team_id: Whose memories.
        query: What is looked for, in words.
        embedding: Its meaning, as many numbers as `EMBEDDING_DIMENSIONS`.
        limit: The most memories, 1 to 100.
        agent_id: Who asks; only they recall their private memories.
        user_id: Only memories about this actor.
        memory_types: Only memories of these types; none named: all.
        tags: Only memories that bear all of these.
        min_importance: Only memories that are this important, 1 to 10.
        min_similarity: How near in meaning a memory has to be, 0 to 1; those found by their words need not.
        include_superseded: Whether memories that do not hold any more are recalled as well.
        weights: What counts how much for the order.
        as_of: The past moment to be asked about, with its time zone; None: now.

    Raises:
        ValueError: There are neither words nor an embedding.
    """

    team_id: UUID
    query: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    embedding: Embedding | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    agent_id: UUID | None = None
    user_id: UUID | None = None
    memory_types: list[MemoryType] = []
    tags: Tags = []
    min_importance: Importance = 1
    min_similarity: Share = 0.0
    include_superseded: bool = False
    weights: RetrievalWeights = RetrievalWeights()
    as_of: Moment | None = None

    def __post_init__(self) -> None:
        """Checks that something is asked."""
        if self.query is None and self.embedding is None:
            raise ValueError("a question needs a query or an embedding")


class ScoreParts(msgspec.Struct, frozen=True):
    """What a score is made of, each from 0 to 1, before it is weighed.

    Args:
        semantic: Its place among what was found by meaning and by words, the first of all at 1 and the last at 0.
        recency: How new it is, or how lately it was used; it fades at its type's pace, and slower the more it is used.
        importance: A tenth of its importance.
        confidence: How sure it is.
    """

    semantic: float
    recency: float
    importance: float
    confidence: float


class MemorySearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that was recalled, and why.

    Args:
        memory: The memory.
        score: The weighed sum of the parts, from 0 to 1.
        parts: What the score is made of.
        similarity: How near its meaning is, from -1 to 1; None: it was found by its words alone.
    """

    memory: MemoryRecord
    score: float
    parts: ScoreParts
    similarity: float | None


class Recollection(msgspec.Struct, frozen=True, kw_only=True):
    """What was recalled, the best first.

    Args:
        results: The memories: as many as were asked for, or all there are.
        is_exact: Whether every memory was compared; else the nearest were looked up in an index.
        suppressed: How many memories of the kind asked for were left out because they do not hold any more, are
            disputed or archived, or have expired.
        is_stable: Whether the answer stays as it is; a change that is still being made could alter the latest past.
    """

    results: list[MemorySearchResult]
    is_exact: bool
    suppressed: int
    is_stable: bool = True


class PastMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What a memory was at a moment.

    Args:
        memory: The memory; None: it was not made yet, or deleted.
        deleted_at: When it was deleted, if it was by then.
        is_stable: Whether the answer stays as it is; a change that is still being made could alter the latest past.
    """

    memory: MemoryRecord | None
    deleted_at: datetime | None
    is_stable: bool


class MemoryPage(msgspec.Struct, frozen=True):
    """A page of a team's memories.

    Args:
        items: The memories, the newest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[MemoryRecord]
    next: str | None


class PastPage(msgspec.Struct, frozen=True):
    """A page of what a team's memories were at a moment.

    Args:
        items: The memories as they were, the oldest first.
        is_stable: Whether the answer stays as it is; a change that is still being made could alter the latest past.
        next: The cursor of the next page; null on the last one.
    """

    items: list[MemoryRecord]
    is_stable: bool
    next: str | None


class MemoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done to a memory.

    Args:
        seq: The version that it led to.
        action: What was done.
        changed_by: Who did it: `agent`, `user` or `admin` with their id, or `system`.
        reason: Why.
        conversation_id: The conversation that it came of.
        related_memory_ids: The memories that it began or ceased to point at.
    """

    memory_id: UUID
    seq: int
    action: str
    old_content: str | None
    new_content: str | None
    old_importance: int | None
    new_importance: int | None
    old_tier: MemoryTier | None
    new_tier: MemoryTier | None
    old_status: MemoryStatus | None
    new_status: MemoryStatus | None
    changed_by: str | None
    reason: str | None
    conversation_id: UUID | None
    related_memory_ids: list[UUID]
    created_at: datetime


class MemoryHistory(msgspec.Struct, frozen=True):
    """A page of what was done to a memory.

    Args:
        items: What was done, the oldest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[MemoryEntry]
    next: str | None


class TeamHistory(msgspec.Struct, frozen=True):
    """A page of what was done to a team's memories.

    Args:
        items: What was done, the oldest first.
        is_stable: Whether the answer stays as it is; a change that is still being made could be of that time.
        next: The cursor of the next page; null on the last one.
    """

    items: list[MemoryEntry]
    is_stable: bool
    next: str | None
