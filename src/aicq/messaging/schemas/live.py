"""What those who follow a room are told."""

import msgspec


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
