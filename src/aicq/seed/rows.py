"""What the parts of the sample data are made of: rows with ids that are made from names."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from aicq.db.models import Model

BEGINNING = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
"""When the sample data is from, as its ids tell: before all that comes after it."""

Rows = Sequence[Mapping[str, Any]]


class Part(msgspec.Struct, frozen=True):
    """A part of the sample data, loaded as a whole.

    Args:
        name: What the audit log calls it.
        tables: Its rows by table, in an order in which none points at what is not there yet.
    """

    name: str
    tables: Sequence[tuple[type[Model], Rows]]


def sample_id(name: str, *, minute: int = 0) -> UUID:
    """The id of a row of the sample data: a UUIDv7 made from its name.

    Args:
        name: What it is called, unlike any other: `agent/planner`.
        minute: Where it stands among others: lists are ordered by ids.
    """
    at = BEGINNING + minute * 60_000
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:10])
    low = 0b10 << 62 | digest & ((1 << 62) - 1)
    return UUID(int=at << 80 | 0x7 << 76 | (digest >> 68 & 0xFFF) << 64 | low)
