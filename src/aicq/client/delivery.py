"""Requests on their way: each is sent, and repeated where that is safe, until there is an answer to it.

A request that only asks is repeated for as long as the caller is patient. A signed request is accepted once, whatever
becomes of its answer; so if the answer was lost, the same bytes are sent again, until the service either takes them or
says that it has taken them already. It accepts them for 30 seconds.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Self

import httpx

from aicq.client.answers import error_in
from aicq.client.errors import NoAnswer, Unreachable
from aicq.client.following import follow
from aicq.errors import (
    AICQError,
    InvalidRequest,
    OutcomeUnknown,
    RateLimited,
    ReplayedRequest,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from aicq.messaging.schemas.live import Gap, LiveEntry

FRESH = 25.0
"""Seconds after which a signed request is not sent again, for it would soon be refused as too old."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

SAME_FOR_EVER = (InvalidRequest, TooLarge, UnsupportedMediaType)
"""Refusals of the bytes themselves: an earlier copy of them cannot have been accepted."""

Headers = Mapping[str, str]


class Transport(httpx.AsyncHTTPTransport):
    """Connections, where one that is lost as soon as it was made is a connection that was not made."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request."""
        try:
            return await super().handle_async_request(request)
        except AttributeError as error:  # what anyio makes of it: its transport has no socket any more
            raise httpx.ConnectError("lost at once", request=request) from error


class Courier:
    """Brings requests to one AICQ.

    Args:
        url: Where it is.
        timeout: Seconds that a single answer may take.
        patience: Seconds for which a request is repeated that AICQ could not be asked, or not just now.
        transport: How to get there, if not over the network.

    Raises:
        InvalidRequest: The URL is none.
    """

    def __init__(
        self, url: str, *, timeout: float, patience: float, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self.url = plain_url(url)
        self._patience = patience
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout, transport=transport or Transport())

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ask(
        self, method: str, path: str, *, body: bytes = b"", headers: Callable[[], Headers] = dict, **query: Any
    ) -> httpx.Response:
        """Sends a request that may be done any number of times.

        Args:
            method: The method.
            path: The path.
            body: JSON, or nothing.
            headers: Makes the headers, anew for each time that it is sent.
            query: The query; what is empty is left out.

        Raises:
            Unavailable: No answer came for as long as the caller is patient.
            AICQError: What the answer says.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        for pause in pauses():
            try:
                return await self._send(method, path, body, headers(), query)
            except Unavailable as error:
                wait = max(pause, error.retry_after or 0)
                if loop.time() + wait > deadline:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError  # pauses have no end

    def follow(self, path: str, *, headers: Callable[[], Headers], after: str) -> AsyncIterator[LiveEntry | Gap]:
        """Follows a stream of events through lost connections, from a place on."""
        return follow(self._http, path, headers, after=after, patience=self._patience)

    async def deliver(self, method: str, path: str, *, body: bytes, headers: Headers) -> httpx.Response | None:
        """Sends a signed request that is to be done once, and finds out what became of it.

        Args:
            method: The method.
            path: The path.
            body: JSON, or nothing.
            headers: The headers, signature and all; they have just been made.

        Returns:
            The answer; None if it was done, but the answer was lost.

        Raises:
            OutcomeUnknown: It may have been done, and whether it was could not be found out in time.
            Unavailable: It was not done.
            AICQError: What the answer says; it was not done.
        """
        loop = asyncio.get_running_loop()
        stale = loop.time() + FRESH
        deadline = loop.time() + min(self._patience, FRESH)
        may_be_done = False
        for pause in pauses():
            try:
                return await self._send(method, path, body, headers, {})
            except ReplayedRequest:
                if not may_be_done:
                    raise
                return None
            except (Unavailable, RateLimited) as error:
                may_be_done = may_be_done or leaves_open(error)
                wait = max(pause, error.retry_after or 0)
                if not may_be_done and (isinstance(error, RateLimited) or loop.time() + wait > deadline):
                    raise
                if loop.time() + wait > stale:
                    raise unknown(error) from error
            except SAME_FOR_EVER:
                raise
            except AICQError as error:
                if not may_be_done:
                    raise
                raise unknown(error) from error
            await asyncio.sleep(wait)
        raise AssertionError  # pauses have no end

    async def _send(
        self, method: str, path: str, body: bytes, headers: Headers, query: Mapping[str, Any]
    ) -> httpx.Response:
        shown = {"Content-Type": "application/json", **headers} if body else headers
        sent = [(name.encode(), value.encode()) for name, value in shown.items()]
        wanted = {name: value for name, value in query.items() if value != ""}
        try:
            answer = await self._http.request(method, path, content=body or None, headers=sent, params=wanted)
        except NOT_SENT as error:
            raise Unreachable(f"AICQ at {self.url} cannot be reached: {reason(error)}") from error
        except httpx.TransportError as error:
            raise NoAnswer(f"AICQ at {self.url} did not answer: {reason(error)}") from error
        if not answer.is_success:
            raise error_in(answer)
        return answer


def pauses() -> Iterator[float]:
    """How long to wait between two times, longer and longer."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def leaves_open(error: AICQError) -> bool:
    """Whether what was asked for may have been done nevertheless."""
    return isinstance(error, OutcomeUnknown) or (isinstance(error, NoAnswer) and not isinstance(error, Unreachable))


def unknown(error: AICQError) -> OutcomeUnknown:
    """The end of a request that may have been done, with what was heard last."""
    return OutcomeUnknown(f"An answer was lost, and whether it was done could not be found out; last heard: {error}")


def plain_url(url: str) -> str:
    """A URL as it may be told to anybody: without the login that it may hold.

    Raises:
        InvalidRequest: It is none.
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        parts = httpx.URL()
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise InvalidRequest("AICQ's address must begin with http:// or https://", field="url")
    return f"{parts.scheme}://{parts.netloc.decode()}{parts.path.rstrip('/')}"


def reason(error: httpx.TransportError) -> str:
    """What went wrong on the way, in a few words."""
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            # The number of a name that is not found is none of the system's.
            return (os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)).lower()
        cause = cause.__cause__ or cause.__context__
    return str(error).rstrip(".").lower() or "the connection was lost"
