"""Friendships: who has asked whom, who are friends, and who wants to hear nothing of whom."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Enum, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Friendship(Model):
    """What one actor wants of another. Friends have a row each; a block is one actor's alone."""

    __tablename__ = "friendships"
    __audited__ = ("actor_id", "friend_id", "status")
    __table_args__ = (
        CheckConstraint("actor_id <> friend_id", name="not_with_oneself"),
        Index(
            "ix_friendships_friend_id",  # FriendshipRepository.list_requests; the foreign key's CASCADE
            "friend_id",
            "status",
        ),
    )

    actor_id: Mapped[UUID] = mapped_column(ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True)
    friend_id: Mapped[UUID] = mapped_column(ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True)
    status: Mapped[str] = mapped_column(
        Enum("pending", "accepted", "blocked", name="friendship_status"), server_default="pending"
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
