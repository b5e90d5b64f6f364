"""Cursors: where a page ended, opaque to callers. The next page holds the rows that follow, so no row comes twice."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from aicq.errors import InvalidRequest

Row = TypeVar("Row")

MAX_CURSOR = 1_000

MOST = 200
USUAL = 50

Limit = Annotated[
    int,
    QueryParameter(description="How many at most.", ge=1, le=MOST, schema_extra={"minimum": 1, "maximum": MOST}),
]
Cursor = Annotated[str | None, QueryParameter(description="`next` of the page before.")]


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


def first_page(
    found: Sequence[Row], limit: int, key: Callable[[Row], Sequence[Any]]
) -> tuple[Sequence[Row], str | None]:
    """The rows of a page, and the cursor of the next one; None if this is the last.

    Args:
        found: The page's rows, and one more if there is another page.
        limit: The most rows of a page.
        key: What a row's cursor tells.
    """
    return found[:limit], write_cursor(key(found[limit - 1])) if len(found) > limit else None


def end_of(cursor: str | None) -> UUID | None:
    """The row that the page before has ended with, in a list that goes by ids.

    Raises:
        InvalidRequest: No list has given the cursor.
    """
    [end] = read_cursor(cursor, [UUID]) if cursor else [None]
    return end


def key_of(row: Any) -> list[UUID]:
    """What a row's cursor tells in such a list."""
    return [row.id]
