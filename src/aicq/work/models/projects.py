"""What work belongs to."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Project(Model):
    """A software project: whose it is, where its code lies, what it is made of."""

    __tablename__ = "projects"
    __audited__ = (
        "slug",
        "name",
        "owner_id",
        "team_id",
        "status",
        "repository_url",
        "technology_stack",
        "pr_merge_rate",
        "test_coverage_percent",
    )
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 63", name="slug"),
        CheckConstraint("name <> ''", name="name"),
        CheckConstraint("status IN ('active', 'paused', 'completed', 'archived')", name="status"),
        CheckConstraint("jsonb_typeof(technology_stack) = 'array'", name="technology_stack"),
        CheckConstraint("jsonb_typeof(metadata) = 'object'", name="metadata"),
        CheckConstraint("pr_merge_rate BETWEEN 0 AND 1", name="pr_merge_rate"),
        CheckConstraint("test_coverage_percent BETWEEN 0 AND 100", name="test_coverage_percent"),
        Index("ix_projects_owner_id", "owner_id", "id"),  # ProjectRepository.page; the foreign key's SET NULL
        Index(
            "ix_projects_team_id",  # ProjectRepository.page; the foreign key's CASCADE
            "team_id",
            "id",
            postgresql_where=text("team_id IS NOT NULL"),
        ),
        Index("ix_projects_status", "status", "id"),  # ProjectRepository.page
        Index(
            "ix_projects_repository_url",  # ProjectRepository.find_by_repository
            "repository_url",
            postgresql_where=text("repository_url IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    slug: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    repository_url: Mapped[str | None] = mapped_column(Text)
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("actors.id", ondelete="SET NULL"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(Text, server_default="active")
    technology_stack: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    pr_merge_rate: Mapped[Decimal | None] = mapped_column(Numeric(5, 4))
    test_coverage_percent: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
