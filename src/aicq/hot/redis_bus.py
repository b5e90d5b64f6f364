"""Wake-ups over Redis' publish and subscribe."""

# ruff: noqa: D102 - what the methods promise stands in hot/base.py

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import RedisError

from aicq.errors import HotStoreUnavailable
from aicq.hot import keys
from aicq.hot.base import Bus, Listener
from aicq.hot.redis_client import RedisClient, Script
from aicq.hot.wakes import Wakes
from aicq.tasks import meanwhile

SUBSCRIBE_TIMEOUT = 1.0
SILENCE = 10.0
"""Seconds without a wake-up after which the server is asked whether it is there, and seconds it has to answer."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

FAILURES = (TimeoutError, RedisError, OSError)
"""What tells that the connection is lost, or its server silent."""

_PUBLISH = Script("bus_publish")


class RedisBus(Bus):
    """Publishes with one call; every listener has a connection of its own."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def publish(self, topics: Collection[str]) -> None:
        if topics:
            await self._client.run(_PUBLISH, *map(keys.channel, topics), key=keys.CHANNELS)

    @asynccontextmanager
    async def listen(self, topics: Collection[str]) -> AsyncIterator[Listener]:
        listener = RedisListener(self._client, topics)
        await listener.connect()
        async with meanwhile(listener.supervise()):
            yield listener


class RedisListener(Wakes):
    """One connection that listens, opened again whenever it is lost.

    Args:
        client: Makes connections.
        topics: What to listen to.
    """

    def __init__(self, client: RedisClient, topics: Collection[str]) -> None:
        super().__init__()
        self._client = client
        self._channels = {keys.channel(topic) for topic in topics}
        self._connection: Any = None  # redis-py types only half of it
        self._asked = False
        self._changing = asyncio.Lock()
        self._confirmed = asyncio.Event()
        self._expected = 0

    async def connect(self) -> None:
        async with self._changing:
            connection = self._client.make_connection()
            try:
                async with asyncio.timeout(SUBSCRIBE_TIMEOUT):
                    await connection.connect()
                    if self._channels:
                        await connection.send_command("SUBSCRIBE", *self._channels)
                    for _ in self._channels:
                        await connection.read_response()
            except FAILURES as error:
                await connection.disconnect(nowait=True)
                raise HotStoreUnavailable from error
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            self._connection, self._asked = connection, False

    async def add(self, topics: Collection[str]) -> None:
        async with self._changing:
            channels = {keys.channel(topic) for topic in topics} - self._channels
            self._channels |= channels
            await self._say("SUBSCRIBE", channels)

    async def discard(self, topics: Collection[str]) -> None:
        async with self._changing:
            channels = {keys.channel(topic) for topic in topics} & self._channels
            self._channels -= channels
            await self._say("UNSUBSCRIBE", channels)

    async def supervise(self) -> None:
        try:
            while True:
                try:
                    await self._read(self._connection)
                except FAILURES:
                    await self._reconnect()
                    self.wake(None)
        finally:
            await self._drop()

    async def _say(self, verb: str, channels: Collection[str]) -> None:
        """Sends a command and waits until the server has confirmed each channel.

        If that fails the connection is given up, and opened again with all channels.
        """
        if not channels or self._connection is None:
            return
        self._expected = len(channels)
        self._confirmed.clear()
        try:
            async with asyncio.timeout(SUBSCRIBE_TIMEOUT):
                await self._connection.send_command(verb, *channels)
                await self._confirmed.wait()
        except FAILURES:
            if self._connection is not None:
                await self._connection.disconnect(nowait=True)

    async def _read(self, connection: Any) -> None:
        reply = await connection.read_response(timeout=SILENCE, disconnect_on_error=False)
        if reply is None:
            if self._asked:
                raise TimeoutError
            self._asked = True
            await connection.send_command("PING")
            return
        self._asked = False
        if reply[0] == b"message":
            self.wake(reply[1].decode().removeprefix(keys.CHANNELS))
        elif reply[0] in {b"subscribe", b"unsubscribe"}:
            self._expected -= 1
            if self._expected <= 0:
                self._confirmed.set()

    async def _reconnect(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._drop()
            try:
                await self.connect()
            except HotStoreUnavailable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        # Whoever waits for a confirmation need not: all channels are subscribed to when it is opened again.
        self._confirmed.set()
        if connection is not None:
            await connection.disconnect(nowait=True)
