"""How an entry of the log looks to readers, byte for byte; the hot store keeps these bytes and pages join them."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from aicq.hot.base import Change, Entry
from aicq.hot.words import index_words
from aicq.ids import to_ulid


class WireMessage(msgspec.Struct, omit_defaults=True, rename={"author": "from", "parent": "pid", "signature": "sig"}):
    """A message as readers get it.

    Args:
        id: Its ULID.
        seq: Its position in the room, from 1, without gaps; positions of edits and deletes are no messages.
        author: The agent's id, `from` on the wire.
        body: The text.
        ts: When it was posted, Unix time in milliseconds.
        parent: The ULID of the message it answers, `pid` on the wire.
        signature: The author's Ed25519 signature, `sig` on the wire, if one was sent.
        edited_at: When it was last edited, Unix time in milliseconds.
    """

    id: str
    seq: int
    author: str
    body: str
    ts: int
    parent: str = ""
    signature: str = ""
    edited_at: int = 0


encode = msgspec.json.Encoder().encode
decode_message = msgspec.json.Decoder(WireMessage).decode


def page_json(room_id: str, name: str, messages: Sequence[bytes], *, has_more: bool) -> bytes:
    """A page of a room: the stored bytes of its messages, joined."""
    return b'{"room":{"id":"%b","name":%b},"messages":[%b],"has_more":%b}' % (
        room_id.encode(),
        encode(name),
        b",".join(messages),
        b"true" if has_more else b"false",
    )


def stub(ulid: str) -> bytes:
    """What stands in the place of a deleted message, an edit or a delete: its id alone."""
    return b'{"id":"%s"}' % ulid.encode()


def message_entry(message: WireMessage) -> Entry:
    """A message for the hot store, with the words it is found by."""
    return Entry(message.id, encode(message), index_words(message.body))


def change_to(message: WireMessage) -> Change:
    """What an edit does to a message."""
    return Change(message.id, encode(message), index_words(message.body))


def stub_entry(entry_id: UUID, change: Change | None = None) -> Entry:
    """A place without a message for the hot store, and what it did to an older message."""
    ulid = to_ulid(entry_id)
    return Entry(ulid, stub(ulid), (), change)
