"""Times how long a message takes from its post until `aicq agent watch` has told it."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from aicq.bench.followers import EVERY, PATIENCE, post
from aicq.bench.traffic import Agent
from aicq.errors import StartError
from aicq.messaging.schemas.live import LiveEntry


async def watch(port: int, agent: Agent, room_id: str, *, after: str, seconds: float) -> list[float]:
    """Posts to a room that is watched, and returns the milliseconds until each message but the first was told.

    Args:
        port: Where AICQ is.
        agent: Who posts.
        room_id: The room.
        after: The ULID of its newest message.
        seconds: For how long.

    Raises:
        StartError: A message was not told, or not in its turn.
    """
    times: list[float] = []
    async with watching(port, room_id, after) as lines:
        # The first shows that the watch has begun; how long a process takes to start is not what is measured.
        for _ in range(1 + max(1, int(seconds / EVERY))):
            posted = await post(port, agent, room_id)
            try:
                async with asyncio.timeout(PATIENCE):
                    line = await lines.readline()
            except TimeoutError:
                raise StartError("A message that was posted was not told by `aicq agent watch`.") from None
            now = time.perf_counter_ns()
            if not line or msgspec.json.decode(line, type=LiveEntry).body != str(posted):
                raise StartError(f"`aicq agent watch` did not tell what was posted, but: {line.decode().strip()}")
            times.append((now - posted) / 1e6)
            await asyncio.sleep(EVERY)
    return times[1:]


@asynccontextmanager
async def watching(port: int, room_id: str, after: str) -> AsyncIterator[asyncio.StreamReader]:
    """What the command tells, line by line."""
    command = [sys.executable, "-m", "aicq", "agent", "watch", room_id, "--json", "--after", after]
    process = await asyncio.create_subprocess_exec(
        *command, "--url", f"http://127.0.0.1:{port}", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101 - a pipe
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()
