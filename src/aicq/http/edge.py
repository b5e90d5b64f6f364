"""The edge: every request gets an id, every response its headers, every pair one log line and its metrics."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, cast

import structlog
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.plugins import InitPlugin
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from aicq.http.metrics import DURATION, REQUESTS
from aicq.http.problems import EXCEPTION_HANDLERS
from aicq.logs import write_access

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"1; mode=block"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
]
NO_CONTENT_POLICY = (b"content-security-policy", b"default-src 'none'")

CORS = CORSConfig(
    allow_origins=["*"],
    allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    allow_headers=[
        "Accept",
        "Authorization",
        "Content-Type",
        "If-Match",
        "X-AICQ-Agent",
        "X-AICQ-Nonce",
        "X-AICQ-Timestamp",
        "X-AICQ-Signature",
        "X-AICQ-Room-Key",
    ],
    expose_headers=[
        "ETag",
        "Link",
        "Location",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "Retry-After",
    ],
    max_age=300,
)


BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})

BODY_TIMEOUT = 15.0
"""Seconds that a caller may take for the next part of a request's body."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Edge:
    """The outermost layer around the app, so that unknown routes and errors get the same treatment."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._bodies = Bodies()
        self._writes_lines = structlog.get_logger().is_enabled_for(logging.INFO)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = f"{random.getrandbits(64):016x}"
        scope["aicq.request_id"] = request_id  # type: ignore[typeddict-unknown-key]
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *SECURITY_HEADERS, (b"x-request-id", request_id.encode())]
                if not any(name == b"content-security-policy" for name, _ in headers):
                    headers.append(NO_CONTENT_POLICY)
                headers.extend(limit_headers(scope))
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, self._bodies.in_time(receive) if has_body(scope) else receive, send_with_headers)
        finally:
            self._record(scope, status, request_id, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, request_id: str, seconds: float) -> None:
        # The template, not the path: paths hold ids, which would make a new time series for each.
        route = str(scope.get("path_template") or "unmatched")
        method = str(scope["method"])  # type: ignore[typeddict-item]
        # Callers may make methods up, which would make new time series as well.
        count, duration = meters(method if method in METHODS else "other", route, status)
        count.inc()
        duration.observe(seconds)
        if self._writes_lines:
            user = scope.get("user")
            agent = str(user.id) if user is not None and user.id is not None else ""
            write_access(
                request_id=request_id,
                method=method,
                path=scope["path"],
                status=status,
                ms=round(seconds * 1000, 2),
                agent=agent,
            )


def has_body(scope: Scope) -> bool:
    """Whether a request announces a body."""
    return any(name in BODY_HEADERS for name, _ in scope["headers"])


class Bodies:
    """The bodies that are waited for.

    Who stops amid one counts as gone, so that stalled bodies cannot fill a worker. One look at all of them now and then
    ends those that are late: a timer for each costs more than all else that the edge does.
    """

    def __init__(self) -> None:
        self._awaited: dict[asyncio.Task[Any], float] = {}
        self._next_look: asyncio.TimerHandle | None = None

    def in_time(self, receive: Receive) -> Receive:
        """The same, but that a caller is told to be gone who takes too long for the next part of a body.

        When the body is there, only the caller's leaving is waited for, and that may take as long as it likes.
        """
        is_whole = False

        async def receive_in_time() -> Any:
            nonlocal is_whole
            if is_whole:
                return await receive()
            task = cast("asyncio.Task[Any]", asyncio.current_task())
            self._awaited[task] = time.monotonic()
            if self._next_look is None:
                self._look_in(BODY_TIMEOUT)
            try:
                message: Any = await receive()
            except asyncio.CancelledError:
                if task in self._awaited or task.uncancel():
                    raise  # somebody else has ended it
                return {"type": "http.disconnect"}
            finally:
                self._awaited.pop(task, None)
            is_whole = not message.get("more_body")
            return message

        return receive_in_time

    def _look_in(self, seconds: float) -> None:
        self._next_look = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._next_look = None
        late = time.monotonic() - BODY_TIMEOUT
        for task in [task for task, since in self._awaited.items() if since <= late]:
            del self._awaited[task]
            task.cancel()
        if self._awaited:
            self._look_in(next(iter(self._awaited.values())) - late)


@lru_cache(maxsize=1024)
def meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The metrics of one kind of answer; finding them by their labels costs more than counting."""
    return REQUESTS.labels(method, route, status), DURATION.labels(method, route)


def limit_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers that tell how much of a limit is left; the reset is in Unix seconds."""
    told = scope.get("aicq.limit")
    if told is None:
        return []
    limit, remaining, reset = cast("tuple[int, int, int]", told)
    return [
        (b"x-ratelimit-limit", b"%d" % limit),
        (b"x-ratelimit-remaining", b"%d" % remaining),
        (b"x-ratelimit-reset", b"%d" % -(-reset // 1000)),
    ]


class EdgePlugin(InitPlugin):
    """Puts the edge around the app, with CORS and problem details."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds CORS, the error handlers, and the edge once the app stands."""
        app_config.cors_config = CORS
        app_config.exception_handlers = {**EXCEPTION_HANDLERS, **app_config.exception_handlers}
        app_config.lifespan.append(_edge_around)
        return app_config


@asynccontextmanager
async def _edge_around(app: Litestar) -> AsyncIterator[None]:
    # Litestar's middleware runs for matched routes only; wrapped here, the edge sees every request.
    inner = app.asgi_handler
    app.asgi_handler = Edge(inner)
    try:
        yield
    finally:
        app.asgi_handler = inner
