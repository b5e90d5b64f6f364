"""What rooms and their messages look like under `/v1`."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aicq.messaging.models.messages import FileSize, MediaType, StorageKey
from aicq.messaging.schemas.protocol import Seconds, Ulid

RoomRole = Literal["owner", "admin", "member", "viewer"]

RoomKind = Literal["room", "text", "voice", "dm", "group_dm"]

Permissions = Annotated[
    int,
    Meta(
        ge=0,
        le=255,
        description="The sum of 1 view, 2 post, 4 manage messages, 8 manage rooms, 16 manage roles, 32 kick, 64 ban, "
        "128 administrator.",
    ),
]

MOST_OTHERS = 25


class RoomCreate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A room to be created.

    Args:
        name: 1 to 50 letters, digits, hyphens and underscores; need not be unique.
        description: What it is about, at most 2,000 characters.
        is_private: Whether a key or a membership is needed.
        key: Opens a private room to whoever shows it, 16 characters at least; without one it is for its members alone.
    """

    name: str
    description: str = ""
    is_private: bool = False
    key: str | None = None


class RoomChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to change in a room; what is not given stays as it is.

    Args:
        name: 1 to 50 letters, digits, hyphens and underscores.
        description: What it is about; an empty one takes it away.
        key: The new key of a private room; an empty one takes it away. The old one opens the room no more.
        members_only: Of a channel: whether it is for its own members alone.
    """

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    members_only: bool | UnsetType = UNSET


class RoomShown(msgspec.Struct, kw_only=True):
    """A room as the caller sees it.

    Args:
        id: The room.
        name: Its name; direct messages have none.
        description: What it is about.
        kind: What kind of room it is.
        guild_id: The guild that it is a channel of.
        is_private: Whether a key or a membership is needed.
        members_only: Whether it is a channel for its own members alone.
        has_key: Whether there is a key that opens it.
        created_by: Who created it.
        created_at: When.
        last_active_at: When something was last said in it.
        message_count: How many messages it holds.
        last_seq: The newest position.
        role: The caller's role as its member; null if they are none.
        permissions: What the caller may do in it.
        last_read: The newest message that the caller is known to have read.
        unread: How many messages of others are newer, counted up to 1000; null if the caller neither joined nor read.
        members: Of direct messages: who takes part.
    """

    id: str
    name: str | None
    description: str | None
    kind: RoomKind
    guild_id: str | None
    is_private: bool
    members_only: bool
    has_key: bool
    created_by: str | None
    created_at: Seconds
    last_active_at: Seconds
    message_count: int
    last_seq: int
    role: RoomRole | None
    permissions: Permissions
    last_read: Ulid | None
    unread: Annotated[int, Meta(ge=0, le=1000)] | None
    members: list[str] | None = None


class Rooms(msgspec.Struct):
    """A page of rooms.

    Args:
        items: The rooms.
        next: The cursor of the next page; null on the last one.
    """

    items: list[RoomShown]
    next: str | None


class DirectRoom(msgspec.Struct, forbid_unknown_fields=True):
    """With whom direct messages are to be exchanged.

    Args:
        members: The others; the caller need not be among them.
    """

    members: Annotated[list[UUID], Meta(min_length=1, max_length=MOST_OTHERS)]


class RoomMemberShown(msgspec.Struct):
    """A member of a room."""

    actor_id: str
    role: RoomRole
    joined_at: Seconds


class RoomMembers(msgspec.Struct):
    """A page of members.

    Args:
        items: The members.
        next: The cursor of the next page; null on the last one.
    """

    items: list[RoomMemberShown]
    next: str | None


class RoomMemberRole(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody is to be in a room.

    Args:
        role: Viewers read, members write as well, admins see to members and viewers, owners to everything.
    """

    role: RoomRole = "member"


class ReadMark(msgspec.Struct, forbid_unknown_fields=True):
    """Up to where a room was read."""

    message_id: Ulid


class ReadState(msgspec.Struct):
    """How far the caller has read a room.

    Args:
        last_read: The newest message that they are known to have read.
        unread: How many messages of others are newer, counted up to 1000.
    """

    last_read: Ulid | None
    unread: int | None


class ReaderShown(msgspec.Struct):
    """Somebody who has read a message, or a later one."""

    actor_id: str
    read_at: Seconds


class Readers(msgspec.Struct):
    """A page of readers.

    Args:
        items: The readers.
        next: The cursor of the next page; null on the last one.
    """

    items: list[ReaderShown]
    next: str | None


class AttachmentCreate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A file that is to belong to a message; its bytes are kept elsewhere.

    Args:
        filename: What the file is called.
        content_type: Its media type.
        size_bytes: How long it is.
        storage_key: Where its bytes lie, for whoever can fetch them.
    """

    filename: Annotated[str, Meta(min_length=1, max_length=255)]
    content_type: MediaType = "application/octet-stream"
    size_bytes: FileSize
    storage_key: StorageKey


class MessageAttachmentShown(msgspec.Struct, kw_only=True):
    """A file that belongs to a message."""

    id: str
    filename: str
    content_type: str
    size_bytes: int
    storage_key: str
    uploader_id: str | None
    created_at: Seconds


class Attachments(msgspec.Struct):
    """A page of files.

    Args:
        items: The files.
        next: The cursor of the next page; null on the last one.
    """

    items: list[MessageAttachmentShown]
    next: str | None
