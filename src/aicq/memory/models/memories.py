"""Memories, their tags and links, and how often they were recalled."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Double,
    Enum,
    FetchedValue,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Select,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, column_property, mapped_column
from sqlalchemy.types import TypeEngine

from aicq.db.models import Model

DIMENSIONS = 1536
"""The length of the column's vectors unless EMBEDDING_DIMENSIONS said otherwise when the column was made."""

TIERS = Enum("hot", "warm", "cold", name="memory_tier")
STATUSES = Enum("active", "superseded", "archived", "disputed", name="memory_status")

OWN_ID: ColumnElement[UUID] = literal_column("memories.id")
"""The memory that a subquery of its own is about."""


def _array(rows: Select[Any], of: TypeEngine[Any]) -> Any:
    return func.array(rows.scalar_subquery(), type_=ARRAY(of))


class MemoryTag(Model):
    """A word that a memory is filed under."""

    __tablename__ = "memory_tags"
    __audited__ = ("team_id", "memory_id", "tag")
    __table_args__ = (
        ForeignKeyConstraint(
            ["team_id", "memory_id"],
            ["memories.team_id", "memories.id"],
            name="fk_memory_tags_memory_id_memories",
            ondelete="CASCADE",
        ),
        CheckConstraint("length(tag) BETWEEN 1 AND 64 AND tag = lower(btrim(tag))", name="tag"),
        Index("ix_memory_tags_tag", "team_id", "tag", "memory_id"),  # MemoryRepository.page by tags
    )

    memory_id: Mapped[UUID] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(Text, primary_key=True)
    team_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class MemoryLink(Model):
    """One memory contradicts another, or has to do with it."""

    __tablename__ = "memory_links"
    __audited__ = ("team_id", "from_id", "to_id", "kind")
    __table_args__ = (
        ForeignKeyConstraint(
            ["team_id", "from_id"],
            ["memories.team_id", "memories.id"],
            name="fk_memory_links_from_id_memories",
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["team_id", "to_id"],
            ["memories.team_id", "memories.id"],
            name="fk_memory_links_to_id_memories",
            ondelete="CASCADE",
        ),
        CheckConstraint("from_id <> to_id", name="not_to_itself"),
        Index("ix_memory_links_to_id", "to_id", "kind"),  # MemoryLinkRepository.list_of; the foreign key's CASCADE
    )

    from_id: Mapped[UUID] = mapped_column(primary_key=True)
    to_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Enum("contradicts", "related_to", name="memory_link_kind"), primary_key=True)
    team_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class MemoryAccess(Model):
    """How often a memory was recalled. It lies beside the memory, so that counting is no change of it."""

    __tablename__ = "memory_accesses"
    __table_args__ = (
        ForeignKeyConstraint(
            ["team_id", "memory_id"],
            ["memories.team_id", "memories.id"],
            name="fk_memory_accesses_memory_id_memories",
            ondelete="CASCADE",
        ),
        CheckConstraint("access_count >= 0", name="access_count"),
        Index(
            "ix_memory_accesses_last_accessed_at",  # MemoryRepository.list_recent
            "team_id",
            text("last_accessed_at DESC"),
            "memory_id",
        ),
    )

    memory_id: Mapped[UUID] = mapped_column(primary_key=True)
    team_id: Mapped[UUID]
    access_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    last_accessed_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Memory(Model):
    """What a team's agents know. Of each change a trigger makes a version and writes it into `memory_log`."""

    __tablename__ = "memories"
    __audited__ = ("team_id", "agent_id", "user_id", "memory_type", "importance", "is_pinned", "tier", "status")
    __table_args__ = (
        UniqueConstraint("team_id", "id"),
        ForeignKeyConstraint(
            ["team_id", "agent_id"],
            ["agents.team_id", "agents.id"],
            name="fk_memories_agent_id_agents",
            ondelete="SET NULL (agent_id)",
        ),
        ForeignKeyConstraint(
            ["team_id", "source_conversation_id"],
            ["conversations.team_id", "conversations.id"],
            name="fk_memories_source_conversation_id_conversations",
            ondelete="SET NULL (source_conversation_id)",
        ),
        ForeignKeyConstraint(
            ["team_id", "superseded_by"],
            ["memories.team_id", "memories.id"],
            name="fk_memories_superseded_by_memories",
            ondelete="SET NULL (superseded_by)",
        ),
        CheckConstraint("length(content) BETWEEN 1 AND 65536", name="content"),
        CheckConstraint("length(subject) BETWEEN 1 AND 200", name="subject"),
        CheckConstraint("vector_norm(embedding) BETWEEN 0.001 AND 10000", name="embedding"),
        CheckConstraint("importance BETWEEN 1 AND 10", name="importance"),
        CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
        CheckConstraint("jsonb_typeof(metadata) = 'object'", name="metadata"),
        CheckConstraint("superseded_by <> id", name="not_superseded_by_itself"),
        Index(
            "ix_memories_embedding",  # MemoryRepository.search_by_embedding of large teams
            literal_column(f"(embedding::halfvec({DIMENSIONS}))").label("halved"),
            postgresql_using="hnsw",
            postgresql_ops={"halved": "halfvec_cosine_ops"},
            postgresql_where=text("status = 'active' AND embedding IS NOT NULL"),
        ),
        Index(
            "ix_memories_embedded",  # MemoryRepository.search_by_embedding of small teams
            "team_id",
            postgresql_where=text("status = 'active' AND embedding IS NOT NULL"),
        ),
        Index(
            "ix_memories_words",  # MemoryRepository.search_by_text
            "words",
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        ),
        Index(
            "ix_memories_memory_type",  # MemoryRepository.page by type
            "team_id",
            "memory_type",
            "id",
            postgresql_where=text("status = 'active'"),
        ),
        Index(
            "ix_memories_status",  # MemoryRepository.page by status, measure
            "team_id",
            "status",
            "id",
            postgresql_where=text("status <> 'active'"),
        ),
        Index(
            "ix_memories_agent_id",  # MemoryRepository.page by agent; the foreign key's SET NULL
            "team_id",
            "agent_id",
            "id",
            postgresql_where=text("agent_id IS NOT NULL"),
        ),
        Index(
            "ix_memories_user_profile",  # MemoryRepository.page of what is known of a user
            "team_id",
            "user_id",
            "id",
            postgresql_where=text("memory_type = 'user_profile' AND status = 'active'"),
        ),
        Index(
            "ix_memories_user_id",  # the foreign key's SET NULL
            "user_id",
            postgresql_where=text("user_id IS NOT NULL"),
        ),
        Index(
            "ix_memories_importance",  # MemoryRepository.list_important
            "team_id",
            text("importance DESC"),
            "id",
            postgresql_where=text("status = 'active'"),
        ),
        Index(
            "ix_memories_subject",  # MemoryRepository.page by subject
            "team_id",
            text("lower(subject)"),
            "id",
            postgresql_where=text("subject IS NOT NULL"),
        ),
        Index(
            "ix_memories_tier",  # MemoryRepository.page by tier
            "team_id",
            "tier",
            "id",
            postgresql_where=text("tier <> 'hot'"),
        ),
        Index(
            "ix_memories_expires_at",  # MemoryRepository.list_expired, archive_expired
            "expires_at",
            postgresql_where=text("expires_at IS NOT NULL AND status = 'active'"),
        ),
        Index(
            "ix_memories_source_conversation_id",  # MemoryRepository.page by conversation; the key's SET NULL
            "team_id",
            "source_conversation_id",
            "id",
            postgresql_where=text("source_conversation_id IS NOT NULL"),
        ),
        Index(
            "ix_memories_superseded_by",  # MemoryRepository.list_superseded_by; the foreign key's SET NULL
            "team_id",
            "superseded_by",
            postgresql_where=text("superseded_by IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    agent_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("actors.id", ondelete="SET NULL"))
    memory_type: Mapped[str] = mapped_column(
        Enum(
            "semantic",
            "episodic",
            "procedural",
            "agent_private",
            "shared",
            "identity",
            "user_profile",
            name="memory_type_enum",
        )
    )
    content: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    embedding: Mapped[list[float] | None] = mapped_column(Vector(DIMENSIONS), deferred=True)
    embedding_model: Mapped[str | None] = mapped_column(Text)
    embedded_version: Mapped[int | None] = mapped_column(server_onupdate=FetchedValue())
    importance: Mapped[int] = mapped_column(server_default=text("5"))
    confidence: Mapped[float] = mapped_column(Double, server_default=text("1"))
    is_pinned: Mapped[bool] = mapped_column(server_default=text("false"))
    source_type: Mapped[str] = mapped_column(
        Enum("extraction", "explicit", "system", "feedback", "consolidation", "compaction", name="memory_source"),
        server_default="explicit",
    )
    source_conversation_id: Mapped[UUID | None]
    source_message_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default=text("'{}'"))
    extraction_model: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int] = mapped_column(server_default=text("1"), server_onupdate=FetchedValue())
    superseded_by: Mapped[UUID | None]
    # `metadata` is SQLAlchemy's own name.
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'"))
    tier: Mapped[str] = mapped_column(TIERS, server_default="hot")
    status: Mapped[str] = mapped_column(STATUSES, server_default="active")
    words: Mapped[str | None] = mapped_column(TSVECTOR, deferred=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), server_onupdate=FetchedValue())
    expires_at: Mapped[datetime | None]

    # What lies beside the row, as the answers show it; one statement reads it all.
    tags: Mapped[list[str]] = column_property(
        _array(select(MemoryTag.tag).where(MemoryTag.memory_id == OWN_ID).order_by(MemoryTag.tag), Text())
    )
    contradicts: Mapped[list[UUID]] = column_property(
        _array(
            select(MemoryLink.to_id)
            .where(MemoryLink.from_id == OWN_ID, MemoryLink.kind == "contradicts")
            .order_by(MemoryLink.to_id),
            Uuid(),
        )
    )
    related_to: Mapped[list[UUID]] = column_property(
        _array(
            select(MemoryLink.to_id)
            .where(MemoryLink.from_id == OWN_ID, MemoryLink.kind == "related_to")
            .order_by(MemoryLink.to_id),
            Uuid(),
        )
    )
    access_count: Mapped[int] = column_property(
        func.coalesce(
            select(MemoryAccess.access_count).where(MemoryAccess.memory_id == OWN_ID).scalar_subquery(),
            literal_column("0"),
        )
    )
    last_accessed_at: Mapped[datetime | None] = column_property(
        select(MemoryAccess.last_accessed_at).where(MemoryAccess.memory_id == OWN_ID).scalar_subquery()
    )
