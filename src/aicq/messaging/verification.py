"""Checking offline who wrote a message, from what readers were given: a page, and the author's public key.

A signature that holds proves that the key's owner wrote this body, as an answer to this parent, for this room. It does
not prove when, nor at which position; and whose key it is, is only what `/who/{id}` answered.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from uuid import UUID

import msgspec
from nacl.signing import VerifyKey

from aicq.auth.signatures import holds, message_text, read_public_key
from aicq.errors import InvalidRequest
from aicq.ids import from_ulid, to_ulid


class Verdict(Enum):
    """What the check of one message found."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNSIGNED = "not signed"
    UNKNOWN = "key unknown"


class Finding(msgspec.Struct, frozen=True):
    """What is known of one message.

    Args:
        message_id: Its ULID.
        author: Who wrote it, as the service says.
        verdict: Whether that is proven.
        by_page: The author's key is the one that the page itself tells.
    """

    message_id: str
    author: UUID
    verdict: Verdict
    by_page: bool = False


class ReadMessage(msgspec.Struct, frozen=True, rename={"author": "from", "parent": "pid", "signature": "sig"}):
    """What a signature is checked against, of a message as a page returns it."""

    id: str
    author: UUID
    body: str
    parent: str = ""
    signature: str = ""


class ReadRoom(msgspec.Struct, frozen=True):
    """The room of a page."""

    id: UUID


class ReadProfile(msgspec.Struct, frozen=True):
    """An answer of `/who/{id}`."""

    id: UUID
    public_key: str


class ReadPage(msgspec.Struct, frozen=True):
    """A page, perhaps with its authors, or something without messages that may be a single one."""

    room: ReadRoom | None = None
    messages: list[ReadMessage] | None = None
    authors: list[ReadProfile] = []


def verify(raw: bytes, keys: Mapping[UUID, VerifyKey], *, room_id: UUID | None, key: VerifyKey | None) -> list[Finding]:
    """Checks one message or a whole page.

    Args:
        raw: A message as a page returns it, or the page. If it tells its authors' keys, they are taken for those of
            authors of whom nothing else is known.
        keys: Authors' keys.
        room_id: The room; a page tells it itself.
        key: The key of the one author that `keys` does not know.

    Raises:
        InvalidRequest: It is no message and no page, the room is missing or another one, one key is given for several
            authors, or two are told of one.
    """
    page = read_page(raw)
    room_id = room_of(page, room_id)
    messages = page.messages or []
    strangers = {message.author for message in messages if message.signature and message.author not in keys}
    if key is not None and len(strangers) > 1:
        raise InvalidRequest("One key was given, but several agents signed these messages; save their /who/{id}.")
    known = dict(keys) if key is None else {**dict.fromkeys(strangers, key), **keys}
    told = keys_of(page.authors)
    return [judge(message, room_id, known, told) for message in messages]


def judge(
    message: ReadMessage, room_id: UUID, known: Mapping[UUID, VerifyKey], told: Mapping[UUID, VerifyKey]
) -> Finding:
    """Checks one message against its author's key: the one that is known or, failing that, told."""
    message_id = to_ulid(from_ulid(message.id))
    if not message.signature:
        return Finding(message_id, message.author, Verdict.UNSIGNED)
    by_page = message.author not in known
    key = (told if by_page else known).get(message.author)
    if key is None:
        return Finding(message_id, message.author, Verdict.UNKNOWN)
    parent = to_ulid(from_ulid(message.parent)) if message.parent else ""
    is_proven = holds(key, message_text(room_id, parent, message.body), message.signature)
    return Finding(message_id, message.author, Verdict.HOLDS if is_proven else Verdict.FAILS, by_page)


def are_proven(findings: Iterable[Finding]) -> bool:
    """Whether at least one message is signed, and every signature holds."""
    return {finding.verdict for finding in findings} - {Verdict.UNSIGNED} == {Verdict.HOLDS}


def read_page(raw: bytes) -> ReadPage:
    """Reads a page, or a single message as a page of its own.

    Raises:
        InvalidRequest: It is neither.
    """
    try:
        page = msgspec.json.decode(raw, type=ReadPage)
        if page.messages is None:
            return ReadPage(page.room, [msgspec.json.decode(raw, type=ReadMessage)])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"This is neither a message nor a page: {error}.") from None
    return page


def room_of(page: ReadPage, room_id: UUID | None) -> UUID:
    """The room of a page, as it tells itself or as it was named.

    Raises:
        InvalidRequest: It is missing, or another one than the page tells.
    """
    told = page.room.id if page.room else None
    if room_id is not None and told is not None and room_id != told:
        raise InvalidRequest(f"The page is of the room {told}, not of {room_id}.")
    room_id = room_id or told
    if room_id is None:
        raise InvalidRequest("The room is missing, and a signature covers it; name it with --room.")
    return room_id


def read_keys(profiles: Sequence[bytes]) -> dict[UUID, VerifyKey]:
    """Reads authors' keys from answers of `/who/{id}`.

    Raises:
        InvalidRequest: One is no such answer, or two tell different keys of one agent.
    """
    try:
        return keys_of([msgspec.json.decode(raw, type=ReadProfile) for raw in profiles])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"This is no answer of /who/{{id}}: {error}.") from None


def keys_of(profiles: Sequence[ReadProfile]) -> dict[UUID, VerifyKey]:
    """The keys that profiles tell.

    Raises:
        InvalidRequest: One is no key, or two are told of one agent.
    """
    keys: dict[UUID, VerifyKey] = {}
    for profile in profiles:
        key = read_public_key(profile.public_key)
        if keys.setdefault(profile.id, key) != key:
            raise InvalidRequest(f"Two answers tell different keys of the agent {profile.id}.")
    return keys
