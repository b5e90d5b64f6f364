"""What those who follow rooms are told, and what is said over `/v1/live`: one JSON object a frame."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta


class LiveEntry(
    msgspec.Struct, omit_defaults=True, rename={"author": "from", "parent": "pid", "signature": "sig"}, frozen=True
):
    """An entry of a room's log, as those get it who follow the room.

    Args:
        kind: `message`, `edit` or `delete`.
        id: Its ULID: where to resume.
        seq: Its position in the room, from 1, without gaps.
        author: Who made it, `from` on the wire.
        ts: When, Unix time in milliseconds.
        body: What a message says, or what the edited message says now.
        parent: The ULID of the message that a message answers, `pid` on the wire.
        signature: The author's signature of a message, `sig` on the wire.
        target: The ULID of the message that an edit or a delete changed.
        edited_at: When the message was last edited, Unix time in milliseconds.
        deleted: The message has been deleted since, or the edited one has; there is no body.
    """

    kind: str
    id: str
    seq: int
    author: str
    ts: int
    body: str = ""
    parent: str = ""
    signature: str = ""
    target: str = ""
    edited_at: int = 0
    deleted: bool = False


class Gap(msgspec.Struct, rename={"first": "from", "last": "to"}, frozen=True):
    """Positions that are missing: the log does not hold them any more, or never did.

    Args:
        first: The first of them, `from` on the wire.
        last: The last, `to` on the wire; lower than `first` if the reader was ahead of the log.
        kind: `gap`.
    """

    first: int
    last: int
    kind: str = "gap"


RoomId = Annotated[str, Meta(description="A room's id, a UUID in any spelling.")]
Reference = Annotated[str, Meta(max_length=64, description="Comes back with the answer, so that the two are matched.")]


class Said(msgspec.Struct, tag_field="type", tag=str.lower, forbid_unknown_fields=True, kw_only=True):
    """What a client says."""

    ref: Reference = ""


class Auth(Said):
    """Says who one is; needed to post, to type, and for rooms that one is a member of."""

    token: Annotated[str, Meta(description="An access token, as `/v1/auth` gives it.")]


class Subscribe(Said):
    """Follows a room: from `after` on, otherwise from now."""

    room: RoomId
    after: Annotated[str, Meta(description="A ULID: begin with what follows it.")] = ""
    key: Annotated[str, Meta(description="The key of a private room.")] = ""


class Unsubscribe(Said):
    """Follows a room no more."""

    room: RoomId


class Post(Said):
    """Posts a message."""

    room: RoomId
    body: Annotated[str, Meta(description="1 to 4096 bytes.")]
    pid: Annotated[str, Meta(description="The ULID of the message that this one answers.")] = ""
    sig: Annotated[str, Meta(description="The author's own signature of the message.")] = ""
    key: Annotated[str, Meta(description="The key of a private room.")] = ""


class Typing(Said):
    """Types in a room that one follows; counts for five seconds."""

    room: RoomId
    is_typing: bool = True


class Read(Said):
    """Has read a room up to a message; reading goes on, never back."""

    room: RoomId
    id: Annotated[str, Meta(description="The message's ULID.")]
    key: Annotated[str, Meta(description="The key of a private room.")] = ""


class Presence(Said):
    """Asks who of some actors is present."""

    actors: Annotated[list[str], Meta(max_length=100)]


class Ping(Said):
    """Shows that one is there, and asks the same."""


class Pong(Said):
    """Shows that one is there."""


Frame = Auth | Subscribe | Unsubscribe | Post | Typing | Read | Presence | Ping | Pong


class Told(msgspec.Struct, tag_field="type", tag=str.lower, omit_defaults=True, kw_only=True):
    """What a client is told."""

    ref: Reference = ""


class Hello(Told):
    """The first frame: after so many seconds of silence the service asks whether one is there, and then ends.

    When the socket is lost, one shall come back after `come_back_after` seconds; each is told another number, so that
    those who lose their sockets together do not come back together.
    """

    ask_after: int
    end_after: int
    come_back_after: float


class Done(Told):
    """What was asked for is done."""


class Entry(Told):
    """An entry of a followed room's log; each comes once and in order."""

    room: str
    entry: LiveEntry


class Missing(Told, tag="gap", rename={"first": "from", "last": "to"}):
    """Positions of a followed room that the log does not hold, or that are beyond its end."""

    room: str
    first: int
    last: int


class End(Told):
    """A room is followed no more, and why."""

    room: str
    error: str


class Posted(Told):
    """A message is durable."""

    id: str
    ts: int


class TypingNow(Told, tag="typing"):
    """Who types in a followed room just now."""

    room: str
    actors: list[str]


class ReadMark(msgspec.Struct, frozen=True):
    """Up to which message somebody is known to have read a room."""

    actor: str
    id: str


class ReadNow(Told, tag="read"):
    """Who has just read a followed room, and how far; told to those who have said who they are."""

    room: str
    marks: list[ReadMark]


class Present(Told):
    """Those who are present."""

    actors: list[str]


class Failed(Told):
    """What was asked for was not done."""

    status: int
    error: str
    field: str = ""
    retry_after: int = 0


class Asked(Told, tag="ping"):
    """Asks whether one is there; to be answered with `pong`."""


class Answered(Told, tag="pong"):
    """The answer to a `ping`."""


Answer = Hello | Done | Entry | Missing | End | Posted | TypingNow | ReadNow | Present | Failed | Asked | Answered


def schema() -> dict[str, Any]:
    """The JSON Schema of both directions."""
    (said, told), components = msgspec.json.schema_components((Frame, Answer), ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "/v1/live",
        "description": "One JSON object a frame. `said` is what clients send, `told` what the service sends.",
        "properties": {"said": said, "told": told},
        "$defs": components,
    }
