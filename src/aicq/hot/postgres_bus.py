"""Wake-ups by LISTEN and NOTIFY."""

# ruff: noqa: D102 - the interface says what each method does

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from aicq.errors import HotStoreUnavailable
from aicq.hot.base import Bus, Listener
from aicq.hot.postgres_client import CALL_TIMEOUT, FAILURES, Database
from aicq.hot.wakes import Wakes
from aicq.tasks import meanwhile

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
    async def listen(self, topics: Collection[str]) -> AsyncIterator[Listener]:
        listener = PostgresListener(self._dsn, topics)
        await listener.connect()
        async with meanwhile(listener.supervise()):
            yield listener


class PostgresListener(Wakes):
    """One connection that listens, opened again whenever it is lost.

    Args:
        dsn: Postgres.
        topics: What to listen to.
    """

    def __init__(self, dsn: str, topics: Collection[str]) -> None:
        super().__init__()
        self._dsn = dsn
        self._topics = {_channel(topic): topic for topic in topics}
        self._lost = asyncio.Event()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        # The driver runs one statement at a time on a connection.
        self._talking = asyncio.Lock()

    async def connect(self) -> None:
        async with self._talking:
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

    async def add(self, topics: Collection[str]) -> None:
        async with self._talking:
            for topic in topics:
                channel = _channel(topic)
                is_new = channel not in self._topics
                self._topics[channel] = topic
                if is_new and self._connection is not None:
                    await self._say(self._connection.add_listener(channel, self._notice))

    async def discard(self, topics: Collection[str]) -> None:
        async with self._talking:
            for topic in topics:
                channel = _channel(topic)
                if self._topics.pop(channel, None) is not None and self._connection is not None:
                    await self._say(self._connection.remove_listener(channel, self._notice))

    async def supervise(self) -> None:
        try:
            while True:
                await self._watch()
                await self._reconnect()
                self.wake(None)
        finally:
            self._drop()

    async def _say(self, statement: Coroutine[Any, Any, None]) -> None:
        """Runs a statement; if it fails the connection is given up, and opened again with all topics."""
        try:
            async with asyncio.timeout(SUBSCRIBE_TIMEOUT):
                await statement
        except FAILURES:
            self._lost.set()

    async def _watch(self) -> None:
        """Returns when the connection is lost, or its server silent."""
        while self._connection is not None and not self._connection.is_closed():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), HEARTBEAT)
                return
            try:
                async with self._talking:
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
        topic = self._topics.get(channel)
        if topic is not None:
            self.wake(topic)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _channel(topic: str) -> str:
    channel = f"channel:{topic}"
    if len(channel.encode()) <= LONGEST_CHANNEL:
        return channel
    return f"channel#{hashlib.sha256(topic.encode()).hexdigest()[:48]}"
