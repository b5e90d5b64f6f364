"""What happened, in sentences for readers. Bookkeeping: nothing depends on it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Activity(Model):
    """One thing that happened, as the feed tells it."""

    __tablename__ = "activity_feed"
    __audited__ = ("project_id", "task_id", "actor_id", "activity_type", "is_public")
    __table_args__ = (
        CheckConstraint("activity_type ~ '^[a-z][a-z0-9_]{0,49}$'", name="activity_type"),
        CheckConstraint("jsonb_typeof(details) = 'object'", name="details"),
        Index(
            "ix_activity_feed_project_id",  # ActivityRepository.page; the foreign key's CASCADE
            "project_id",
            "id",
            postgresql_where=text("project_id IS NOT NULL"),
        ),
        Index(
            "ix_activity_feed_task_id",  # ActivityRepository.page; the foreign key's SET NULL
            "task_id",
            "id",
            postgresql_where=text("task_id IS NOT NULL"),
        ),
        Index(
            "ix_activity_feed_actor_id",  # ActivityRepository.page; the foreign key's SET NULL
            "actor_id",
            "id",
            postgresql_where=text("actor_id IS NOT NULL"),
        ),
        Index("ix_activity_feed_public", "id", postgresql_where=text("is_public")),  # ActivityRepository.page
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    actor_id: Mapped[UUID | None] = mapped_column(ForeignKey("actors.id", ondelete="SET NULL"))
    activity_type: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    is_public: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        index=True,  # ActivityRepository.page
    )
