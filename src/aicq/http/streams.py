"""Open streams: how many an address may have at once, counted across all processes."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable, RateLimited
from aicq.hot.base import HotStore, Member
from aicq.http.metrics import LIMITED, STREAMS
from aicq.settings import Settings

RENEWALS = 3
"""How often an open stream is said to be open before it would count as closed."""


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

    @asynccontextmanager
    async def opened(self, address: str, *, is_limited: bool) -> AsyncIterator[None]:
        """Counts a stream of an address while the context is open.

        Raises:
            RateLimited: The address has too many.
        """
        stream = secrets.token_hex(8)
        most = self._rate.limit if is_limited else 1 << 53
        try:
            may = await self._hot.members.join(self._member(address, stream), most=most, now=now_ms())
        except HotStoreUnavailable:
            may = True  # it cannot be counted, and to follow is to read
        if not may:
            LIMITED.labels("streams").inc()
            raise RateLimited("too many open streams", retry_after=1)
        self._open[stream] = address
        STREAMS.inc()
        try:
            yield
        finally:
            STREAMS.dec()
            del self._open[stream]
            with suppress(HotStoreUnavailable):
                await self._hot.members.remove(f"streams:{address}", [stream])

    async def keep_open(self) -> None:
        """Says of all open streams that they are, until it is cancelled."""
        while True:
            await asyncio.sleep(self._rate.window / 1000 / RENEWALS)
            members = [self._member(address, stream) for stream, address in self._open.items()]
            with suppress(HotStoreUnavailable):
                await self._hot.members.add(members, now=now_ms())

    def _member(self, address: str, stream: str) -> Member:
        return Member(f"streams:{address}", stream, now_ms() + self._rate.window)
