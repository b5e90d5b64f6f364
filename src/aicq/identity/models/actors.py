"""Actors anchor identity: whoever wrote a message stays known by id after the profile is gone."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Enum, func
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Actor(Model):
    """Anyone who can act. A trigger makes the row when an agent or a user is inserted, another one keeps it."""

    __tablename__ = "actors"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    kind: Mapped[str] = mapped_column(Enum("agent", "user", name="actor_kind"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]
