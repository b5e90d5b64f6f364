"""Follows a room over many connections and times how long a message takes from its post to each of them."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from aicq.bench.asking import connected
from aicq.bench.load import uninterrupted
from aicq.bench.traffic import Agent
from aicq.errors import StartError

ENTRY = re.compile(rb'"seq":(\d+).*?"body":"(\d+)"')
"""An entry whose text is the time when it was posted, in nanoseconds."""

TOLD = re.compile(rb"^(retry|id): (\w+)$", re.MULTILINE)
"""When to come back, in milliseconds, and where the stream is."""

EVERY = 0.25
"""Seconds between two posts."""

PATIENCE = 30.0
"""Seconds that the connections may take to open, and the last message to arrive."""


class Follower(asyncio.Protocol):
    """One who follows, and goes on where they were when they come back.

    Args:
        room: What all of them share.
    """

    def __init__(self, room: "Room") -> None:
        self._room = room
        self._transport: asyncio.WriteTransport
        self._told: dict[bytes, bytes] = {}
        self._last = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the events."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._held = b""
        self._is_open = self._is_cut = False
        place = b"Last-Event-ID: %b\r\n" % self._told[b"id"] if b"id" in self._told else b""
        self._transport.write(
            b"GET /room/%b/events HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n" % (self._room.id.encode(), place)
        )

    def data_received(self, data: bytes) -> None:
        """Notes every entry; a line that is not whole waits for its rest."""
        now = time.perf_counter_ns()
        lines, _, self._held = (self._held + data).rpartition(b"\n")
        self._told |= dict(TOLD.findall(lines))
        if not self._is_open and b"retry:" in lines:
            self._is_open = True
            self._room.opened += 1
            self._room.changed.set()
        for entry in ENTRY.finditer(lines):
            seq = int(entry[1])
            if self._last and seq != self._last + 1:
                self._room.fail(f"a follower got entry {seq} after {self._last}")
            self._last = seq
            self._room.times.append((now - int(entry[2])) / 1e6)
            self._room.changed.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Makes the run void, unless it was cut or is over."""
        if not self._is_cut:
            self._room.fail(f"a follower's connection was lost: {error or 'closed'}")

    def cut(self) -> None:
        """Loses the connection."""
        self._is_cut = True
        self._room.opened -= 1
        self._transport.abort()

    async def come_back(self, port: int) -> None:
        """Comes back when it was told to."""
        await asyncio.sleep(int(self._told[b"retry"]) / 1000)
        await self.connect(port)

    async def connect(self, port: int) -> None:
        """Connects."""
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()


class Room:
    """A room that is followed, and what its followers got.

    Args:
        room_id: Its id.
    """

    def __init__(self, room_id: str) -> None:
        self.id = room_id
        self.opened = 0
        self.times: list[float] = []
        self.changed = asyncio.Event()
        self.complaint = ""

    def fail(self, complaint: str) -> None:
        """Something happened that must not."""
        self.complaint = self.complaint or complaint
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until something is so.

        Raises:
            StartError: It was not so in time, or something else happened.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition() and not self.complaint:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            self.fail(f"{self.opened} followers got {len(self.times)} messages within {PATIENCE:.0f} s")
        if self.complaint:
            raise StartError(f"Following a room went wrong: {self.complaint}.")


@asynccontextmanager
async def following(port: int, room_id: str, count: int) -> AsyncIterator[tuple[Room, list[Follower]]]:
    """So many who follow a room, all of them connected."""
    room = Room(room_id)
    followers = [Follower(room) for _ in range(count)]
    for follower in followers:
        await follower.connect(port)
    try:
        await room.until(lambda: room.opened == count)
        with uninterrupted():
            yield room, followers
    finally:
        for follower in followers:
            follower.close()


async def follow(port: int, agent: Agent, room_id: str, *, followers: int, seconds: float) -> list[float]:
    """Has many follow a room while an agent posts to it, and returns the milliseconds that each delivery took.

    Raises:
        StartError: A follower got a message twice, out of order, or not at all.
    """
    async with following(port, room_id, followers) as (room, _):
        count = max(1, int(seconds / EVERY))
        for _ in range(count):
            await post(port, agent, room_id)
            await asyncio.sleep(EVERY)
        await room.until(lambda: len(room.times) >= count * followers)
    return room.times


async def post(port: int, agent: Agent, room_id: str) -> int:
    """Posts the time and returns it, in nanoseconds, when it is acknowledged."""
    now = time.perf_counter_ns()
    async with connected(port) as connection:
        await connection.ask(stamped(agent, room_id, now), b"201")
    return now


def stamped(agent: Agent, room_id: str, now: int) -> bytes:
    """A post whose text is the time when it is posted, in nanoseconds."""
    return agent.signed(f"/room/{room_id}", b'{"body":"%d"}' % now)
