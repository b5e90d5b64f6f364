"""Follows a room over many connections and times how long a message takes from its post to each of them."""

import asyncio
import re
import time
from collections.abc import Callable
from functools import partial
from typing import cast

from aicq.bench.traffic import Agent
from aicq.errors import StartError

ENTRY = re.compile(rb'"seq":(\d+).*?"body":"(\d+)"')
"""An entry whose text is the time when it was posted, in nanoseconds."""

EVERY = 0.25
"""Seconds between two posts."""

PATIENCE = 30.0
"""Seconds that the connections may take to open, and the last message to arrive."""


class Follower(asyncio.Protocol):
    """One connection that follows.

    Args:
        room: What all of them share.
    """

    def __init__(self, room: "Room") -> None:
        self._room = room
        self._transport: asyncio.WriteTransport
        self._held = b""
        self._is_open = False
        self._last = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the events."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(b"GET /room/%b/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % self._room.id.encode())

    def data_received(self, data: bytes) -> None:
        """Notes every entry; a line that is not whole waits for its rest."""
        now = time.perf_counter_ns()
        if not self._is_open and b"retry:" in data:
            self._is_open = True
            self._room.opened += 1
            self._room.changed.set()
        lines, _, self._held = (self._held + data).rpartition(b"\n")
        for entry in ENTRY.finditer(lines):
            seq = int(entry[1])
            if self._last and seq != self._last + 1:
                self._room.fail(f"a follower got entry {seq} after {self._last}")
            self._last = seq
            self._room.times.append((now - int(entry[2])) / 1e6)
            self._room.changed.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Makes the run void, unless it is over."""
        self._room.fail(f"a follower's connection was lost: {error or 'closed'}")

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


async def follow(port: int, agent: Agent, room_id: str, *, followers: int, seconds: float) -> list[float]:
    """Has many follow a room while an agent posts to it, and returns the milliseconds that each delivery took.

    Raises:
        StartError: A follower got a message twice, out of order, or not at all.
    """
    room, loop = Room(room_id), asyncio.get_running_loop()
    clients = [(await loop.create_connection(partial(Follower, room), "127.0.0.1", port))[1] for _ in range(followers)]
    try:
        await room.until(lambda: room.opened == followers)
        count = max(1, int(seconds / EVERY))
        for _ in range(count):
            await post(port, agent, room_id)
            await asyncio.sleep(EVERY)
        await room.until(lambda: len(room.times) >= count * followers)
    finally:
        for client in clients:
            client.close()
    return room.times


async def post(port: int, agent: Agent, room_id: str) -> int:
    """Posts the time and returns it, in nanoseconds, when it is acknowledged."""
    now = time.perf_counter_ns()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(agent.signed(f"/room/{room_id}", b'{"body":"%d"}' % now))
        head = await reader.readuntil(b"\r\n")
        if b" 201 " not in head:
            raise StartError(f"A post was not answered as it must be: {head.decode().strip()}.")
    finally:
        writer.close()
    return now
