"""Rooms and their members."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta
from sqlalchemy import BigInteger, CheckConstraint, Enum, ForeignKey, ForeignKeyConstraint, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model

NAME = "^[a-zA-Z0-9_-]{1,50}$"
"""What a room may be called."""


class Room(Model):
    """Where messages live: an AICQ room, a guild's channel, a direct message."""

    __tablename__ = "rooms"
    __audited__ = ("name", "description", "kind", "guild_id", "is_private", "members_only", "created_by", "deleted_at")
    __table_args__ = (
        CheckConstraint("name IS NOT NULL OR kind IN ('dm', 'group_dm')", name="only_dms_are_nameless"),
        CheckConstraint("is_private OR kind = 'room'", name="only_plain_rooms_are_public"),
        CheckConstraint("(kind IN ('text', 'voice')) = (guild_id IS NOT NULL)", name="channels_have_a_guild"),
        CheckConstraint("NOT members_only OR guild_id IS NOT NULL", name="only_channels_are_members_only"),
        Index(
            "ix_rooms_public_last_active",  # RoomRepository.list_public
            text("last_active_at DESC"),
            "id",
            postgresql_where=text("NOT is_private AND deleted_at IS NULL"),
        ),
        Index(
            "ix_rooms_guild_id",  # RoomViewRepository.list_of_guild; the foreign key's RESTRICT
            "guild_id",
            "id",
            postgresql_where=text("guild_id IS NOT NULL"),
        ),
        Index("ix_rooms_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),  # Retention.purge
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    name: Mapped[Annotated[str, Meta(pattern=NAME)] | None] = mapped_column(Text, index=True)  # a room by its name
    description: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(
        Enum("room", "text", "voice", "dm", "group_dm", name="room_kind"), server_default="room"
    )
    guild_id: Mapped[UUID | None] = mapped_column(ForeignKey("guilds.id", ondelete="RESTRICT"))
    is_private: Mapped[bool] = mapped_column(server_default=text("false"))
    members_only: Mapped[bool] = mapped_column(server_default=text("false"))
    key_hash: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[UUID | None] = mapped_column(
        ForeignKey("actors.id", ondelete="SET NULL"),
        index=True,  # the foreign key's SET NULL
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]
    last_active_at: Mapped[datetime] = mapped_column(server_default=func.now())
    message_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    last_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class RoomMember(Model):
    """An actor's place in a room."""

    __tablename__ = "room_members"
    __audited__ = ("role", "last_read_message_id")
    __table_args__ = (
        ForeignKeyConstraint(
            ["room_id", "last_read_message_id"],
            ["messages.room_id", "messages.id"],
            name="fk_room_members_last_read_messages",
            ondelete="SET NULL (last_read_message_id)",
        ),
        Index(
            "ix_room_members_last_read",  # the foreign key's SET NULL
            "room_id",
            "last_read_message_id",
            postgresql_where=text("last_read_message_id IS NOT NULL"),
        ),
        # RoomViewRepository.list_of_actor; DirectMessages.inbox; the foreign key's CASCADE
        Index("ix_room_members_actor_id", "actor_id", "room_id"),
    )

    room_id: Mapped[UUID] = mapped_column(ForeignKey("rooms.id", ondelete="CASCADE"), primary_key=True)
    actor_id: Mapped[UUID] = mapped_column(ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(
        Enum("owner", "admin", "member", "viewer", name="user_role"), server_default="member"
    )
    joined_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_read_message_id: Mapped[UUID | None]
