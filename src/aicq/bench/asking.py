"""One connection over which requests are sent one after the other, each when the answer to the last has come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aicq.bench.load import STATUS, length_of
from aicq.errors import StartError


class Connection:
    """An open connection to a server.

    Args:
        reader: What comes from it.
        writer: What goes to it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes, status: bytes = b"2") -> bytes:
        """Sends a request and returns the body of its answer.

        Args:
            request: What to send.
            status: What the status of the answer has to begin with.

        Raises:
            StartError: It has another status.
        """
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        body = await self._reader.readexactly(length_of(head))
        if not head[STATUS].startswith(status):
            raise StartError(
                f"A request was not answered as it must be: {head[STATUS].decode()} {body.decode(errors='replace')}"
            )
        return body


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    """Opens a connection, and closes it afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
