"""Open streams: how they open and close in turns, are sent, and are counted across all processes.

An address may have so many at once, and whoever loses one is told when to come back.
"""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Self

from litestar.response import Stream
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from aicq.batches import Batcher
from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable, RateLimited
from aicq.hot.base import HotStore, Member
from aicq.http.admission import AnyConnection, admission_of
from aicq.http.metrics import LIMITED, STREAMS
from aicq.settings import Settings

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

AT_ONCE = 4
"""Streams of a process that open at the same time, enough to share their calls of the databases; as many close."""

REST = 2
"""How often as long as it took a stream to open, or to close, it is before the next gets its turn."""

LONGEST_REST = 0.1
"""Seconds; what took so long waited for something, and did not keep others from their work."""

COME_BACK = (500, 2_500)
"""Milliseconds after which whoever has lost a stream is asked to come back, at the least and at the most."""

RENEWALS = 3
"""How often an open stream is said to be open before it would count as closed."""


class InTurns:
    """Has streams open and close a few at a time, so that a thousand who come back at once hold up nobody who posts.

    Each waits its turn before anything is done for it, and holds it until its answer begins, a socket until it is sent
    its first frame. When its caller has gone, it waits for another before anything is done to end it. As long as others
    wait, turns are followed by a rest.

    Args:
        app: What opens them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._opening = Turns()
        self._closing = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Opens one stream, and closes it."""
        with ExitStack() as turn:
            turn.callback(await self._opening.take())
            is_open = False

            async def send_and_pass_on(message: Message) -> None:
                nonlocal is_open
                if not is_open and message["type"] != "websocket.accept":
                    is_open = True
                    turn.close()
                await send(message)

            async def receive_in_turn() -> Any:
                message = await receive()
                if message["type"] in {"http.disconnect", "websocket.disconnect"}:
                    turn.callback(await self._closing.take())
                return message

            await self._app(scope, receive_in_turn, send_and_pass_on)


class Turns:
    """Turns that a few have at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def take(self) -> Callable[[], None]:
        """Waits for a turn, and gives what ends it."""
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        return partial(self._end, asyncio.get_running_loop().time())

    def _end(self, began: float) -> None:
        loop = asyncio.get_running_loop()
        if self._waiting:
            loop.call_later(min(REST * (loop.time() - began), LONGEST_REST), self._free.release)
        else:
            self._free.release()


class EventStream(Stream):
    """Server-sent events, until there are no more or their caller has gone.

    Args:
        frames: The events, encoded.
    """

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        super().__init__(frames, media_type="text/event-stream", headers=HEADERS)
        self._frames = frames

    @classmethod
    async def begun(cls, frames: AsyncIterator[bytes]) -> Self:
        """A stream whose first event is there: what can be refused is refused before the answer begins."""
        return cls(_behind(await anext(frames), frames))

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """The answer as it is sent."""
        return _Sending(iterator=self._frames, media_type=self.media_type, headers=self.headers)


async def _behind(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """One frame, then the others."""
    yield first
    async for frame in rest:
        yield frame


class _Sending(ASGIStreamingResponse):
    """Sends frames while their caller is there.

    Litestar's own way leaves all that belonged to a stream to the garbage collector, which stops everything for a tenth
    of a second when a thousand have ended.
    """

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Sends until there is nothing more to send, or nobody to send it to."""
        sending = asyncio.create_task(self._stream(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.wait((sending, leaving))
        if not sending.cancelled():
            sending.result()


async def _left(receive: Receive) -> None:
    """Waits until the caller has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Streams:
    """The open streams of a process.

    A stream counts as open for the window of the rule `streams` after it was last said to be, so those of a process
    that died vanish by themselves.

    Args:
        hot: Where they are counted.
        settings: How many an address may have.
    """

    def __init__(self, hot: HotStore, settings: Settings) -> None:
        self._hot = hot
        self._rate = settings.rates["streams"]
        self._open: dict[str, str] = {}
        self._join: Batcher[Member, bool] = Batcher(self._join_all)
        self._leave: Batcher[tuple[str, str], None] = Batcher(self._leave_all)

    @asynccontextmanager
    async def opened(self, connection: AnyConnection) -> AsyncIterator[None]:
        """Counts a stream of an address while the context is open.

        Raises:
            RateLimited: The address has too many.
        """
        addresses = admission_of(connection).addresses
        address = addresses.of(connection.scope)
        member = self._member(address, secrets.token_hex(8))
        if not addresses.is_whitelisted(address) and not await self._join(member):
            LIMITED.labels("streams").inc()
            raise RateLimited("too many open streams", retry_after=1)
        self._open[member.name] = address
        STREAMS.inc()
        try:
            yield
        finally:
            STREAMS.dec()
            del self._open[member.name]
            # Whoever closes does not wait for it; what is not removed is soon counted no more.
            self._leave.send((member.key, member.name))

    async def _join_all(self, members: list[Member]) -> list[bool]:
        try:
            return await self._hot.members.join(members, most=self._rate.limit, now=now_ms())
        except HotStoreUnavailable:
            return [True] * len(members)  # they cannot be counted, and to follow is to read

    async def _leave_all(self, left: list[tuple[str, str]]) -> list[None]:
        with suppress(HotStoreUnavailable):
            await self._hot.members.remove(left)
        return [None] * len(left)

    async def keep_open(self) -> None:
        """Says of all open streams that they are, until it is cancelled."""
        while True:
            await asyncio.sleep(self._rate.window / 1000 / RENEWALS)
            members = [self._member(address, stream) for stream, address in self._open.items()]
            with suppress(HotStoreUnavailable):
                await self._hot.members.add(members, now=now_ms())

    def _member(self, address: str, stream: str) -> Member:
        return Member(f"streams:{address}", stream, now_ms() + self._rate.window)


def comeback() -> int:
    """When to come back if a stream is lost, in milliseconds; each is told another time, so that they spread."""
    return random.randint(*COME_BACK)  # noqa: S311 - no secret


def streams_of(connection: AnyConnection) -> Streams:
    """The open streams of the app's process."""
    streams: Streams = connection.app.state["streams"]
    return streams
