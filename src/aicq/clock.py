"""The one place that reads the time; everything below the controllers gets it passed in."""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def to_seconds(moment: datetime) -> str:
    """How profiles and lists tell a time: UTC, to the second, `2026-11-22T10:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_ms(milliseconds: int) -> datetime:
    """Unix milliseconds as Postgres takes them."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def to_ms(moment: datetime) -> int:
    """How messages tell a time: Unix milliseconds."""
    return round(moment.timestamp() * 1000)
