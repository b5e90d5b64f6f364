"""The message log, and what points at messages. The log is written by `message_log_append` only (migration 0006)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta
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

MediaType = Annotated[str, Meta(pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=127)]
FileSize = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]
StorageKey = Annotated[str, Meta(min_length=1, max_length=1024)]


class Message(Model):
    """One entry of a room's log: a message, an edit or a delete."""

    __tablename__ = "messages"
    __audited__ = ("room_id", "id", "entry", "target_id", "author_id")
    __table_args__ = (
        UniqueConstraint("room_id", "id"),
        CheckConstraint("(entry = 'message') = (target_id IS NULL)", name="only_changes_have_a_target"),
        # LogBook.page: the newest entries of all rooms. Not of plain ids, which have it walk there for a single room.
        Index("ix_messages_id", text("uuid_send(id)")),
        Index(
            "ix_messages_author_id_id",  # LogBook.page: an author's newest entries; the foreign key's RESTRICT
            "author_id",
            "id",
        ),
    )

    room_id: Mapped[UUID] = mapped_column(ForeignKey("rooms.id", ondelete="RESTRICT"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[UUID]
    entry: Mapped[str] = mapped_column(Enum("message", "edit", "delete", name="entry_kind"), server_default="message")
    target_id: Mapped[UUID | None]
    author_id: Mapped[UUID] = mapped_column(ForeignKey("actors.id", ondelete="RESTRICT"))
    body: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text, server_default="text")
    parent_id: Mapped[UUID | None]
    signature: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]
    is_edited: Mapped[bool] = mapped_column(Computed("(edited_at IS NOT NULL)", persisted=True))
    deleted_at: Mapped[datetime | None]


class MessageReadReceipt(Model):
    """That an actor has read a room up to this message."""

    __tablename__ = "message_read_receipts"
    __audited__ = ("room_id", "message_id", "actor_id", "read_at")
    __table_args__ = (
        ForeignKeyConstraint(["room_id", "message_id"], ["messages.room_id", "messages.id"], ondelete="CASCADE"),
        Index(
            "ix_message_read_receipts_actor_id",  # RoomViewRepository; the foreign key's CASCADE
            "actor_id",
            "room_id",
            "message_id",
        ),
    )

    room_id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    actor_id: Mapped[UUID] = mapped_column(ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True)
    read_at: Mapped[datetime] = mapped_column(server_default=func.now())


class MessageAttachment(Model):
    """A file that belongs to a message. Its bytes lie elsewhere, under `storage_key`."""

    __tablename__ = "message_attachments"
    __audited__ = ("room_id", "message_id", "uploader_id", "content_type", "size_bytes")
    __table_args__ = (
        ForeignKeyConstraint(["room_id", "message_id"], ["messages.room_id", "messages.id"], ondelete="CASCADE"),
        CheckConstraint("length(filename) BETWEEN 1 AND 255", name="filename"),
        CheckConstraint("size_bytes >= 0", name="size_bytes"),
        # AttachmentRepository.list_of_message; the foreign key's CASCADE
        Index("ix_message_attachments_room_id_message_id", "room_id", "message_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    room_id: Mapped[UUID]
    message_id: Mapped[UUID]
    uploader_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("actors.id", ondelete="SET NULL"),
        index=True,  # the foreign key's SET NULL
    )
    filename: Mapped[str] = mapped_column(Text)
    content_type: Mapped[MediaType] = mapped_column(Text, server_default="application/octet-stream")
    size_bytes: Mapped[FileSize] = mapped_column(BigInteger)
    storage_key: Mapped[StorageKey] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
