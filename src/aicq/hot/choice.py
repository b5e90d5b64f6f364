"""Which hot store it is to be. `aicq serve` chooses once, for all its workers; an app that is started alone chooses."""

from typing import Literal

import msgspec

from aicq.errors import HotStoreUnavailable, StartError
from aicq.hot.redis import RedisHotStore
from aicq.settings import Settings

PATIENCE = 3.0
"""Seconds that Redis gets to answer; a slow start is no reason to do without it."""

DEGRADED = "Redis did not answer at the start; the hot store is in Postgres."


class Choice(msgspec.Struct, frozen=True):
    """A hot store.

    Args:
        kind: Which.
        degraded: Why it is not the one that was asked for; empty if it is.
    """

    kind: Literal["redis", "postgres"]
    degraded: str = ""


async def choose(settings: Settings) -> Choice:
    """Chooses by the settings and by what answers, unless it was chosen already.

    Raises:
        StartError: Redis is demanded, and is not set or does not answer.
    """
    wanted, url = settings.hot_store, settings.redis_url
    if wanted == "redis" and url is None:
        raise StartError("AICQ_HOT_STORE is redis, but REDIS_URL is not set.")
    if wanted == "postgres" or url is None:
        return Choice("postgres")
    if settings.hot_store_chosen:
        is_degraded = settings.hot_store_chosen == "postgres"
        return Choice(settings.hot_store_chosen, DEGRADED if is_degraded else "")
    redis = RedisHotStore(url, timeout=PATIENCE)
    try:
        await redis.open()
    except HotStoreUnavailable:
        if wanted == "redis":
            raise StartError("Redis does not answer at REDIS_URL, and AICQ_HOT_STORE is redis.") from None
        return Choice("postgres", DEGRADED)
    finally:
        await redis.close()
    return Choice("redis")
