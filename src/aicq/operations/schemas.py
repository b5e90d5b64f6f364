"""What operators are told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from aicq.db.counts import Count

Ms = Annotated[int, Meta(description="Unix time in milliseconds.")]


class PostgresState(msgspec.Struct):
    """Postgres."""

    version: str
    size_bytes: Annotated[int, Meta(description="Of the whole database on disk.")]
    migration: Annotated[str | None, Meta(description="The newest step that was made.")]
    newest_migration: Annotated[str, Meta(description="The newest step that this version knows.")]


class HotState(msgspec.Struct):
    """The hot store, as the worker sees it that answers."""

    kind: Literal["redis", "postgres"]
    why: Annotated[str, Meta(description="Why it is this one.")]
    state: Annotated[
        Literal["complete", "filling", "away"],
        Meta(description="Whether it holds the last 24 hours, is being filled from the log, or does not answer."),
    ]
    version: Annotated[str | None, Meta(description="The server's; null while it does not answer.")]
    latency_ms: float | None
    epoch: Annotated[int, Meta(description="The one that all workers are to work in.")]
    epoch_of_worker: Annotated[int, Meta(description="The one that this worker works in.")]
    epoch_of_store: Annotated[int | None, Meta(description="The one that the store bears the mark of.")]


class Positions(msgspec.Struct):
    """How far the hot store is with the log, over the rooms that were active last within 24 hours."""

    rooms: Annotated[int, Meta(description="How many rooms were looked at.")]
    log: Annotated[int, Meta(description="The sum of their newest positions in the log.")]
    hot: Annotated[int | None, Meta(description="The sum of the positions up to which the hot store answers.")]
    lag: Annotated[int | None, Meta(description="How many entries the hot store has yet to get.")]
    rooms_behind: int | None
    newest_entry: Annotated[datetime | None, Meta(description="When the newest entry of all rooms was committed.")]


class Overview(msgspec.Struct):
    """How AICQ is doing."""

    version: str
    region: str
    instance: Annotated[str, Meta(description="The host and the process that answers.")]
    workers: Annotated[int, Meta(description="How many processes answer on this host.")]
    started_at: Annotated[datetime, Meta(description="When this worker began to answer.")]
    now: datetime
    postgres: PostgresState
    hot_store: HotState
    positions: Positions
    counts: Annotated[
        dict[str, Count], Meta(description="Rows by table: counted up to ten thousand, estimated by Postgres beyond.")
    ]


class HotStatus(msgspec.Struct):
    """The hot store, and how far it is with the log."""

    store: HotState
    positions: Positions


class Span(msgspec.Struct):
    """What the hot store holds of a room, beside what the log has of the last 24 hours."""

    room_id: str
    public: bool
    first: Annotated[int | None, Meta(description="The lowest position that it answers for; null if it holds nothing.")]
    last: Annotated[int | None, Meta(description="The highest; one below `first` where all it held has expired.")]
    log_first: Annotated[int, Meta(description="The oldest position of the last 24 hours.")]
    log_last: Annotated[int, Meta(description="The newest position.")]


class Spans(msgspec.Struct):
    """A page of spans, by the rooms' ids."""

    items: Sequence[Span]
    next: Annotated[str | None, Meta(description="The `cursor` of the next page; null if this is the last.")]


class Refilled(msgspec.Struct):
    """A refill that has begun."""

    epoch: int


class LimitLevel(msgspec.Struct):
    """How much of a limit a subject has used."""

    rule: str
    limit: Annotated[int, Meta(description="The most in any window.")]
    window_seconds: int
    used: int
    remaining: int
    reset: Annotated[int, Meta(description="Unix time in seconds at which the next one is free again.")]


class LimitLevels(msgspec.Struct):
    """What limits have counted of a subject."""

    subject: Annotated[str, Meta(description="As it is counted: an actor's id, an IPv4 address or an IPv6 network.")]
    blocked: Annotated[bool, Meta(description="Whether every request from there is refused.")]
    levels: list[LimitLevel]
