"""Feeds: the newest entries of the rooms that are followed, each read from the log once for all who follow."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from aicq.ids import from_ulid, position
from aicq.messaging.events import Event, RoomState, emptied

KEPT = 512
"""Entries that a feed keeps for those who are a little behind, or come back."""

CHUNK = 256
"""Entries that are read at once."""

WOKEN_AT_ONCE = 64
"""Followers of a room that are woken before others get their turn."""


def position_after(ulid: str) -> int | None:
    """The position that a cursor names; None if it is empty.

    Raises:
        InvalidId: It is no ULID.
    """
    return position(from_ulid(ulid)) if ulid else None


class Ended(Exception):
    """The process is about to stop: whoever follows is to come back to another."""


class Access(Protocol):
    """What lets somebody read a room."""

    @property
    def actor_id(self) -> UUID | None:
        """Who may see the room, if it is not open to anybody."""

    def check(self, state: RoomState) -> None:
        """Raises Forbidden if they may not read the room as it is."""


class Feed:
    """The newest entries of a room.

    Args:
        room_id: The room.
    """

    def __init__(self, room_id: UUID) -> None:
        self.room_id = room_id
        self.events: deque[Event] = deque(maxlen=KEPT)
        self.last = 0
        """The position up to which the log was read."""
        self.state: RoomState | None = None
        """The room when it was read last; None: it is not there."""
        self.actors: dict[UUID, int] = {}
        """Actors who follow because they may see the room, and how often."""
        self.followers = 0
        self.idle = 0
        self.waiting: dict[asyncio.Future[None], None] = {}
        """Followers who have everything, each with what wakes them."""
        self.opened: asyncio.Task[None] | None = None
        self.is_open = False
        self.is_reading = False
        self.is_behind = False

    @property
    def read_as(self) -> tuple[int, bool, str | None] | None:
        """The room as it was read: its end, whether anybody may read it, the hash of its key; None: it is not there."""
        return None if self.state is None else (self.last, self.state.public, self.state.key_hash)

    def since(self, position: int) -> list[Event] | None:
        """The entries above a position; None if some of them are not here any more."""
        if position >= self.last:
            return []
        if not self.events or self.events[0].seq > position + 1:
            return None
        return list(self.events)[position + 1 - self.events[0].seq :][:CHUNK]

    def add(self, state: RoomState | None, events: list[Event]) -> None:
        """Takes what was read."""
        self.state = state
        for event in events:
            if self.events and self.events[-1].seq + 1 != event.seq:
                self.events.clear()
            self.events.append(event)
            self.last = event.seq
        if deleted := deleted_by(events):
            self.events = deque((still_told(event, deleted) for event in self.events), KEPT)

    def precede(self, events: list[Event]) -> None:
        """Takes older entries that reach up to where its own begin, as many as it has room for."""
        begins = self.events[0].seq if self.events else self.last + 1
        deleted = deleted_by(self.events)  # perhaps since they were read
        for event in reversed(events):
            if event.seq == begins - 1 and len(self.events) < KEPT:
                self.events.appendleft(still_told(event, deleted))
                begins = event.seq

    async def wait(self) -> None:
        """Waits until followers are woken. A cancelled call leaves nothing behind."""
        woken = asyncio.get_running_loop().create_future()
        self.waiting[woken] = None
        try:
            await woken
        finally:
            del self.waiting[woken]

    async def wake(self) -> None:
        """Has all followers look again, some at a time, so that others get their turn in between.

        Rests afterwards for as long as that took: what comes meanwhile goes to each follower at once.
        """
        loop = asyncio.get_running_loop()
        began, waiting = loop.time(), [*self.waiting]
        for number, follower in enumerate(waiting, 1):
            if not follower.done():
                follower.set_result(None)
            if number % WOKEN_AT_ONCE == 0:
                await asyncio.sleep(0)
        if len(waiting) >= WOKEN_AT_ONCE:
            await asyncio.sleep(0)
            await asyncio.sleep(loop.time() - began)


def deleted_by(events: Iterable[Event]) -> set[str]:
    """The messages that these entries delete."""
    return {event.message_id for event in events if event.kind == "delete"}


def still_told(event: Event, deleted: set[str]) -> Event:
    """An entry as the log has it once messages were deleted: whoever comes back gets nothing of what they said."""
    return emptied(event) if event.message_id in deleted and event.kind != "delete" else event
