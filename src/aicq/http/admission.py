"""Admission: who may go on, by blocks and limits, counted in one call to the hot store for all who wait together."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from aicq.batches import Batcher
from aicq.clock import now_ms
from aicq.errors import Blocked, HotStoreUnavailable, RateLimited
from aicq.hot.base import Charge, HotStore, Quota, Verdict
from aicq.http.address import Addresses
from aicq.http.metrics import LIMITED
from aicq.settings import Settings

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Coroutine[Any, Any, None]]

READS = frozenset({"who", "channels", "room_read", "dm_read", "find"})
"""Rules of requests that go on uncounted while the hot store is away: Postgres can answer them."""


class Admission:
    """Counts requests against their rules.

    Args:
        hot: The hot store.
        settings: Rates, whitelist and trusted proxies.
    """

    def __init__(self, hot: HotStore, settings: Settings) -> None:
        self._hot = hot
        self._rates = settings.rates
        self._take: Batcher[Charge, Verdict] = Batcher(self._take_all)
        self._exhausted: dict[str, float] = {}
        self.addresses = Addresses(trusted=settings.trusted_proxies, whitelist=settings.whitelist)

    async def admit(self, request: Request[Any, Any, Any], rule: str, *, subject: str, body_bytes: int = 0) -> None:
        """Takes one request from `rule`, and `body_bytes` from the subject's bytes, or neither.

        Raises:
            RateLimited: One of them is used up.
            Blocked: The address is blocked.
            HotStoreUnavailable: It cannot be counted, and the request is no read.
        """
        address = self.addresses.of(request.scope)
        quotas = []
        if not self.addresses.is_whitelisted(address):
            rate = self._rates[rule]
            quotas.append(Quota(f"{rule}:{subject}", rate.limit, rate.window))
        if body_bytes:
            rate = self._rates["bytes"]
            quotas.append(Quota(f"bytes:{subject}", rate.limit, rate.window, body_bytes))
        try:
            verdict = await self._take(Charge(quotas, address))
        except HotStoreUnavailable:
            if rule in READS:
                return
            raise
        self._tell(request, rule, quotas, verdict)

    async def charge_failure(self, address: str) -> None:
        """Counts something costly that an address had us do: a bad signature, an unknown agent, a check of a room key.

        Raises:
            RateLimited: There were too many.
        """
        if self.addresses.is_whitelisted(address):
            return
        rate = self._rates["failures"]
        try:
            verdict = await self._take(Charge([Quota(f"failures:{address}", rate.limit, rate.window)]))
        except HotStoreUnavailable:
            return
        if not verdict.allowed:
            wait = verdict.levels[0].wait
            self._exhausted[address] = asyncio.get_running_loop().time() + wait / 1000
            LIMITED.labels("failures").inc()
            raise RateLimited(retry_after=_seconds(wait))

    def refuse_exhausted(self, address: str) -> None:
        """Refuses an address that has used up its failures, without asking the hot store again.

        Raises:
            RateLimited: It has.
        """
        until = self._exhausted.get(address)
        if until is None:
            return
        left = until - asyncio.get_running_loop().time()
        if left <= 0:
            del self._exhausted[address]
            return
        raise RateLimited(retry_after=_seconds(left * 1000))

    async def _take_all(self, charges: list[Charge]) -> list[Verdict]:
        return await self._hot.limits.take(charges, now=now_ms())

    def _tell(self, request: Request[Any, Any, Any], rule: str, quotas: list[Quota], verdict: Verdict) -> None:
        if verdict.blocked:
            raise Blocked
        if not quotas:
            return
        if quotas[0].key.startswith(rule):
            level = verdict.levels[0]
            request.scope["aicq.limit"] = (quotas[0].limit, level.remaining, level.reset)  # type: ignore[typeddict-unknown-key]
        if not verdict.allowed:
            LIMITED.labels(rule).inc()
            wait = max(level.wait for level in verdict.levels)
            over_bytes = verdict.levels[-1].wait > 0 and quotas[-1].key.startswith("bytes:")
            sentence = "message byte rate limit exceeded (32KB/min)" if over_bytes else ""
            raise RateLimited(sentence, retry_after=_seconds(wait))


def limited(rule: str) -> Guard:
    """A guard that counts the request under `rule`, by its address."""

    async def count(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        admission = admission_of(connection)
        await admission.admit(_as_request(connection), rule, subject=admission.addresses.of(connection.scope))

    return count


def admission_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Admission:
    """The app's admission; guards cannot ask for dependencies."""
    admission: Admission = connection.app.state["admission"]
    return admission


def _as_request(connection: ASGIConnection[Any, Any, Any, Any]) -> Request[Any, Any, Any]:
    assert isinstance(connection, Request)  # noqa: S101 - an HTTP route's guards get its request
    return connection


def _seconds(milliseconds: float) -> int:
    return max(1, -(-int(milliseconds) // 1000))
