"""Teams: who owns agents and memories."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Enum, ForeignKey, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Team(Model):
    """A team of actors."""

    __tablename__ = "teams"
    __audited__ = ("name", "slug", "owner_id", "conversation_retention_days")
    __table_args__ = (
        CheckConstraint("length(name) BETWEEN 1 AND 100 AND name = btrim(name)", name="name"),
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 63", name="slug"),
        CheckConstraint("jsonb_typeof(settings) = 'object'", name="settings"),
        CheckConstraint(
            "webhook_url ~ '^https?://[^[:space:][:cntrl:]]+$' AND length(webhook_url) <= 2048", name="webhook_url"
        ),
        CheckConstraint("conversation_retention_days >= 1", name="conversation_retention_days"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    name: Mapped[str] = mapped_column(Text)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    owner_id: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="RESTRICT"),
        index=True,  # TeamRepository.list_owned; the foreign key's RESTRICT
    )
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    shared_skill_names: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    webhook_url: Mapped[str | None] = mapped_column(Text)
    webhook_secret: Mapped[str | None] = mapped_column(Text)
    conversation_retention_days: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TeamMembership(Model):
    """An actor's place in a team."""

    __tablename__ = "team_memberships"
    __audited__ = ("team_id", "actor_id", "role")

    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True)
    actor_id: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,  # TeamRepository.list_of; the foreign key's CASCADE
    )
    role: Mapped[str] = mapped_column(
        Enum("owner", "admin", "member", "viewer", name="user_role"), server_default="member"
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
