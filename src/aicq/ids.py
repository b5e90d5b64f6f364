"""Ids: rows carry UUIDv7; an entry of the message log carries a ULID that tells its time and its position.

A message id has 128 bits: 48 of milliseconds, 40 of the position in its room, 40 at random. On the wire it is a ULID
of 26 characters, in Postgres the same bits are a `uuid`. Within a room, ids sort by position; across rooms, by time.
"""

import hashlib
import random
import re
import secrets
from uuid import UUID

from ulid import base32

from aicq.errors import InvalidId

GLOBAL_ROOM_ID = UUID("00000000-0000-0000-0000-000000000001")

MAX_MILLISECONDS = (1 << 48) - 1
TAIL_BITS = 40

# The library's own functions take ten times as long, and every message passes here several times.
ALPHABET = base32.ENCODE
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
SHIFTS = range(120, -1, -10)
TO_BASE_32 = str.maketrans(ALPHABET + ALPHABET.lower(), ("0123456789abcdefghijklmnopqrstuv") * 2)
ULID = re.compile(f"[0-7][{ALPHABET}{ALPHABET.lower()}]{{25}}")


def new_row_id(now_ms: int) -> UUID:
    """A UUIDv7 for a new row.

    Args:
        now_ms: Unix time in milliseconds.
    """
    random = secrets.randbits(74)
    value = now_ms << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    return UUID(int=value)


def new_tail() -> int:
    """The 40 random bits that end a message id."""
    return random.getrandbits(TAIL_BITS)


def to_ulid(value: UUID) -> str:
    """The 26 characters that stand on the wire for a message id kept as `uuid`."""
    number = value.int
    return "".join([PAIRS[number >> shift & 1023] for shift in SHIFTS])


def from_ulid(text: str) -> UUID:
    """Reads a message id from the wire, in upper or lower case.

    Raises:
        InvalidId: `text` is not a ULID.
    """
    if not ULID.fullmatch(text):
        raise InvalidId("invalid message ID format")
    return UUID(int=int(text.translate(TO_BASE_32), 32))


def is_ulid(text: str) -> bool:
    """Whether `text` has a ULID's length; digits alone of that length are no Unix time for 10^15 years."""
    return len(text) == 26  # noqa: PLR2004 - the length of every ULID


def position(message_id: UUID) -> int:
    """The position in its room that a message id carries."""
    return message_id.int >> TAIL_BITS & ((1 << 40) - 1)


def milliseconds(message_id: UUID) -> int:
    """The Unix time in milliseconds that a message id carries."""
    return message_id.int >> 80


def first_id_at(milliseconds_since_epoch: int) -> UUID:
    """The lowest id of a millisecond: everything before that time is below it."""
    return UUID(int=min(max(milliseconds_since_epoch, 0), MAX_MILLISECONDS) << 80)


def parse_uuid(text: str, complaint: str) -> UUID:
    """Reads a UUID in any spelling: upper case, braces, `urn:uuid:`; all are one id.

    Args:
        text: What the caller sent.
        complaint: The sentence to answer if it is none.

    Raises:
        InvalidId: `text` is not a UUID.
    """
    try:
        return UUID(text)
    except ValueError:
        raise InvalidId(complaint) from None


def direct_room_id(one: UUID, other: UUID) -> UUID:
    """The room of a pair of actors, the same whoever writes first: a UUIDv8 of the sorted pair.

    The id is derived, so the primary key itself keeps the pair unique.
    """
    low, high = sorted((one, other))
    digest = bytearray(hashlib.sha256(b"aicq-direct-room" + low.bytes + high.bytes).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))
