"""Rooms, members and the log. The log itself is written by `message_log_append` only (migration 0002)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Room(Model):
    """Where messages live: an AICQ room, a guild's channel, a direct message."""

    __tablename__ = "rooms"
    __audited__ = ("name", "description", "kind", "guild_id", "is_private", "created_by", "deleted_at")
    __table_args__ = (
        CheckConstraint("name IS NOT NULL OR kind IN ('dm', 'group_dm')", name="only_dms_are_nameless"),
        CheckConstraint("is_private OR kind NOT IN ('dm', 'group_dm')", name="dms_are_private"),
        Index(
            "ix_rooms_public_last_active",  # RoomRepository.list_public
            text("last_active_at DESC"),
            "id",
            postgresql_where=text("NOT is_private AND deleted_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    name: Mapped[str | None] = mapped_column(Text, index=True)  # a room by its name
    description: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(
        Enum("room", "text", "voice", "dm", "group_dm", name="room_kind"), server_default="room"
    )
    guild_id: Mapped[UUID | None]
    is_private: Mapped[bool] = mapped_column(server_default=text("false"))
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


class Message(Model):
    """One entry of a room's log: a message, an edit or a delete."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("room_id", "id"),
        CheckConstraint("(entry = 'message') = (target_id IS NULL)", name="only_changes_have_a_target"),
    )

    room_id: Mapped[UUID] = mapped_column(ForeignKey("rooms.id", ondelete="RESTRICT"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[UUID]
    entry: Mapped[str] = mapped_column(Enum("message", "edit", "delete", name="entry_kind"), server_default="message")
    target_id: Mapped[UUID | None]
    author_id: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="RESTRICT"),
        index=True,  # the foreign key's RESTRICT; an author's messages
    )
    body: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text, server_default="text")
    parent_id: Mapped[UUID | None]
    signature: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]
    is_edited: Mapped[bool] = mapped_column(Computed("(edited_at IS NOT NULL)", persisted=True))
    deleted_at: Mapped[datetime | None]


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
    )

    room_id: Mapped[UUID] = mapped_column(ForeignKey("rooms.id", ondelete="CASCADE"), primary_key=True)
    actor_id: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,  # DirectMessages.inbox
    )
    role: Mapped[str] = mapped_column(
        Enum("owner", "admin", "member", "viewer", name="user_role"), server_default="member"
    )
    joined_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_read_message_id: Mapped[UUID | None]
