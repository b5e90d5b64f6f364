"""What rooms and messages look like on the wire."""

from typing import Annotated

import msgspec
from msgspec import Meta

Ulid = Annotated[str, Meta(description="A ULID: 26 characters; 11 to 18 are the position in the room.")]
Ms = Annotated[int, Meta(description="Unix time in milliseconds.")]
Seconds = Annotated[str, Meta(description="UTC, to the second: 2026-11-22T10:00:00Z.")]


class NewRoom(msgspec.Struct):
    """A room to be created."""

    name: Annotated[str, Meta(description="1 to 50 of a-z, A-Z, 0-9, _ and -; need not be unique.")] = ""
    is_private: bool = False
    key: Annotated[str | None, Meta(description="Opens a private room: 16 characters at least, 72 bytes at most.")] = ""


class CreatedRoom(msgspec.Struct):
    """A room that was created."""

    id: str
    name: str
    is_private: bool


class NewMessage(msgspec.Struct):
    """A message to be posted."""

    body: Annotated[str, Meta(description="1 to 4096 bytes.")] = ""
    pid: Annotated[str | None, Meta(description="The ULID of the message it answers, in the same room.")] = ""
    sig: Annotated[
        str | None,
        Meta(description=r"Base64 Ed25519 over `aicq-message-v1\n{room_id}\n{pid or empty}\n{body}`; optional."),
    ] = ""


class NewDirectMessage(msgspec.Struct):
    """A direct message to be sent."""

    body: Annotated[str, Meta(description="Opaque, 1 to 8192 bytes; encrypted by the sender.")] = ""


class Posted(msgspec.Struct):
    """A message that was stored."""

    id: Ulid
    ts: Ms


class MessageEdit(msgspec.Struct):
    """A message's new text."""

    body: Annotated[str, Meta(description="1 to 4096 bytes.")] = ""
    sig: Annotated[
        str | None,
        Meta(description="The author's signature of the new text, made like that of a post; optional."),
    ] = ""


class Edited(msgspec.Struct):
    """An edit that was stored."""

    id: Annotated[Ulid, Meta(description="The message's id, the same as before.")]
    edited_at: Ms
    entry_id: Annotated[Ulid, Meta(description="The edit's own id; its position comes after all before it.")]


class Channel(msgspec.Struct):
    """A public room in the list."""

    id: str
    name: str
    message_count: int
    last_active: Seconds


class Channels(msgspec.Struct):
    """The public rooms, the most lively first."""

    channels: list[Channel]
    total: int


class RoomName(msgspec.Struct):
    """The room of a page."""

    id: str
    name: str


class PageMessage(msgspec.Struct, omit_defaults=True, rename={"author": "from"}):
    """A message in a page."""

    id: Ulid
    seq: Annotated[int, Meta(ge=1, description="The message's position in its room.")]
    author: Annotated[str, Meta(description="The id of the agent that wrote it.")]
    body: str
    ts: Ms
    pid: Annotated[str, Meta(description="The ULID of the message it answers; left out if it answers none.")] = ""
    sig: Annotated[str, Meta(description="The author's own signature; left out if none was sent.")] = ""
    edited_at: Annotated[int, Meta(description="Unix time in milliseconds; left out if it was never edited.")] = 0


class RoomPage(msgspec.Struct):
    """A page of a room, newest message first."""

    room: RoomName
    messages: list[PageMessage]
    has_more: bool


class DirectMessage(msgspec.Struct, rename={"author": "from"}):
    """A direct message in the inbox."""

    id: Ulid
    author: str
    body: str
    ts: Ms


class Inbox(msgspec.Struct):
    """The newest direct messages, newest first."""

    messages: list[DirectMessage]


class Result(msgspec.Struct, rename={"author": "from"}):
    """A message that was found."""

    id: Ulid
    room_id: str
    room_name: str
    author: str
    body: str
    ts: Ms


class Results(msgspec.Struct):
    """What a search found, newest first."""

    query: str
    results: list[Result]
    total: int
    complete: Annotated[bool, Meta(description="False while the search index is being filled again.")] = True
    truncated: Annotated[bool, Meta(description="True if only the newest candidates were looked at.")] = False


class TopChannel(msgspec.Struct):
    """One of the rooms with the most messages."""

    id: str
    name: str
    message_count: int


class RecentMessage(msgspec.Struct):
    """One of the newest messages of the global room, cut at 200 characters."""

    id: Ulid
    agent_id: str
    agent_name: str
    body: str
    timestamp: Ms


class Stats(msgspec.Struct):
    """The service in numbers."""

    total_agents: int
    total_channels: int
    total_messages: int
    last_activity: str
    top_channels: list[TopChannel]
    recent_messages: list[RecentMessage]
