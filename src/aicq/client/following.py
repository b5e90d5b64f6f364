"""Following a room: its entries as they come, from wherever one was, through lost connections and restarts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import httpx
import msgspec

from aicq.client.answers import error_in
from aicq.client.errors import NoAnswer, Unreachable
from aicq.errors import AICQError, Forbidden, RateLimited, Unavailable
from aicq.messaging.schemas.live import Gap, LiveEntry

SILENCE = 45.0
"""Seconds without a sign of life after which the connection is given up: three that were due."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

LOST = (httpx.TransportError, NoAnswer, Unreachable, Unavailable, RateLimited)


async def follow(
    http: httpx.AsyncClient, path: str, headers: Callable[[], Mapping[str, str]], *, after: str, patience: float
) -> AsyncIterator[LiveEntry | Gap]:
    """The entries of a room as they come, each once and in order; ends only by an error.

    Args:
        http: How to get there.
        path: The room's stream.
        headers: Makes the headers, anew for each time.
        after: The ULID to go on from; empty: from now.
        patience: Seconds for which a lost connection is tried again.

    Raises:
        Unavailable: It could not be reached for that long.
        AICQError: What the answer says, or why the stream has ended.
    """
    loop = asyncio.get_running_loop()
    heard, pause, place = loop.time(), FIRST_PAUSE, after
    while True:
        wanted = {**headers()} | ({"Last-Event-ID": place} if place else {})
        try:
            async with http.stream("GET", path, headers=wanted, timeout=SILENCE) as answer:
                if answer.status_code != httpx.codes.OK:
                    await answer.aread()
                    raise error_in(answer)
                async for reached, entry in entries_in(answer):
                    heard, pause, place = loop.time(), FIRST_PAUSE, reached
                    if entry is not None:
                        yield entry
        except LOST as error:
            if loop.time() - heard > patience:
                raise error if isinstance(error, AICQError) else Unreachable from error
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def entries_in(answer: httpx.Response) -> AsyncIterator[tuple[str, LiveEntry | Gap | None]]:
    """What a stream brings: the place where it is, and the entry there if it is one.

    Raises:
        Forbidden: The service has ended it, and says why.
    """
    place, kind, data = "", "", ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            place = value
        elif name == "event":
            kind = value
        elif name == "data":
            data = value
        elif not line:
            if kind == "end":
                raise Forbidden(msgspec.json.decode(data, type=dict[str, str])["error"])
            yield place, read_entry(kind, data) if data else None
            kind = data = ""


def read_entry(kind: str, data: str) -> LiveEntry | Gap:
    """What an event's data tells."""
    if kind == "gap":
        return msgspec.json.decode(data, type=Gap)
    return msgspec.json.decode(data, type=LiveEntry)
