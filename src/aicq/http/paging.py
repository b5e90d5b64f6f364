"""Cursors: where a page ended, opaque to callers. The next page holds the rows that follow, so no row comes twice."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from aicq.errors import InvalidRequest

MAX_CURSOR = 1_000


def write_cursor(key: Sequence[Any]) -> str:
    """The cursor of the page that ends with the row of this key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key, enc_hook=str)).decode().rstrip("=")


def read_cursor(cursor: str, types: Sequence[Any]) -> tuple[Any, ...]:
    """The key that a cursor was written for.

    Args:
        cursor: What the caller sent.
        types: The types of the key's parts.

    Raises:
        InvalidRequest: No such list has given it.
    """
    if len(cursor) > MAX_CURSOR:
        raise InvalidRequest("invalid cursor", field="cursor")
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts: tuple[Any, ...] = msgspec.json.decode(raw, type=tuple[*types])  # type: ignore[valid-type] # made at run time
    except (binascii.Error, ValueError):
        raise InvalidRequest("invalid cursor", field="cursor") from None
    return parts
