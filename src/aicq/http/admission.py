"""Admission: who may go on, by blocks and limits, counted in one call to the hot store for all who wait together."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from litestar import Request

from aicq.batches import Batcher
from aicq.clock import now_ms
from aicq.errors import Blocked, HotStoreUnavailable, RateLimited, UnsupportedMediaType
from aicq.hot.base import Charge, HotStore, Quota, Verdict
from aicq.http.address import Addresses
from aicq.http.metrics import LIMITED
from aicq.origin import ActedAs, Origin
from aicq.settings import Settings

Gate = Callable[[Request[Any, Any, Any]], Coroutine[Any, Any, None]]
"""What a request passes before its body is decoded and its handler called: Litestar's `before_request`.

Guards would do, but Litestar copies the route handler for each of them on each request.
"""

BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})

JSON = "application/json"

MOST_EXHAUSTED = 10_000
"""Addresses remembered as exhausted before those whose time is over are dropped."""

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
            self._forget_exhausted()
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

    def _forget_exhausted(self) -> None:
        """Drops addresses that may come again, once there are many of them."""
        if len(self._exhausted) >= MOST_EXHAUSTED:
            now = asyncio.get_running_loop().time()
            self._exhausted = {address: until for address, until in self._exhausted.items() if until > now}

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


class Attempts:
    """What the address of a request has failed at, for those who check room keys.

    Args:
        admission: Counts.
        address: The address.
    """

    def __init__(self, admission: Admission, address: str) -> None:
        self._admission = admission
        self._address = address

    def check(self) -> None:
        """Raises RateLimited if there were too many."""
        self._admission.refuse_exhausted(self._address)

    async def failed(self) -> None:
        """Counts one more; raises RateLimited if that is too many."""
        await self._admission.charge_failure(self._address)


def attempts_of(request: Request[Any, Any, Any]) -> Attempts:
    """The attempts of a request's address."""
    admission = admission_of(request)
    return Attempts(admission, admission.addresses.of(request.scope))


def limited(rule: str) -> Gate:
    """A gate that counts the request under `rule`, by its address."""

    async def count(request: Request[Any, Any, Any]) -> None:
        check_content_type(request)
        admission = admission_of(request)
        await admission.admit(request, rule, subject=admission.addresses.of(request.scope))

    return count


def origin_of(request: Request[Any, Any, Any], acted_as: ActedAs, actor_id: UUID | None = None) -> Origin:
    """Who asks, and from where, for the audit log."""
    return Origin(
        acted_as,
        actor_id,
        address=admission_of(request).addresses.of(request.scope),
        user_agent=request.headers.get("user-agent"),
        request_id=str(request.scope.get("aicq.request_id", "")),
    )


def check_content_type(request: Request[Any, Any, Any]) -> None:
    """Refuses a body that does not say it is JSON.

    Raises:
        UnsupportedMediaType: There is a body to be read, of another type.
    """
    if request.method not in BODY_METHODS:
        return
    headers = request.headers
    if headers.get("content-length", "0") != "0" and not headers.get("content-type", "").lower().startswith(JSON):
        raise UnsupportedMediaType


def admission_of(request: Request[Any, Any, Any]) -> Admission:
    """The app's admission; gates cannot ask for dependencies."""
    admission: Admission = request.app.state["admission"]
    return admission


def _seconds(milliseconds: float) -> int:
    return max(1, -(-int(milliseconds) // 1000))
