"""How the Redis hot store speaks with its server: connections, scripts, time-outs and a breaker. No retries.

A call that failed may have run, so nothing is ever sent twice: a repeated `take` would count double, a repeated `add`
would refuse its own caller. Only where nothing was sent yet is a second attempt made: a connection that the server
closed while it was idle is opened anew before it is used, and a script that the server does not know did not run.
"""

import asyncio
import hashlib
import select
import time
from collections.abc import Iterable, Sequence
from importlib import resources
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from aicq.errors import HotStoreUnavailable, StartError
from aicq.hot import keys
from aicq.hot.base import HotStoreStale
from aicq.hot.metrics import UNANSWERED, timer

PAUSE = 0.5
"""Seconds that calls fail at once after the server did not answer; then one of them tries."""

CONNECTIONS = 16

LATE = 0.02
"""Seconds that a time-out comes late by if this process was busy with something else."""

TICK = 0.001
"""Seconds by which it is looked for that before the time-out comes: both are due then, and this is looked at first."""

Argument = str | bytes | int


class Script:
    """A Lua file of this package, behind the files it builds on."""

    def __init__(self, *files: str) -> None:
        package = resources.files("aicq.hot")
        self.name = files[-1]
        self.text = b"\n".join(package.joinpath(f"{file}.lua").read_bytes() for file in files)
        # Redis knows scripts by this digest; nothing is secured by it.
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest()


class Server:
    """What a server told about itself when a connection was opened."""

    def __init__(self, info: bytes) -> None:
        fields = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        self.run_id = fields.get("run_id", "")
        if "valkey_version" in fields:
            self.version = f"valkey {fields['valkey_version']}"
        else:
            self.version = f"redis {fields.get('redis_version', '')}"


class RedisClient:
    """Connections to one server.

    Args:
        url: `redis://…`, `rediss://…` or `unix://…`; it appears in no message.
        timeout: Seconds that a call may take, connecting included.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        self._timeout = timeout
        self._servers: WeakKeyDictionary[AbstractConnection, Server] = WeakKeyDictionary()
        self._paused_until = 0.0
        try:
            self._pool: Any = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=None,
                # One time-out stands around each call as a whole, see `_on_connection`.
                socket_timeout=None,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                driver_info=None,
                redis_connect_func=self._introduce,
            )
        except ValueError:
            raise StartError("REDIS_URL is not a URL that Redis can be reached by.") from None

    async def close(self) -> None:
        """Closes all connections but those of listeners."""
        await self._pool.disconnect()

    async def call(self, *command: Argument) -> Any:
        """Runs one command.

        Raises:
            HotStoreUnavailable: It failed; it may have run if it was sent.
        """
        [reply] = await self._on_connection([command], None, None)
        return reply

    async def run(self, script: Script, *arguments: Argument, key: str) -> Any:
        """Runs a script.

        Args:
            script: The script.
            arguments: Its ARGV.
            key: One of its keys, which tells a cluster where to run it.
        """
        [reply] = await self._on_connection([("EVALSHA", script.sha, 1, key, *arguments)], script, None)
        return reply

    async def run_in_epoch(self, script: Script, epoch: int, calls: Iterable[Argument]) -> list[Any]:
        """Runs a script that first compares the mark of the epoch with the one its arguments begin with.

        Args:
            script: The script.
            epoch: The epoch.
            calls: The argument of each call. They are sent together and made in this order, with those of others in
                between; where one fails, those behind it are made all the same.

        Raises:
            HotStoreStale: The store does not bear that mark, or bore it no longer for some of the calls.
            HotStoreUnavailable: One failed; all may have run if they were sent.
        """
        commands = [("EVALSHA", script.sha, 1, keys.EPOCH, argument) for argument in calls]
        replies = await self._on_connection(commands, script, epoch)
        if b"stale" in replies:
            raise HotStoreStale
        return replies

    async def server(self) -> Server:
        """What the server tells about itself just now."""
        return Server(await self.call("INFO", "server"))

    def make_connection(self) -> Any:
        """A connection of its own, not connected yet."""
        return self._pool.make_connection()

    async def _introduce(self, connection: AbstractConnection) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        self._servers[connection] = Server(await connection.read_response())

    async def _on_connection(
        self, commands: Sequence[Sequence[Argument]], script: Script | None, epoch: int | None
    ) -> list[Any]:
        now = asyncio.get_running_loop().time()
        if now < self._paused_until:
            raise HotStoreUnavailable
        if self._paused_until:
            # The pause is over: this call tries, and while it does, the others go on failing at once.
            self._paused_until = now + PAUSE
        connection, began = None, time.perf_counter()
        try:
            async with InTime(self._timeout):
                connection = await self._pool.get_connection()
                if not _is_quiet(connection):
                    await connection.disconnect(nowait=True)
                    await connection.connect()
                replies = await self._exchange(connection, commands, script, epoch)
        except ResponseError as error:
            UNANSWERED.labels("redis").inc()
            self._paused_until = 0.0
            raise HotStoreUnavailable from error
        except (TimeoutError, RedisError, OSError) as error:
            UNANSWERED.labels("redis").inc()
            if connection is None or isinstance(error, TimeoutError):
                self._paused_until = asyncio.get_running_loop().time() + PAUSE
            raise HotStoreUnavailable from error
        finally:
            if connection is not None:
                await self._pool.release(connection)
        self._paused_until = 0.0
        timer("redis", script.name if script else str(commands[0][0]).lower()).observe(time.perf_counter() - began)
        return replies

    async def _exchange(
        self,
        connection: AbstractConnection,
        commands: Sequence[Sequence[Argument]],
        script: Script | None,
        epoch: int | None,
    ) -> list[Any]:
        if epoch is not None:
            # The server that this very connection reached must bear the mark, whoever else has answered before.
            mark = f"{epoch}:{self._servers[connection].run_id}"
            commands = [(*command[:4], mark, *command[4:]) for command in commands]
        replies = await _replies(connection, commands)
        if script is not None and isinstance(replies[0], NoScriptError):
            # The first did not run; what the others did without it may be done again after it.
            replies = await _replies(connection, [("EVAL", script.text, *commands[0][2:]), *commands[1:]])
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply
        return replies


class InTime:
    """A time-out for the server alone: if this process was too busy to look, the server gets as long once more.

    Args:
        seconds: How long.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._due = self._loop.time() + seconds
        self._timeout = asyncio.timeout_at(self._due)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._look = self._loop.call_at(self._due - TICK, self._wait_on_if_late)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._look.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _wait_on_if_late(self) -> None:
        if self._loop.time() - self._due > LATE:
            self._timeout.reschedule(self._loop.time() + self._seconds)


async def _replies(connection: AbstractConnection, commands: Sequence[Sequence[Argument]]) -> list[Any]:
    """Sends commands together; the errors of the server are among its replies."""
    await connection.send_packed_command([part for command in commands for part in connection.pack_command(*command)])
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except ResponseError as error:
            replies.append(error)
    return replies


def _is_quiet(connection: Any) -> bool:
    """Whether nothing came in while nobody asked; what comes then is the end of the connection.

    The pool asks the event loop, which may not have come to look at the socket yet; this asks the socket.
    """
    poll = select.poll()
    poll.register(connection._writer.get_extra_info("socket").fileno(), select.POLLIN)  # noqa: SLF001 - not told else
    return not poll.poll(0)
