"""What limits have counted, and forgetting it."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.errors import InvalidRequest, NotFound
from aicq.hot.base import Charge, HotStore, Level, Quota
from aicq.http.address import counted_in
from aicq.http.blocks import refusals_of
from aicq.operations.schemas import LimitLevel, LimitLevels
from aicq.origin import Origin
from aicq.settings import Rate

REFUSALS = "refusals"
"""What an address collects before it is blocked; listed like a rule, though nobody sets it."""


class LimitDesk:
    """Tells what limits have counted of a subject, and has them forget it.

    Args:
        hot: The hot store.
        rates: The limit of each rule.
    """

    def __init__(self, hot: HotStore, rates: Mapping[str, Rate]) -> None:
        self._hot = hot
        self._rates = rates

    async def levels(self, subject: str, rule: str, *, now: int) -> LimitLevels:
        """How much a subject has used of a rule, or of all.

        Raises:
            NotFound: There is no such rule.
            HotStoreUnavailable: Nothing can be told.
        """
        quotas = self._quotas(subject, rule)
        levels = await self._hot.limits.peek(list(quotas.values()), now=now)
        [verdict] = await self._hot.limits.take([Charge([], subject)], now=now)
        return LimitLevels(
            subject,
            verdict.blocked,
            [told(each, quota, level) for (each, quota), level in zip(quotas.items(), levels, strict=True)],
        )

    async def reset(self, session: AsyncSession, origin: Origin, subject: str, rule: str) -> None:
        """Forgets what a subject has used of a rule, or of all; a block stays.

        Raises:
            NotFound: There is no such rule.
            HotStoreUnavailable: Nothing was forgotten.
        """
        quotas = self._quotas(subject, rule)
        await record(session, origin, "limits.reset", resource="limits", key=(rule or "*", subject))
        await self._hot.limits.reset([quota.key for quota in quotas.values()])

    def _quotas(self, subject: str, rule: str) -> dict[str, Quota]:
        quotas = {each: Quota(f"{each}:{subject}", rate.limit, rate.window) for each, rate in self._rates.items()}
        quotas[REFUSALS] = refusals_of(subject)
        if rule and rule not in quotas:
            raise NotFound(f"there is no such rule; the rules are {', '.join(quotas)}")
        return {rule: quotas[rule]} if rule else quotas


def told(rule: str, quota: Quota, level: Level) -> LimitLevel:
    """A level as operators are told."""
    return LimitLevel(
        rule=rule,
        limit=quota.limit,
        window_seconds=quota.window // 1000,
        used=max(0, quota.limit - level.remaining),
        remaining=level.remaining,
        reset=-(-level.reset // 1000),
    )


def read_subject(text: str) -> str:
    """Who is counted, as limits spell it: an actor's id or an address.

    Raises:
        InvalidRequest: It is neither.
    """
    try:
        return str(UUID(text))
    except ValueError:
        subject = counted_in(text)
    if subject is None:
        raise InvalidRequest("subject must be an actor's id, an address, or a /64 network of IPv6", field="subject")
    return subject
