"""The history of memories: one entry a change, written by a trigger, never changed (migration 0007)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import Vector
from sqlalchemy import CheckConstraint, Index, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model
from aicq.memory.models.memories import DIMENSIONS, STATUSES, TIERS


class MemoryLog(Model):
    """What was done to a memory, and what it was afterwards. It points at nothing, so that it outlives everything."""

    __tablename__ = "memory_log"
    __table_args__ = (
        CheckConstraint(
            "action IN ('created', 'updated', 'superseded', 'archived', 'disputed', 'restored', 'tagged', 'linked',"
            " 'deleted')",
            name="action",
        ),
        Index("ix_memory_log_memory_id_created_at", "memory_id", "created_at"),  # reconstruct_memory_at
        Index(
            "ix_memory_log_team_id_memory_id",  # reconstruct_memories_at
            "team_id",
            "memory_id",
            text("created_at DESC"),
            postgresql_include=["action", "seq"],
        ),
        Index(
            "ix_memory_log_team_id_created_at",  # MemoryLogRepository.list_changes, MemoryRepository.recall_at
            "team_id",
            "created_at",
            "memory_id",
            "seq",
        ),
    )

    memory_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    team_id: Mapped[UUID]
    action: Mapped[str] = mapped_column(Text)
    old_content: Mapped[str | None] = mapped_column(Text)
    new_content: Mapped[str | None] = mapped_column(Text)
    old_importance: Mapped[int | None]
    new_importance: Mapped[int | None]
    old_tier: Mapped[str | None] = mapped_column(TIERS)
    new_tier: Mapped[str | None] = mapped_column(TIERS)
    old_status: Mapped[str | None] = mapped_column(STATUSES)
    new_status: Mapped[str | None] = mapped_column(STATUSES)
    changed_by: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    conversation_id: Mapped[UUID | None]
    related_memory_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default=text("'{}'"))
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB)
    embedding: Mapped[list[float] | None] = mapped_column(Vector(DIMENSIONS), deferred=True)
    created_at: Mapped[datetime]
