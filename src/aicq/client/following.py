"""Following a room: its entries as they come, from wherever one was, through lost connections and restarts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple

import httpx
import msgspec

from aicq.client.answers import error_in
from aicq.client.errors import NoAnswer, Unreachable
from aicq.errors import AICQError, Forbidden, RateLimited, Unavailable
from aicq.messaging.schemas.live import Gap, LiveEntry

SILENCE = 45.0
"""Seconds without a sign of life after which the connection is given up: three that were due."""

PAUSE = 0.5
"""Seconds before a lost connection is tried again, until the service has said how many."""

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
    heard, pause, place = loop.time(), PAUSE, after
    while True:
        least = 0
        wanted = {**headers()} | ({"Last-Event-ID": place} if place else {})
        try:
            async with http.stream("GET", path, headers=wanted, timeout=SILENCE) as answer:
                if answer.status_code != httpx.codes.OK:
                    await answer.aread()
                    raise error_in(answer)
                async for event in events_in(answer):
                    heard, place = loop.time(), event.place
                    pause = event.pause or pause
                    if event.entry is not None:
                        yield event.entry
        except LOST as error:
            if loop.time() - heard > patience:
                raise error if isinstance(error, AICQError) else Unreachable from error
            if isinstance(error, AICQError):
                least = error.retry_after or 0
        await asyncio.sleep(max(pause, least))


class StreamEvent(NamedTuple):
    """What a stream brings.

    Args:
        place: Where it is.
        pause: Seconds after which to come back when it is lost; 0 if it does not say.
        entry: The entry there, if it is one.
    """

    place: str
    pause: float
    entry: LiveEntry | Gap | None


async def events_in(answer: httpx.Response) -> AsyncIterator[StreamEvent]:
    """What a stream brings, event by event.

    Raises:
        Forbidden: The service has ended it, and says why.
    """
    place, pause, kind, data = "", 0.0, "", ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            place = value
        elif name == "retry" and value.isdecimal():
            pause = int(value) / 1000
        elif name == "event":
            kind = value
        elif name == "data":
            data = value
        elif not line:
            if kind == "end":
                raise Forbidden(msgspec.json.decode(data, type=dict[str, str])["error"])
            yield StreamEvent(place, pause, read_entry(kind, data) if data else None)
            kind = data = ""


def read_entry(kind: str, data: str) -> LiveEntry | Gap:
    """What an event's data tells."""
    if kind == "gap":
        return msgspec.json.decode(data, type=Gap)
    return msgspec.json.decode(data, type=LiveEntry)
