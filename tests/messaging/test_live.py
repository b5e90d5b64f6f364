"""Followers of a process who come back together."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Self
from uuid import UUID

import pytest

from aicq.hot.presence import Presence
from aicq.messaging.access import Anybody
from aicq.messaging.events import Event, Events, RoomState, encode
from aicq.messaging.feeds import CHUNK, KEPT, Feed
from aicq.messaging.live import CATCHING_UP, Follower, Live
from aicq.messaging.schemas.live import Gap, LiveEntry
from tests.messaging.conftest import World

pytestmark = pytest.mark.anyio


class Counted(Events):
    """Events that count how often the log was read."""

    reads = 0

    async def above(
        self, room_id: UUID, position: int, *, limit: int, actors: Sequence[UUID]
    ) -> tuple[RoomState, list[Event]] | None:
        self.reads += 1
        return await super().above(room_id, position, limit=limit, actors=actors)


class Followed:
    """A room of a process, and those who follow it.

    Args:
        world: The servers.
        room: The room.
        author: Who posts there.
    """

    def __init__(self, world: World, room: UUID, author: UUID) -> None:
        self._world = world
        self._room = room
        self._author = author
        self._stack = AsyncExitStack()
        self._posted = 0

    async def __aenter__(self) -> Self:
        self._process = await self._world.running()
        self.events = Counted(self._process.pool)
        self._live = Live(self.events, self._process.hot.bus, Presence(self._process.hot))
        await self._stack.enter_async_context(self._live.running(asyncio.Event()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def post(self, count: int) -> None:
        await asyncio.gather(*(self._process.post(self._room, self._author, f"{n}") for n in range(count)))
        self._posted += count

    async def follow(self, after: int) -> Follower:
        following = self._live.follow(self._room, Anybody(), known=self._posted, after=after)
        return await self._stack.enter_async_context(following)

    async def told(self, follower: Follower) -> list[int]:
        """The positions of all that a follower gets, up to the newest."""
        positions: list[int] = []
        while not positions or positions[-1] < self._posted:
            for entry in await follower.next():
                assert not isinstance(entry, Gap)
                positions.append(entry.seq)
        return positions


@pytest.fixture
async def followed(world: World, room: UUID, author: UUID) -> AsyncIterator[Followed]:
    async with Followed(world, room, author) as followed:
        yield followed


async def test_of_many_who_come_back_from_one_place_the_first_few_read_the_log_for_all(followed: Followed) -> None:
    await followed.post(100)
    followers = [await followed.follow(after=40) for _ in range(50)]
    before = followed.events.reads
    told = await asyncio.gather(*map(followed.told, followers))
    assert told == [list(range(41, 101))] * 50
    assert followed.events.reads - before <= CATCHING_UP


async def test_who_comes_from_further_back_than_is_kept_misses_nothing_and_neither_do_those_after(
    followed: Followed,
) -> None:
    count = KEPT + 2 * CHUNK
    await followed.post(count)
    for after in (0, count - KEPT - 1, count - KEPT, 3, count - 5):
        assert await followed.told(await followed.follow(after=after)) == list(range(after + 1, count + 1))


async def test_what_was_read_for_one_who_came_back_stays_in_order_when_more_is_said(followed: Followed) -> None:
    await followed.post(30)
    early = await followed.follow(after=10)
    assert await followed.told(early) == list(range(11, 31))
    await followed.post(30)
    assert await followed.told(early) == list(range(31, 61))
    before = followed.events.reads
    assert await followed.told(await followed.follow(after=12)) == list(range(13, 61))
    assert followed.events.reads == before


async def test_what_was_read_before_a_message_was_deleted_tells_nothing_of_it_afterwards(room: UUID) -> None:
    state = RoomState(last_seq=2, public=True, key_hash=None, asked=frozenset(), viewers=frozenset())
    said = LiveEntry(kind="message", id="M", seq=1, author="A", ts=1, body="regretted")
    read = Event(1, "M", "message", encode(said), "M")
    feed = Feed(room)
    feed.last = 1
    feed.add(state, [Event(2, "D", "delete", b"{}", "M")])
    feed.precede([read])
    told = feed.since(0)
    assert told is not None
    assert [event.kind for event in told] == ["message", "delete"]
    assert b"regretted" not in told[0].data
