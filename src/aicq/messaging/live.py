"""Following rooms: what a room's log gets reaches all who follow the room, each entry once and in order.

For each room that somebody follows a process keeps a feed: the newest entries, read from the log once for all. A
follower is a position in it and nothing more, so nobody who is slow costs memory or holds up others; whoever has fallen
behind the feed, or comes from far back, reads the log until they have caught up. Wake-ups only say that a room moved.
They may be lost: the ends of all followed rooms are looked at every few seconds as well.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import structlog

from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable, NotFound, Unavailable
from aicq.hot.base import Bus, Listener
from aicq.hot.presence import Presence
from aicq.ids import from_ulid, milliseconds
from aicq.messaging.company import OF_COMPANY, Company
from aicq.messaging.events import Event, Events, RoomState
from aicq.messaging.feeds import CHUNK, Access, Ended, Feed
from aicq.messaging.metrics import DELAY, FOLLOWERS, LISTENING
from aicq.messaging.schemas.live import Gap

log = structlog.get_logger("aicq.live")

POLL = 5.0
"""Seconds between two looks at the ends of all followed rooms, for wake-ups that were lost."""

POLL_ALONE = 0.5
"""The same while nothing can be heard."""

IDLE_POLLS = 6
"""Looks for which a feed that nobody follows is kept; whoever lost their connection will be back."""

CATCHING_UP = 4
"""Reads of the log for those who are behind, at once; posting comes first."""


class Follower:
    """Somebody who follows a room.

    Args:
        live: Reads for them what the feed does not hold.
        feed: The room's.
        access: What lets them read.
        after: The position up to which they say they have everything.
        position: Where they begin.
    """

    def __init__(self, live: "Live", feed: Feed, access: Access, *, after: int | None, position: int) -> None:
        self._live = live
        self._feed = feed
        self._access = access
        self._gaps: list[Event | Gap] = []
        self.position = position
        if after is not None and after > position:
            # They come from another log, or this one was set back.
            self._gaps.append(Gap(position + 1, after))

    async def next(self) -> list[Event | Gap]:
        """The next entries, at least one; waits for them. A cancelled call loses nothing.

        Raises:
            NotFound: The room is not there any more.
            Forbidden: They may not read it any more.
            Ended: The process is about to stop.
        """
        if self._gaps:
            gaps, self._gaps = self._gaps, []
            return gaps
        while not self._live.is_ending:
            events = self._feed.since(self.position)
            state = self._feed.state
            if events is None:
                state, events = await self._live.catch_up(self._feed, self.position)
            if state is None:
                raise NotFound("room not found")
            self._access.check(state)
            if events:
                return self._advance(events)
            await self._feed.wait()
        raise Ended

    def _advance(self, events: list[Event]) -> list[Event | Gap]:
        before, self.position = self.position, events[-1].seq
        if events[0].seq != before + 1:
            return [Gap(before + 1, events[0].seq - 1), *events]
        return [*events]


class Live:
    """The feeds of a process.

    Args:
        events: Reads the log.
        bus: Tells which rooms moved.
        presence: Knows who types and who has read.
    """

    def __init__(self, events: Events, bus: Bus, presence: Presence) -> None:
        self._events = events
        self._bus = bus
        self.company = Company(presence, bus, hear=self._hear, begin=self._begin)
        self._feeds: dict[UUID, Feed] = {}
        self._topics: set[str] = set()
        self._listener: Listener | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._catching_up = asyncio.Semaphore(CATCHING_UP)
        self.is_ending = False

    @property
    def is_listening(self) -> bool:
        """Whether wake-ups are heard; if not, followers get entries later, but get them."""
        return self._listener is not None

    @asynccontextmanager
    async def running(self, drain: asyncio.Event) -> AsyncIterator[None]:
        """Listens and looks while the context is open; followers are let go when `drain` is set."""
        works = self._listen(), self._poll(), self._end(drain)
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in [*tasks, *self._tasks]:
                task.cancel()
            await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def follow(
        self, room_id: UUID, access: Access, *, known: int, after: int | None = None
    ) -> AsyncIterator[Follower]:
        """Follows a room while the context is open.

        Args:
            room_id: The room.
            access: What lets them read it, as it was looked at just now.
            known: A position that the room has reached; the feed may not have read as far yet.
            after: The position up to which they have everything; None: only what comes from now on.

        Raises:
            NotFound: There is no such room.
            Forbidden: They may not read it.
            Unavailable: The log cannot be read.
        """
        feed = self._feeds.get(room_id)
        if feed is None:
            feed = self._feeds[room_id] = Feed(room_id)
            feed.opened = self._begin(self._open(feed))
        feed.followers += 1
        FOLLOWERS.inc()
        if access.actor_id is not None:
            feed.actors[access.actor_id] = feed.actors.get(access.actor_id, 0) + 1
        try:
            assert feed.opened is not None  # noqa: S101 - set where the feed is made
            await asyncio.shield(feed.opened)
            if feed.state is None:
                raise NotFound("room not found")
            access.check(feed.state)
            last = max(feed.last, known)
            yield Follower(self, feed, access, after=after, position=last if after is None else min(after, last))
        finally:
            feed.followers -= 1
            FOLLOWERS.dec()
            if access.actor_id is not None:
                feed.actors[access.actor_id] -= 1
                if not feed.actors[access.actor_id]:
                    del feed.actors[access.actor_id]

    async def catch_up(self, feed: Feed, position: int) -> tuple[RoomState | None, list[Event]]:
        """Reads the log above a position that the feed does not reach back to.

        Raises:
            Unavailable: It cannot be read.
        """
        async with self._catching_up:
            # Of those who come back together, the first has read it for all by now.
            if (events := feed.since(position)) is not None:
                return feed.state, events
            state, events = await self._read(feed, position, limit=CHUNK)
            feed.precede(events)
            return state, events

    async def _read(self, feed: Feed, position: int, *, limit: int) -> tuple[RoomState | None, list[Event]]:
        try:
            found = await self._events.above(feed.room_id, position, limit=limit, actors=[*feed.actors])
        except Exception as error:
            log.warning("live read failed", error=type(error).__name__)
            raise Unavailable("The log cannot be read just now; try again.") from error
        return found or (None, [])

    async def _open(self, feed: Feed) -> None:
        """Subscribes first and looks where the room ends then: nothing moves unheard in between."""
        try:
            await self._hear(str(feed.room_id))
            async with self._catching_up:
                state, _ = await self._read(feed, 0, limit=0)
        except BaseException:
            self._feeds.pop(feed.room_id, None)
            raise
        if state is None:
            self._feeds.pop(feed.room_id, None)
            return
        feed.state, feed.last, feed.is_open = state, state.last_seq, True
        if feed.is_behind:
            self._move(feed)

    async def _hear(self, topic: str) -> None:
        self._topics.add(topic)
        if self._listener is not None:
            await self._listener.add([topic])

    async def _listen(self) -> None:
        """Hears which rooms moved, for as long as the process lives; the bus opens lost connections by itself."""
        while True:
            try:
                async with self._bus.listen(self._topics) as listener:
                    self._listener = listener
                    LISTENING.set(1)
                    await listener.add(self._topics)
                    self._move_all()
                    async for wake in listener:
                        self._wake(wake.topic)
            except HotStoreUnavailable:
                await asyncio.sleep(POLL_ALONE)
            except Exception as error:
                log.exception("listener failed", error=type(error).__name__)
                await asyncio.sleep(POLL_ALONE)
            finally:
                self._listener = None
                LISTENING.set(0)

    def _wake(self, topic: str | None) -> None:
        if topic is None:
            self._move_all()
        elif topic.startswith(OF_COMPANY):
            self._begin(self.company.tell(topic))
        elif (feed := self._feeds.get(UUID(topic))) is not None:
            self._move(feed)

    def _move_all(self) -> None:
        for feed in self._feeds.values():
            self._move(feed)

    def _move(self, feed: Feed) -> None:
        """Has the log read on; wake-ups that come meanwhile are one more read."""
        feed.is_behind = True
        if feed.is_open and not feed.is_reading:
            feed.is_reading = True
            self._begin(self._read_on(feed))

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begins what nobody may wait for to the end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has got it; if nobody did, nobody wants it

    async def _read_on(self, feed: Feed) -> None:
        try:
            while feed.is_behind:
                feed.is_behind = False
                found = await self._events.above(feed.room_id, feed.last, limit=CHUNK, actors=[*feed.actors])
                state, events = found or (None, [])
                feed.is_behind |= len(events) == CHUNK
                feed.add(state, events)
                if events:
                    DELAY.observe((now_ms() - milliseconds(from_ulid(events[-1].id))) / 1000)
                await feed.wake()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again
            log.warning("feed cannot be read", error=type(error).__name__)
            asyncio.get_running_loop().call_later(POLL_ALONE, self._move, feed)
        finally:
            feed.is_reading = False

    async def _end(self, drain: asyncio.Event) -> None:
        await drain.wait()
        self.is_ending = True
        for feed in [*self._feeds.values()]:
            await feed.wake()

    async def _poll(self) -> None:
        """Looks where the followed rooms end, and forgets feeds that nobody has followed for a while."""
        while True:
            await asyncio.sleep(POLL if self.is_listening else POLL_ALONE)
            with suppress(Exception):  # Postgres is away: the next look is soon enough
                await self._look()
            await self._forget_idle()

    async def _look(self) -> None:
        """Reads the rooms that are not as they were read last, and those that only some may see."""
        followed = [feed for feed in self._feeds.values() if feed.followers and feed.state is not None]
        if not followed:
            return
        rooms = await self._events.rooms([feed.room_id for feed in followed])
        for feed in followed:
            if feed.actors or rooms.get(feed.room_id) != feed.read_as:
                self._move(feed)

    async def _forget_idle(self) -> None:
        for room_id, feed in [*self._feeds.items()]:
            feed.idle = 0 if feed.followers else feed.idle + 1
            if feed.idle > IDLE_POLLS:
                del self._feeds[room_id]
        unused = self._topics - self.company.topics - {str(room_id) for room_id in self._feeds}
        self._topics -= unused
        if unused and self._listener is not None:
            await self._listener.discard(unused)
