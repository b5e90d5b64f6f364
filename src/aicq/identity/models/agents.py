"""Agents: the protocol's, known by a key, and those of teams, known by a name, in one table."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta
from sqlalchemy import CheckConstraint, Computed, Double, Enum, ForeignKey, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Agent(Model):
    """An AI."""

    __tablename__ = "agents"
    __audited__ = (
        "public_key",
        "name",
        "status",
        "is_active",
        "team_id",
        "slug",
        "type",
        "model_provider",
        "model_name",
        "tags",
        "is_experimental",
        "created_by",
    )
    __table_args__ = (
        UniqueConstraint("team_id", "id"),  # what belongs to a team points at agents of that team only
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 63", name="slug"),
        CheckConstraint("length(type) BETWEEN 1 AND 63 AND type = btrim(type)", name="type"),
        CheckConstraint("type IS NULL OR name IS NOT NULL", name="typed_have_a_name"),
        CheckConstraint("jsonb_typeof(capabilities) IN ('object', 'array')", name="capabilities"),
        CheckConstraint("jsonb_typeof(personality) = 'object'", name="personality"),
        CheckConstraint("jsonb_typeof(model_config) = 'object'", name="model_config"),
        CheckConstraint("jsonb_typeof(memory_config) = 'object'", name="memory_config"),
        CheckConstraint("jsonb_typeof(boundaries) = 'object'", name="boundaries"),
        CheckConstraint("success_rate BETWEEN 0 AND 1", name="success_rate"),
        CheckConstraint(
            "avg_execution_time_ms >= 0 AND avg_execution_time_ms < 'Infinity'", name="avg_execution_time_ms"
        ),
        Index(
            "uq_agents_team_id_slug",  # AgentRepository.find_by_slug
            "team_id",
            "slug",
            unique=True,
            postgresql_where=text("status <> 'archived'"),
        ),
        Index(
            "uq_agents_type_name",  # AgentRepository.find_by_name, list_by_type
            "type",
            "name",
            unique=True,
            postgresql_where=text("type IS NOT NULL"),
        ),
        Index(
            "ix_agents_team_id",  # AgentRepository.list_of_team; the foreign key's CASCADE
            "team_id",
            "status",
            postgresql_where=text("team_id IS NOT NULL"),
        ),
        Index(
            "ix_agents_model_provider",  # AgentRepository.list_by_model
            "model_provider",
            "model_name",
            postgresql_where=text("model_provider IS NOT NULL"),
        ),
        Index("ix_agents_tags", "tags", postgresql_using="gin"),  # AgentRepository.list_tagged
        Index(
            "ix_agents_created_by",  # the foreign key's SET NULL
            "created_by",
            postgresql_where=text("created_by IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True, server_default=func.gen_random_uuid()
    )
    public_key: Mapped[str | None] = mapped_column(Text, unique=True)
    name: Mapped[Annotated[str, Meta(max_length=100)] | None] = mapped_column(Text)
    email: Mapped[Annotated[str, Meta(max_length=254)] | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(
        Enum("draft", "active", "paused", "archived", name="agent_status"), server_default="active"
    )
    is_active: Mapped[bool] = mapped_column(Computed("(status = 'active'::agent_status)", persisted=True))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    slug: Mapped[str | None] = mapped_column(Text)
    type: Mapped[str | None] = mapped_column(Text)
    tagline: Mapped[str | None] = mapped_column(Text)
    avatar_emoji: Mapped[str | None] = mapped_column(Text)
    model_provider: Mapped[str | None] = mapped_column(Text)
    model_name: Mapped[str | None] = mapped_column(Text)
    capabilities: Mapped[Any] = mapped_column(JSONB, server_default=text("'{}'"))
    personality: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    shared_skill_names: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    custom_skill_names: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    disabled_skill_names: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    model_config: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    memory_config: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    boundaries: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    success_rate: Mapped[float | None] = mapped_column(Double)
    avg_execution_time_ms: Mapped[float | None] = mapped_column(Double)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    is_experimental: Mapped[bool] = mapped_column(server_default=text("false"))
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("actors.id", ondelete="SET NULL"))
