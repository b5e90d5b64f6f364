"""Cuts off all who follow a room at once, and times posts to it while they come back as they were told to."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import msgspec

from aicq.bench.asking import connected
from aicq.bench.followers import following, stamped
from aicq.bench.traffic import Agent

EVERY = 0.4
"""Seconds between two posts of an agent."""

CUT_AT_ONCE = 20
"""Followers who are cut off before those who post, on the same event loop, have their turn."""


class Storm(msgspec.Struct, frozen=True):
    """Posts before and amid a storm, in milliseconds from when each was due.

    Args:
        quiet: Those with everybody connected.
        amid: Those from the moment that everybody was cut off until the last was back.
        seconds: How long that was.
        posted: How many posts there were.
    """

    quiet: list[float]
    amid: list[float]
    seconds: float
    posted: int


async def weather(port: int, agents: Sequence[Agent], room_id: str, *, followers: int, seconds: float) -> Storm:
    """Has agents post to a room that many follow, first quietly for some seconds, then through a storm.

    Raises:
        StartError: A post was refused, or a follower got a message twice, out of order, or not at all, or was not back
            in time.
    """
    times: list[tuple[float, float]] = []
    async with following(port, room_id, followers) as (room, crowd):
        over = asyncio.Event()
        posting = asyncio.gather(
            *(
                _post(port, _stamps(agent, room_id), number * EVERY / len(agents), times, over)
                for number, agent in enumerate(agents)
            )
        )
        try:
            began = time.perf_counter()
            await asyncio.sleep(seconds)
            cut = time.perf_counter()
            for number, follower in enumerate(crowd, 1):
                follower.cut()
                if number % CUT_AT_ONCE == 0:
                    await asyncio.sleep(0)
            await asyncio.gather(*(follower.come_back(port) for follower in crowd))
            await room.until(lambda: room.opened == followers)
            back = time.perf_counter()
        finally:
            over.set()
            await posting
        await room.until(lambda: len(room.times) >= len(times) * followers)
    quiet = [taken for due, taken in times if began <= due < cut]
    amid = [taken for due, taken in times if cut <= due <= back]
    return Storm(quiet, amid, back - cut, len(times))


def _stamps(agent: Agent, room_id: str) -> Iterator[bytes]:
    """Posts, each with the time when it is asked for."""
    while True:
        yield stamped(agent, room_id, time.perf_counter_ns())


async def _post(
    port: int, posts: Iterator[bytes], after: float, times: list[tuple[float, float]], over: asyncio.Event
) -> None:
    """Posts again and again when it is due, and notes when that was and how long it took from then."""
    async with connected(port) as connection:
        due = time.perf_counter() + after
        while not over.is_set():
            await asyncio.sleep(max(0, due - time.perf_counter()))
            await connection.ask(next(posts), b"201")
            times.append((due, 1000 * (time.perf_counter() - due)))
            due += EVERY
