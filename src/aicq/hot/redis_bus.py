"""Wake-ups over Redis' publish and subscribe."""

# ruff: noqa: D102 - what the methods promise stands in hot/base.py

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import RedisError

from aicq.errors import HotStoreUnavailable
from aicq.hot import keys
from aicq.hot.base import Bus, Wake
from aicq.hot.redis_client import RedisClient, Script

SUBSCRIBE_TIMEOUT = 1.0
SILENCE = 10.0
"""Seconds without a wake-up after which the server is asked whether it is there, and seconds it has to answer."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

_PUBLISH = Script("bus_publish")


class RedisBus(Bus):
    """Publishes with one call; every listener has a connection of its own."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def publish(self, topics: Collection[str]) -> None:
        if topics:
            await self._client.run(_PUBLISH, *map(keys.channel, topics), key=keys.CHANNELS)

    @asynccontextmanager
    async def listen(self, topics: Collection[str]) -> AsyncIterator[AsyncIterator[Wake]]:
        listener = _Listener(self._client, topics)
        try:
            await listener.subscribe()
        except (TimeoutError, RedisError, OSError) as error:
            raise HotStoreUnavailable from error
        try:
            yield listener
        finally:
            await listener.close()


class _Listener(AsyncIterator[Wake]):
    """Reads wake-ups for as long as somebody asks for the next one; a cancelled `anext` loses nothing.

    What waits unread waits in the server, which cuts off a listener that is too slow; that listener then reconnects and
    is told that it missed something.
    """

    def __init__(self, client: RedisClient, topics: Collection[str]) -> None:
        self._client = client
        self._channels = [keys.channel(topic) for topic in topics]
        self._connection: Any = None  # redis-py types only half of it
        self._asked = False
        self._failures = 0

    async def subscribe(self) -> None:
        connection = self._client.make_connection()
        try:
            async with asyncio.timeout(SUBSCRIBE_TIMEOUT):
                await connection.connect()
                if self._channels:
                    await connection.send_command("SUBSCRIBE", *self._channels)
                for _ in self._channels:
                    await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._connection, self._asked, self._failures = connection, False, 0

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def __anext__(self) -> Wake:
        while True:
            if self._connection is None:
                await self._subscribe_again()
                return Wake(None)
            try:
                wake = await self._read(self._connection)
            except (RedisError, OSError):
                await self.close()
                continue
            if wake is not None:
                return wake

    async def _read(self, connection: Any) -> Wake | None:
        reply = await connection.read_response(timeout=SILENCE, disconnect_on_error=False)
        if reply is None:
            if self._asked:
                await self.close()
            else:
                self._asked = True
                await connection.send_command("PING")
            return None
        self._asked = False
        if reply[0] != b"message":
            return None
        return Wake(reply[1].decode().removeprefix(keys.CHANNELS))

    async def _subscribe_again(self) -> None:
        while self._connection is None:
            try:
                await self.subscribe()
            except (TimeoutError, RedisError, OSError):
                await asyncio.sleep(min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE))
                self._failures = min(self._failures + 1, 10)
