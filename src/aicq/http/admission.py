"""Admission: who may go on, by blocks and limits, counted in one call to the hot store for all who wait together."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn
from uuid import UUID

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection

from aicq.batches import Batcher
from aicq.clock import now_ms
from aicq.errors import Blocked, HotStoreUnavailable, RateLimited, UnsupportedMediaType
from aicq.hot.base import Charge, HotStore, Quota, Verdict
from aicq.http.address import Addresses, subject_of
from aicq.http.blocks import Blocks
from aicq.http.metrics import BLOCKED, DECIDED, LIMITED
from aicq.origin import ActedAs, Origin
from aicq.settings import DEFAULT_RATES, Rate, Settings

AnyConnection = ASGIConnection[Any, Any, Any, Any]
"""A request or a socket."""

Gate = Callable[[Request[Any, Any, Any]], Coroutine[Any, Any, None]]
"""What a request passes before its body is decoded and its handler called: Litestar's `before_request`.

Guards would do, but Litestar copies the route handler for each of them on each request.
"""

BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})

JSON = "application/json"

MOST_EXHAUSTED = 10_000
"""Addresses remembered as exhausted before those whose time is over are dropped."""

LOOK_AGAIN = 1.0
"""Seconds that an address is remembered as exhausted without asking whether its limit was reset."""

READS = frozenset({"who", "channels", "room_read", "dm_read", "find", "read"})
"""Rules of requests that go on uncounted while the hot store is away: Postgres can answer them."""


class Exhausted(msgspec.Struct, frozen=True):
    """An address that has used up its failures, in the event loop's time.

    Args:
        until: When it may come again.
        look_again: When to ask whether that still holds.
    """

    until: float
    look_again: float


class Admission:
    """Counts requests against their rules.

    Args:
        hot: The hot store.
        settings: Rates, whitelist and trusted proxies, and whether addresses are blocked automatically.
        blocks: Blocks them.
    """

    def __init__(self, hot: HotStore, settings: Settings, blocks: Blocks) -> None:
        self._hot = hot
        self._rates = settings.rates
        self._blocks = blocks if settings.auto_block_enabled else None
        self._take: Batcher[Charge, Verdict] = Batcher(self._take_all)
        self._exhausted: dict[str, Exhausted] = {}
        self.addresses = Addresses(trusted=settings.trusted_proxies, whitelist=settings.whitelist)

    async def admit(self, request: AnyConnection, rule: str, *, subject: str, body_bytes: int = 0) -> None:
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
            verdict = await self._take(Charge(quotas, subject_of(address)))
        except HotStoreUnavailable:
            if rule in READS:
                return
            raise
        refuse_blocked(verdict)
        if quotas and quotas[0].key.startswith(rule):
            level = verdict.levels[0]
            request.scope["aicq.limit"] = (quotas[0].limit, level.remaining, level.reset)  # type: ignore[typeddict-unknown-key]
        if not verdict.allowed:
            over_bytes = verdict.levels[-1].wait > 0 and quotas[-1].key.startswith("bytes:")
            sentence = bytes_sentence(self._rates["bytes"]) if over_bytes else ""
            await self._refuse(address, rule, max(level.wait for level in verdict.levels), sentence)

    async def charge_failure(self, address: str) -> None:
        """Counts something costly that an address had us do: a bad signature, an unknown agent, a check of a room key.

        Raises:
            RateLimited: There were too many.
            Blocked: The address is blocked.
        """
        if self.addresses.is_whitelisted(address):
            return
        try:
            verdict = await self._take(Charge([self._failures_of(address)], subject_of(address)))
        except HotStoreUnavailable:
            return
        refuse_blocked(verdict)
        if not verdict.allowed:
            wait = verdict.levels[0].wait
            self._remember_exhausted(address, wait)
            await self._refuse(address, "failures", wait)

    async def charge_account(self, address: str, account: str) -> None:
        """Counts a guess at an account's password, whatever address it comes from.

        Raises:
            RateLimited: There were too many since the last right one.
            Blocked: The address is blocked.
            HotStoreUnavailable: It cannot be counted.
        """
        verdict = await self._take(Charge([self._account(account)], subject_of(address)))
        refuse_blocked(verdict)
        if not verdict.allowed:
            await self._refuse(address, "account", verdict.levels[0].wait)

    async def forgive_account(self, account: str) -> None:
        """Forgets the guesses at an account's password, because one was right."""
        await self._hot.limits.reset([self._account(account).key])

    async def refuse_exhausted(self, address: str) -> None:
        """Refuses an address that has used up its failures, mostly without asking the hot store again.

        Raises:
            RateLimited: It has.
        """
        subject = subject_of(address)
        known = self._exhausted.get(subject)
        if known is None:
            return
        now = asyncio.get_running_loop().time()
        wait = (known.until - now) * 1000
        if wait > 0 and known.look_again <= now:
            wait = await self._look_again(address)
        if wait <= 0:
            self._exhausted.pop(subject, None)
            return
        await self._refuse(address, "failures", wait)

    async def _look_again(self, address: str) -> float:
        """How long an address has to wait still, by the hot store; its limit may have been reset meanwhile."""
        try:
            [level] = await self._hot.limits.peek([self._failures_of(address)], now=now_ms())
        except HotStoreUnavailable:
            return LOOK_AGAIN * 1000
        self._remember_exhausted(address, level.wait)
        return level.wait

    def _remember_exhausted(self, address: str, wait: int) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._exhausted) >= MOST_EXHAUSTED:
            self._exhausted = {subject: known for subject, known in self._exhausted.items() if known.until > now}
        self._exhausted[subject_of(address)] = Exhausted(until=now + wait / 1000, look_again=now + LOOK_AGAIN)

    def _account(self, account: str) -> Quota:
        rate = self._rates["account"]
        return Quota(f"account:{account}", rate.limit, rate.window)

    def _failures_of(self, address: str) -> Quota:
        rate = self._rates["failures"]
        return Quota(f"failures:{subject_of(address)}", rate.limit, rate.window)

    async def _refuse(self, address: str, rule: str, wait: float, sentence: str = "") -> NoReturn:
        """Refuses a request under a limit, and counts that against its address."""
        LIMITED.labels(rule).inc()
        if self._blocks is not None and not self.addresses.is_spared(address):
            await self._blocks.note(subject_of(address))
        raise RateLimited(sentence, retry_after=_seconds(wait))

    async def _take_all(self, charges: list[Charge]) -> list[Verdict]:
        verdicts = await self._hot.limits.take(charges, now=now_ms())
        allowed = sum(verdict.allowed for verdict in verdicts)
        DECIDED.labels("allowed").inc(allowed)
        DECIDED.labels("refused").inc(len(verdicts) - allowed)
        return verdicts


class Attempts:
    """What the address of a request has failed at, for those who check room keys.

    Args:
        admission: Counts.
        address: The address.
    """

    def __init__(self, admission: Admission, address: str) -> None:
        self._admission = admission
        self._address = address

    async def check(self) -> None:
        """Raises RateLimited if there were too many."""
        await self._admission.refuse_exhausted(self._address)

    async def failed(self) -> None:
        """Counts one more; raises RateLimited if that is too many."""
        await self._admission.charge_failure(self._address)


class AccountGuesses:
    """Guesses at accounts' passwords, for those who check them.

    Args:
        admission: Counts.
        address: Where they come from.
    """

    def __init__(self, admission: Admission, address: str) -> None:
        self._admission = admission
        self._address = address

    async def take(self, account: str) -> None:
        """Counts one; raises RateLimited if there were too many."""
        await self._admission.charge_account(self._address, account)

    async def forgive(self, account: str) -> None:
        """Forgets them, because one was right."""
        await self._admission.forgive_account(account)


def guesses_of(request: Request[Any, Any, Any]) -> AccountGuesses:
    """The guesses of a request's address."""
    admission = admission_of(request)
    return AccountGuesses(admission, admission.addresses.of(request.scope))


def attempts_of(request: Request[Any, Any, Any]) -> Attempts:
    """The attempts of a request's address."""
    admission = admission_of(request)
    return Attempts(admission, admission.addresses.of(request.scope))


def limited(rule: str) -> Gate:
    """A gate that counts the request under `rule`, by its address."""

    async def count(request: Request[Any, Any, Any]) -> None:
        check_content_type(request)
        admission = admission_of(request)
        await admission.admit(request, rule, subject=subject_of(admission.addresses.of(request.scope)))

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


def admission_of(request: AnyConnection) -> Admission:
    """The app's admission; gates cannot ask for dependencies."""
    admission: Admission = request.app.state["admission"]
    return admission


def refuse_blocked(verdict: Verdict) -> None:
    """Refuses what comes from a blocked address."""
    if verdict.blocked:
        BLOCKED.inc()
        raise Blocked


def bytes_sentence(rate: Rate) -> str:
    """What is said of too many bytes; the protocol's own sentence for the protocol's own limit."""
    if rate == DEFAULT_RATES["bytes"]:
        return "message byte rate limit exceeded (32KB/min)"
    return f"message byte rate limit exceeded ({rate.limit} bytes in {rate.window // 1000} s)"


def _seconds(milliseconds: float) -> int:
    return max(1, -(-int(milliseconds) // 1000))
