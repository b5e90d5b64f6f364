"""Stands between the service and Postgres, and cuts the connection at commits."""

import asyncio
import struct
import threading
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

SOCKET = ".s.PGSQL.5432"
GOODBYE = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
LINGERING = 0.1
OF_THE_LOG = b"message_log_append"


class Cut(Enum):
    """When the connection is cut."""

    BEFORE = "before the call was sent"
    DURING = "while the call is carried out"
    AFTER = "after the commit, before its answer is passed on"


class CuttingProxy:
    """A proxy with a thread and an event loop of its own.

    Args:
        database_url: Where it connects to.
        directory: Where it listens, on a socket.
        commit: What stands in the statements that commit: the log's, unless told otherwise.
    """

    def __init__(self, database_url: str, directory: Path, *, commit: bytes = OF_THE_LOG) -> None:
        self.commit = commit
        self._upstream = urlsplit(database_url)
        self._path = directory / SOCKET
        self.url = urlunsplit(
            self._upstream._replace(
                netloc=f"{self._upstream.netloc.rpartition('@')[0]}@", query=f"host={quote(str(directory), safe='/')}"
            )
        )
        self.cuts: Counter[Cut] = Counter()
        self._armed: list[Cut] = []
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._listening = threading.Event()
        self._over = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def arm(self, *cuts: Cut) -> None:
        """Has the next commits cut, one for each."""
        self._armed += cuts

    def say_goodbye(self) -> None:
        """Ends all connections as Postgres does when it is told to, but closes them only a moment later."""
        self._loop.call_soon_threadsafe(self._say_goodbye)

    def _say_goodbye(self) -> None:
        for connection in self._connections:
            connection.say_goodbye()

    @property
    def is_armed(self) -> bool:
        return bool(self._armed)

    def take(self) -> Cut | None:
        """How the commit that is about to be sent is to be cut, if it is."""
        if not self._armed:
            return None
        cut = self._armed.pop(0)
        self.cuts[cut] += 1
        return cut

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        connections: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)

        server = await asyncio.start_unix_server(accept, self._path)
        self._listening.set()
        await self._over.wait()
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await self._connect()
        connection = _Connection(self, writer, upstream_writer)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(connection.pump_calls(reader))
                pumps.create_task(connection.pump_answers(upstream_reader))
        except* (OSError, EOFError):
            pass
        finally:
            self._connections.discard(connection)
            for each in (writer, upstream_writer):
                each.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if directory := parse_qs(self._upstream.query).get("host"):
            return await asyncio.open_unix_connection(f"{directory[0]}/{SOCKET}")
        return await asyncio.open_connection(self._upstream.hostname, self._upstream.port or 5432)


class _Connection:
    """One connection, and the statements that were prepared on it.

    Args:
        proxy: Says what is cut.
        client: The service.
        server: Postgres.
    """

    def __init__(self, proxy: CuttingProxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._commits: set[bytes] = set()
        self._cut: Cut | None = None
        self._has_ended = False

    def say_goodbye(self) -> None:
        """Says that the connection ends, and says nothing after it."""
        self._has_ended = True
        self._client.write(b"E" + struct.pack("!i", len(GOODBYE) + 4) + GOODBYE)
        asyncio.get_running_loop().call_later(LINGERING, self._client.transport.abort)

    async def pump_calls(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readexactly(4)
        self._server.write(head + await reader.readexactly(struct.unpack("!i", head)[0] - 4))
        while True:
            kind, body = await read_message(reader)
            if self._is_commit(kind, body) and self._cut is None:
                self._cut = self._proxy.take()
            if self._cut is Cut.BEFORE:
                raise EOFError
            if self._has_ended:
                continue
            self._server.write(kind + struct.pack("!i", len(body) + 4) + body)
            await self._server.drain()
            if kind in {b"S", b"Q"} and self._cut is Cut.DURING:
                self._client.transport.abort()

    async def pump_answers(self, reader: asyncio.StreamReader) -> None:
        while True:
            kind, body = await read_message(reader)
            if self._cut is not None and kind == b"Z":
                raise EOFError
            if self._cut is not None or self._has_ended:
                continue
            self._client.write(kind + struct.pack("!i", len(body) + 4) + body)
            await self._client.drain()

    def _is_commit(self, kind: bytes, body: bytes) -> bool:
        """Whether a message has a commit carried out; a statement is named when it is prepared."""
        if kind == b"P":
            name, query = body.split(b"\0")[:2]
            if self._proxy.commit in query:
                self._commits.add(name)
            else:
                self._commits.discard(name)
        if kind == b"Q":
            return self._proxy.commit in body
        return kind == b"B" and body.split(b"\0", 2)[1] in self._commits


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
