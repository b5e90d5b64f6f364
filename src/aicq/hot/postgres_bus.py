"""Wake-ups by LISTEN and NOTIFY."""

# ruff: noqa: D102 - the interface says what each method does

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress

import asyncpg

from aicq.errors import HotStoreUnavailable
from aicq.hot.base import Bus, Wake
from aicq.hot.postgres_client import CALL_TIMEOUT, FAILURES, Database

HEARTBEAT = 10.0
"""Seconds after which a listener asks whether its server is still there."""

SUBSCRIBE_TIMEOUT = 5.0
"""Seconds that a listener may take to connect and to subscribe to all its topics."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

LONGEST_CHANNEL = 63
"""Bytes that Postgres allows for the name of a channel."""


class PostgresBus(Bus):
    """Wake-ups by NOTIFY, one channel per topic, because a server tells each listener only of its own channels.

    Args:
        database: Makes the calls.
        dsn: Where listeners connect to; it appears in no message.
    """

    def __init__(self, database: Database, dsn: str) -> None:
        self._database = database
        self._dsn = dsn

    async def publish(self, topics: Collection[str]) -> None:
        await self._database.rows("publish", [_channel(topic) for topic in topics])

    @asynccontextmanager
    async def listen(self, topics: Collection[str]) -> AsyncIterator[AsyncIterator[Wake]]:
        listener = Listener(self._dsn, topics)
        await listener.connect()
        task = asyncio.create_task(listener.supervise())
        try:
            yield listener
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Listener(AsyncIterator[Wake]):
    """One connection that listens, opened again whenever it is lost.

    Wake-ups of one topic that nobody has taken yet are one, so a slow reader costs no more memory than its topics. A
    cancelled `anext` loses nothing.

    Args:
        dsn: Postgres.
        topics: What to listen to.
    """

    def __init__(self, dsn: str, topics: Collection[str]) -> None:
        self._dsn = dsn
        self._topics = {_channel(topic): topic for topic in topics}
        self._pending: dict[str | None, None] = {}
        self._moved = asyncio.Event()
        self._lost = asyncio.Event()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def __anext__(self) -> Wake:
        while not self._pending:
            self._moved.clear()
            await self._moved.wait()
        topic = next(iter(self._pending))
        del self._pending[topic]
        return Wake(topic)

    async def connect(self) -> None:
        """Opens the connection and subscribes.

        Raises:
            HotStoreUnavailable: The server cannot be reached or refuses.
        """
        self._lost.clear()
        try:
            async with asyncio.timeout(SUBSCRIBE_TIMEOUT):
                self._connection = await asyncpg.connect(self._dsn, timeout=SUBSCRIBE_TIMEOUT)
                self._connection.add_termination_listener(lambda _: self._lost.set())
                for channel in self._topics:
                    await self._connection.add_listener(channel, self._notice)
        except FAILURES as error:
            self._drop()
            raise HotStoreUnavailable from error

    async def supervise(self) -> None:
        """Keeps the connection until it is cancelled."""
        try:
            while True:
                await self._watch()
                await self._reconnect()
                self._wake(None)
        finally:
            self._drop()

    async def _watch(self) -> None:
        """Returns when the connection is lost, or its server silent."""
        while self._connection is not None and not self._connection.is_closed():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), HEARTBEAT)
                return
            try:
                await self._connection.execute("SELECT", timeout=CALL_TIMEOUT)
            except FAILURES:
                return

    async def _reconnect(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._drop()
            try:
                await self.connect()
            except HotStoreUnavailable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return

    def _notice(self, _connection: object, _pid: int, channel: str, _payload: object) -> None:
        self._wake(self._topics[channel])

    def _wake(self, topic: str | None) -> None:
        self._pending[topic] = None
        self._moved.set()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _channel(topic: str) -> str:
    channel = f"channel:{topic}"
    if len(channel.encode()) <= LONGEST_CHANNEL:
        return channel
    return f"channel#{hashlib.sha256(topic.encode()).hexdigest()[:48]}"
