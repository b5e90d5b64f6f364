"""The hot store's interface: the fast, losable copy of the last 24 hours and all short-lived state.

Two implementations stand behind it, Redis and Postgres with UNLOGGED tables; they answer alike, and one conformance
suite proves it. What every caller may rely on:

*   **It is a cache of the log.** It may be empty, behind or gone at any moment. It never answers wrongly about what it
    holds: for each room it keeps a span, one contiguous run of positions `first..last`, and answers only for that run.
*   **Epochs.** All it holds of messages belongs to one epoch. A store that was emptied, restarted or restored from a
    snapshot no longer bears the mark of the current epoch; then every call of `messages` raises `HotStoreStale`, and
    whoever keeps the store (`hot/keeper.py`) begins a new epoch, which empties it before anything is filled in.
*   **Each call is atomic per room and per key**, and safe to repeat. Calls take many items, because one call with a
    hundred items costs little more than a call with one.
*   **Time is passed in**, in Unix milliseconds. Expiry times are stored and compared; the server's own clocks and TTLs
    only sweep up what nobody can see any more.
*   **A failure is one of two errors.** `HotStoreUnavailable`: it does not answer. `HotStoreStale`: it answers, but what
    it holds of messages is of another epoch.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal
from uuid import UUID

import msgspec

HOT_WINDOW = 24 * 3_600_000
"""How long a message stays hot after it was posted, in milliseconds."""

SEARCH_CANDIDATES = 5_000
"""How many messages that hold the rarest of the words a search looks at, newest first, before it gives up."""

STUB_AT = 34
"""Where the wire form of an entry tells a stub, `{"id":"<26 characters>"}`, from a message: `}` instead of `,`."""


class HotStoreStale(Exception):
    """What the store holds of messages does not belong to the current epoch; read the log."""


class Change(msgspec.Struct, frozen=True):
    """What an edit or a delete does to an older message.

    Args:
        target: The ULID of the message that changes.
        wire: Its new wire form: the edited message, or a stub.
        words: The words it is found by from now on; none for a stub.
    """

    target: str
    wire: bytes
    words: Sequence[str] = ()


class Entry(msgspec.Struct, frozen=True):
    """One entry of the log as the hot store keeps it.

    Args:
        id: Its ULID, which carries its time and its position.
        wire: The JSON that readers get, beginning with the id. An edit, a delete and a deleted message are stubs.
        words: The words it is found by (`hot/words.py`); none for a stub.
        change: What it does to an older message, if it is an edit or a delete.
    """

    id: str
    wire: bytes
    words: Sequence[str] = ()
    change: Change | None = None


class Run(msgspec.Struct, frozen=True):
    """Consecutive entries of one room, oldest first, with no position left out.

    Args:
        room_id: The room.
        public: Whether anybody may find them; else only a search in that very room does.
        entries: At least one.
    """

    room_id: UUID
    public: bool
    entries: Sequence[Entry]


class PageQuery(msgspec.Struct, frozen=True):
    """Which entries of a room are wanted.

    Args:
        room_id: The room.
        limit: The most entries to return, stubs included.
        before: Only entries with a lower ULID, newest first. With neither bound, the newest.
        after: Only entries with a higher ULID, oldest first. Not together with `before`.
    """

    room_id: UUID
    limit: int
    before: str | None = None
    after: str | None = None


class Page(msgspec.Struct, frozen=True):
    """What the store holds of a room, and the entries that were asked for.

    Args:
        first: The lowest position it answers for; entries that expired are below it.
        last: The highest. `last == first - 1` where all it held has expired.
        entries: Wire forms in the order asked for, stubs included, none left out between the first and the last.
    """

    first: int
    last: int
    entries: Sequence[bytes]


class SearchQuery(msgspec.Struct, frozen=True):
    """A search for messages that hold all of the words.

    Args:
        words: At least one, as `hot/words.py` makes them.
        room_id: Only this room, private or not; None searches what is public.
        after: Only messages posted later than this time.
        limit: The most hits.
        candidates: The most messages with the rarest word that are looked at, newest first.
    """

    words: Sequence[str]
    limit: int
    room_id: UUID | None = None
    after: int = 0
    candidates: int = SEARCH_CANDIDATES


class Hit(msgspec.Struct, frozen=True):
    """A message that was found: its room and its wire form."""

    room_id: UUID
    wire: bytes


class Found(msgspec.Struct, frozen=True):
    """What a search found.

    Args:
        hits: Newest first; of one millisecond the higher room id, then the higher message id first.
        truncated: There were more candidates than the query allowed, and fewer hits among them than wanted, so older
            messages may have been missed. A store that finds them nevertheless need not say so.
    """

    hits: Sequence[Hit]
    truncated: bool


class Messages(ABC):
    """The last 24 hours of every room's log: pages and search.

    Entries are added in order, each whole, with its words and its change. Idempotent: an entry that the store holds
    already is left as it is. Lost as a whole on a crash, with the epoch's mark, so that a loss is always noticed.
    """

    @abstractmethod
    async def append(self, runs: Sequence[Run], *, now: int) -> list[int]:
        """Adds the newest entries of rooms, each run for another room.

        A run that continues the room's span extends it; the first run of a room begins its span. Of a run that
        overlaps the span only the rest is added. A run that begins beyond `last + 1` is not added: the caller reads
        the log from there on and appends again. `last` is moved after the entries are in place. A `change` is made
        together with its entry, only if its entry was added, and is nothing where the store does not hold the target.
        A stub stays a stub: no change that comes late brings a deleted message back. A room whose run is not public is
        found publicly no more.
        Entries that expired at `now` are swept from the rooms touched.

        Returns:
            For each run the span's `last` afterwards; lower than the run's last position means a hole.

        Raises:
            HotStoreStale: Nothing is there of what was added.
            HotStoreUnavailable: Of each run all was added, or nothing, or its beginning.
        """

    @abstractmethod
    async def prepend(self, run: Run, *, now: int) -> bool:
        """Adds entries that end just below the room's span, or begins the span of a room that has none: a refill.

        Returns:
            Whether they were added; False if they do not end at `first - 1`, or if any of them has expired at `now`.
            Their changes are not made: what a refill reads has been changed already.

        Raises:
            HotStoreStale: Nothing was added.
            HotStoreUnavailable: Added as a whole or not at all.
        """

    @abstractmethod
    async def revise(self, room_id: UUID, *, public: bool, changes: Sequence[Change]) -> None:
        """Makes changes to messages that the store holds; a refill calls it for what changed since it began.

        Raises:
            HotStoreStale: Nothing was changed.
        """

    @abstractmethod
    async def pages(self, queries: Sequence[PageQuery], *, now: int) -> list[Page | None]:
        """Reads a page of each room; None where the store knows nothing of the room. Expired entries are not returned.

        Raises:
            HotStoreStale: The log has to be read.
        """

    @abstractmethod
    async def search(self, query: SearchQuery, *, now: int) -> Found:
        """Finds messages by their words. Stubs, expired messages and entries beyond a span's `last` are never found.

        Raises:
            HotStoreStale: Nothing can be found until the store is filled again.
        """

    @abstractmethod
    async def forget(self, room_id: UUID) -> None:
        """Drops all that is held of a room; readers take the log until it is filled again.

        Raises:
            HotStoreStale: There was nothing to drop.
        """


class Quota(msgspec.Struct, frozen=True):
    """A limit on one subject.

    Args:
        key: `{category}:{subject}`; the same key always goes with the same window.
        limit: The most that may be taken within any window.
        window: Milliseconds.
        cost: What this request takes, at least 1.
    """

    key: str
    limit: int
    window: int
    cost: int = 1


class Charge(msgspec.Struct, frozen=True):
    """What one request takes: from all its quotas, or from none.

    Args:
        quotas: With different keys; may be empty, then only the block is looked at.
        address: The peer's address; refused if it is blocked.
    """

    quotas: Sequence[Quota]
    address: str = ""


class Level(msgspec.Struct, frozen=True):
    """How full a quota is.

    Args:
        remaining: What may still be taken, never below 0.
        reset: When the oldest hit that counts leaves the window and room is made; `now` if nothing counts.
        wait: Milliseconds until the charge's cost would be accepted; 0 if it would be now.
    """

    remaining: int
    reset: int
    wait: int


class Verdict(msgspec.Struct, frozen=True):
    """Whether a charge was accepted, and its quotas' levels afterwards.

    Args:
        allowed: All of it was taken; otherwise none was.
        blocked: The address is blocked; `levels` is empty then.
        levels: One per quota.
    """

    allowed: bool
    blocked: bool
    levels: Sequence[Level]


class HotBlock(msgspec.Struct, frozen=True):
    """An address whose charges are refused.

    Args:
        address: As charges name it.
        until: When that ends, exclusive.
        reason: Why, for whoever looks at the store.
    """

    address: str
    until: int
    reason: str


class Limits(ABC):
    """Exact sliding windows: within any window, never more than the limit is taken, and nothing below it is refused.

    A hit at time t counts until t + window, exclusive. A refused charge leaves no trace. Exact under any concurrency
    and across processes; if `now` goes backwards (another process' clock), the last hit's time is used. Lost on a
    crash, and then counted from nothing.
    """

    @abstractmethod
    async def take(self, charges: Sequence[Charge], *, now: int) -> list[Verdict]:
        """Decides the charges one after the other, as if each were a call of its own.

        Raises:
            HotStoreUnavailable: Nothing can be counted.
        """

    @abstractmethod
    async def peek(self, quotas: Sequence[Quota], *, now: int) -> list[Level]:
        """Tells the levels and takes nothing."""

    @abstractmethod
    async def reset(self, keys: Collection[str]) -> None:
        """Forgets all hits of these keys."""

    @abstractmethod
    async def block(self, blocks: Sequence[HotBlock]) -> None:
        """Refuses every charge of these addresses, each until its time, whatever was said of it before."""

    @abstractmethod
    async def unblock(self, address: str) -> None:
        """Lifts the block of an address; nothing happens if there is none."""


class Values(ABC):
    """Short-lived values by key: sessions, one-time states, caches. Atomic per key; lost on a crash.

    A value lives until `expires`, exclusive. Keys are `{kind}:{name}` and hold no space.
    """

    @abstractmethod
    async def set(self, key: str, value: bytes, *, expires: int) -> None:
        """Stores a value, whatever was there."""

    @abstractmethod
    async def get(self, key: str, *, now: int) -> bytes | None:
        """Returns the value, or None if there is none at `now`."""

    @abstractmethod
    async def add(self, key: str, value: bytes, *, expires: int, now: int) -> bool:
        """Stores a value only if there is none at `now`; of many callers, one gets True."""

    @abstractmethod
    async def take(self, key: str, *, now: int) -> bytes | None:
        """Returns the value and removes it; of many callers, one gets it."""

    @abstractmethod
    async def refresh(self, key: str, *, expires: int, now: int) -> bool:
        """Moves the expiry of a value that is there at `now`; False if there is none."""

    @abstractmethod
    async def delete(self, keys: Collection[str]) -> int:
        """Removes values and returns how many were there, expired or not."""

    @abstractmethod
    async def keys(self, prefix: str, *, now: int) -> list[str]:
        """The keys that begin with `prefix` and have a value at `now`, sorted; `%`, `_`, `*`, `?` mean themselves."""

    @abstractmethod
    async def clear(self, prefix: str) -> int:
        """Removes all values whose keys begin with `prefix`, in chunks that block nobody, and returns how many."""


class Member(msgspec.Struct, frozen=True):
    """A member of a set, for a while.

    Args:
        key: The set, `{kind}:{name}`, without a space.
        name: The member.
        expires: Until when, exclusive, in Unix milliseconds.
    """

    key: str
    name: str
    expires: int


class Members(ABC):
    """Sets whose members each have an expiry of their own: who types, who is online, which sockets are open.

    Atomic per set; lost on a crash.
    """

    @abstractmethod
    async def add(self, members: Sequence[Member], *, now: int) -> None:
        """Adds members, and moves the expiry of those that are there already."""

    @abstractmethod
    async def join(self, members: Sequence[Member], *, most: int, now: int) -> list[bool]:
        """Adds members, or moves their expiry, each unless `most` others are in its set at `now`.

        Decided one after the other, as if each were a call of its own; exact under any concurrency.
        """

    @abstractmethod
    async def remove(self, members: Collection[tuple[str, str]]) -> None:
        """Removes members, each told by its set and its name; nothing happens to those that are not there."""

    @abstractmethod
    async def expiries(self, keys: Sequence[str], *, now: int) -> list[dict[str, int]]:
        """For each set when each of its members at `now` expires, by name, sorted."""

    async def names(self, keys: Sequence[str], *, now: int) -> list[list[str]]:
        """For each set the names of its members at `now`, sorted."""
        return [list(members) for members in await self.expiries(keys, now=now)]

    @abstractmethod
    async def count(self, keys: Sequence[str], *, now: int) -> list[int]:
        """For each set how many members it has at `now`."""


class Locks(ABC):
    """Leases by name. Of many who want one, one has it, until it expires or is released; lost on a crash.

    A lease alone does not make sure that its holder is the only one who acts: holders pause, and a crash forgets them.
    `hot/leases.py` gives each lease a fencing token besides, which the one who is acted upon compares.
    """

    @abstractmethod
    async def acquire(self, name: str, owner: str, *, expires: int, now: int) -> bool:
        """Takes the lease until `expires`, exclusive, if nobody has it at `now`, not even `owner`."""

    @abstractmethod
    async def extend(self, name: str, owner: str, *, expires: int, now: int) -> bool:
        """Moves the expiry of a lease that `owner` has at `now`; False if they have it no more."""

    @abstractmethod
    async def release(self, name: str, owner: str) -> bool:
        """Ends the lease; False, and nothing happens, if it is not the owner's."""


class Wake(msgspec.Struct, frozen=True):
    """Something moved under this topic: read on from where you are. None: something may have been missed."""

    topic: str | None


class Listener(AsyncIterator[Wake]):
    """Hears wake-ups on a connection of its own, which is supervised.

    When the connection is lost it is opened again, and a `Wake(None)` tells that wake-ups may have been missed.
    """

    @abstractmethod
    async def add(self, topics: Collection[str]) -> None:
        """Listens to more topics. Once it returns they are heard, or a `Wake(None)` will come when they are."""

    @abstractmethod
    async def discard(self, topics: Collection[str]) -> None:
        """Listens to these topics no more; a wake-up that came before may still be told."""


class Bus(ABC):
    """Wake-ups between processes: at most once, without order, pointers only; the log is the truth."""

    @abstractmethod
    async def publish(self, topics: Collection[str]) -> None:
        """Wakes whoever listens to one of these topics, in every process.

        Raises:
            HotStoreUnavailable: Perhaps nobody was woken.
        """

    @abstractmethod
    def listen(self, topics: Collection[str]) -> AbstractAsyncContextManager[Listener]:
        """Listens to topics for as long as the context is open; on entry the listener is subscribed.

        Raises:
            HotStoreUnavailable: On entry, if the server cannot be reached or refuses.
        """


class Probe(msgspec.Struct, frozen=True):
    """How the store is.

    Args:
        latency_ms: How long it took to answer.
        version: The server's name and version.
        epoch: The epoch whose mark it bears; None if it bears none.
    """

    latency_ms: float
    version: str
    epoch: int | None


class HotStore(ABC):
    """The hot store: its facets, its epoch, its life."""

    kind: Literal["redis", "postgres"]
    epoch: int = 0
    """The epoch this process works in; `hot/keeper.py` sets it. The calls of `messages` are for this epoch only."""

    messages: Messages
    limits: Limits
    values: Values
    members: Members
    locks: Locks
    bus: Bus

    @abstractmethod
    async def open(self) -> None:
        """Connects.

        Raises:
            HotStoreUnavailable: The server cannot be reached or refuses.
        """

    @abstractmethod
    async def close(self) -> None:
        """Closes all connections."""

    @abstractmethod
    async def begin(self, epoch: int) -> None:
        """Empties what is held of messages, then bears the mark of `epoch`. Limits and values stay.

        Called by one keeper at a time, under a lock; `self.epoch` is set by the caller.
        """

    @abstractmethod
    async def probe(self) -> Probe:
        """Asks the server how it is.

        Raises:
            HotStoreUnavailable: It does not answer.
        """
