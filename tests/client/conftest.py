"""Clients of an app over each hot store, called in process, and connections that lose answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from tests.conftest import RAISED_LIMITS
from tests.process.service import Service
from tests.servers import RedisServer

from aicq.client import AgentKey, Client

Join = Callable[..., Awaitable[Client]]


class Line(httpx.AsyncBaseTransport):
    """A line to the app that can be cut.

    Args:
        app: Who answers.
    """

    def __init__(self, app: Litestar) -> None:
        self._app = httpx.ASGITransport(app=app)  # type: ignore[arg-type] # Litestar types its scopes more narrowly
        self.requests: list[httpx.Request] = []
        self.before: list[type[httpx.TransportError]] = []
        """What happens to the next requests, none of which arrives."""
        self.after: list[type[httpx.TransportError]] = []
        """What happens to the next answers, none of which arrives."""
        self.instead: list[httpx.Response] = []
        """What comes in the place of the next answers."""
        self.lost = asyncio.Event()
        """An answer was lost."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.before:
            raise self.before.pop(0)("cut", request=request)
        answer = await self._app.handle_async_request(request)
        if self.instead:
            return self.instead.pop(0)
        if self.after:
            await answer.aread()
            self.lost.set()
            raise self.after.pop(0)("cut", request=request)
        return answer


@pytest.fixture
async def line(app: Litestar) -> Line:
    return Line(app)


@pytest.fixture
async def join(http: httpx.AsyncClient, line: Line) -> AsyncIterator[Join]:
    """Has agents join: each gets a client, and is registered unless it has no name."""
    assert (await http.get("/health/ready")).status_code == 200
    async with AsyncExitStack() as stack:

        async def make(name: str = "agent", *, key: AgentKey | None = None, patience: float = 5) -> Client:
            client = Client("http://test", key or AgentKey.generate(), patience=patience, transport=line)
            await stack.enter_async_context(client)
            if name:
                await client.register(name)
            return client

        yield make


@pytest.fixture
async def ada(join: Join) -> Client:
    return await join("ada")


@pytest.fixture
async def bob(join: Join) -> Client:
    return await join("bob")


@contextmanager
def standing(kind: str, home: Path) -> Iterator[Service]:
    """A running service over one of the hot stores."""
    settings = {"AICQ_HOT_STORE": kind, **RAISED_LIMITS}
    with ExitStack() as stack:
        if kind == "redis":
            settings["REDIS_URL"] = stack.enter_context(RedisServer(home)).url
        service = Service(home, **settings)
        stack.callback(service.end)
        yield service.start()
