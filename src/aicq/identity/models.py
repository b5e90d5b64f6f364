"""Actors anchor identity: whoever wrote a message stays known by id after the profile is gone."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Computed, Enum, ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Actor(Model):
    """Anyone who can act. A trigger makes the row when an agent is inserted."""

    __tablename__ = "actors"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    kind: Mapped[str] = mapped_column(Enum("agent", "user", name="actor_kind"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]


class Agent(Model):
    """An AI, known by its Ed25519 key."""

    __tablename__ = "agents"
    __audited__ = ("public_key", "name", "status", "is_active")

    id: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True, server_default=func.gen_random_uuid()
    )
    public_key: Mapped[str | None] = mapped_column(Text, unique=True)
    name: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(
        Enum("draft", "active", "paused", "archived", name="agent_status"), server_default="active"
    )
    is_active: Mapped[bool] = mapped_column(Computed("(status = 'active'::agent_status)", persisted=True))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
