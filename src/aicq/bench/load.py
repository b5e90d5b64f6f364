"""Sends requests as fast as they are answered: each client its next one when the answer to the last has come.

It shares the machine with the server it measures, so it does as little as it can: bytes made beforehand go out, and
of an answer it reads the status and the length.
"""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import msgspec

from aicq.errors import StartError

STATUS = slice(9, 12)
"""Where an answer holds its status: `HTTP/1.1 201 …`."""

PATIENCE = 20.0
"""Seconds that the last answers may take."""


class Measured(msgspec.Struct, frozen=True):
    """What one slice of load came to.

    Args:
        rate: Answers a second, without the warm-up.
        answered: All answers, the warm-up's too.
        ran_dry: A client had no request left before the time was up.
    """

    rate: float
    answered: int
    ran_dry: bool


class Slice:
    """What the clients of one slice share."""

    def __init__(self, status: bytes) -> None:
        self.status = status
        self.answered = 0
        self.over = False
        self.ran_dry = False
        self.ended = asyncio.Event()
        self.complaint = ""

    def end(self) -> None:
        """Lets every client stop at its next answer."""
        self.over = True
        self.ended.set()

    def fail(self, complaint: str) -> None:
        """Ends the slice, whose figures mean nothing."""
        self.complaint = self.complaint or complaint
        self.end()


class Client(asyncio.Protocol):
    """One connection.

    Args:
        requests: What to send.
        slice_: What it belongs to.
    """

    def __init__(self, requests: Iterator[bytes], slice_: Slice) -> None:
        self._requests = requests
        self._slice = slice_
        self._transport: asyncio.WriteTransport
        self._held = b""
        self._missing = 0
        self.idle = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the connection; `begin` starts to use it."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def begin(self) -> None:
        """Sends the next request."""
        request = next(self._requests, None)
        if request is None:
            self._slice.ran_dry = True
            self._slice.end()
            self._rest()
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Takes a part of an answer; when it is whole, goes on."""
        if self._missing:
            self._missing -= len(data)
        else:
            data = self._held + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._held = data
                return
            self._held = b""
            self._missing = length_of(data[:end]) - (len(data) - end - 4)
            if data[STATUS] != self._slice.status:
                self._slice.fail(f"{data[STATUS].decode()} {data[end + 4 :].decode(errors='replace')}".strip())
        if not self._missing:
            self._slice.answered += 1
            if self._slice.over:
                self._rest()
            else:
                self.begin()

    def connection_lost(self, error: Exception | None) -> None:
        """Ends the slice, unless it was over."""
        if not self.idle.done():
            self._slice.fail(f"the connection was lost: {error or 'closed'}")
            self._rest()

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def _rest(self) -> None:
        if not self.idle.done():
            self.idle.set_result(None)


def length_of(head: bytes) -> int:
    """The length of an answer's body, which the product always tells."""
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    return int(head[at + 17 :].split(b"\r\n", 1)[0])


async def run_slice(
    port: int, requests: Sequence[Iterator[bytes]], *, status: int, warm: float, seconds: float
) -> Measured:
    """Loads a server, a client for each item of `requests`, and counts the answers.

    Raises:
        StartError: An answer has another status, or none came.
    """
    slice_ = Slice(str(status).encode())
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(partial(Client, each, slice_), "127.0.0.1", port))[1] for each in requests]
    with uninterrupted():
        began, before = loop.time(), 0
        for client in clients:
            client.begin()
        if not await _ended(slice_, warm):
            began, before = loop.time(), slice_.answered
            await _ended(slice_, seconds)
        rate = (slice_.answered - before) / (loop.time() - began)
    slice_.end()
    await _finish(clients, slice_)
    return Measured(rate, slice_.answered, slice_.ran_dry)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keeps the garbage collector from stopping those who measure."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _ended(slice_: Slice, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await slice_.ended.wait()
    except TimeoutError:
        return False


async def _finish(clients: Sequence[Client], slice_: Slice) -> None:
    """Waits for the answers under way: each of them is a message that the log must hold."""
    _, hanging = await asyncio.wait([client.idle for client in clients], timeout=PATIENCE)
    for client in clients:
        client.close()
    if slice_.complaint:
        raise StartError(f"A measured request was not answered as it must be: {slice_.complaint}.")
    if hanging:
        raise StartError(f"{len(hanging)} requests were not answered within {PATIENCE:.0f} s.")
