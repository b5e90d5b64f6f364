"""A cache for what is costly to find out and may be a little old. Values are JSON of a known type, never pickled."""

import functools
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

import msgspec

from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable
from aicq.hot.base import HotStore

Value = TypeVar("Value")
Arguments = ParamSpec("Arguments")

LIFETIME = 3_600_000
"""How long a value is kept unless told otherwise, in milliseconds."""


class Cache:
    """Values by key, under `cache:`.

    Args:
        hot: Where they are kept.
    """

    def __init__(self, hot: HotStore) -> None:
        self._values = hot.values

    async def get(self, key: str, kind: type[Value], *, now: int) -> Value | None:
        """The value, or None if there is none, or none of that type."""
        held = await self._values.get(f"cache:{key}", now=now)
        if held is None:
            return None
        try:
            return msgspec.json.decode(held, type=kind)
        except msgspec.DecodeError:
            return None

    async def set(self, key: str, value: object, *, now: int, ttl: int = LIFETIME) -> None:
        """Keeps a value for `ttl` milliseconds."""
        await self._values.set(f"cache:{key}", msgspec.json.encode(value), expires=now + ttl)

    async def delete(self, key: str) -> None:
        """Forgets a value."""
        await self._values.delete([f"cache:{key}"])

    async def clear(self, prefix: str) -> int:
        """Forgets all values whose keys begin with `prefix`, without blocking the server, and returns how many."""
        return await self._values.clear(f"cache:{prefix}")

    def cached(
        self, prefix: str, kind: type[Value], *, ttl: int = LIFETIME, clock: Callable[[], int] = now_ms
    ) -> Callable[[Callable[Arguments, Awaitable[Value]]], Callable[Arguments, Awaitable[Value]]]:
        """Has a function's answers kept, by its arguments. Where the hot store is away the function is called.

        Args:
            prefix: What the keys begin with; `clear(prefix)` forgets them.
            kind: What the function returns.
            ttl: Milliseconds.
            clock: Tells the time.
        """

        def decorate(function: Callable[Arguments, Awaitable[Value]]) -> Callable[Arguments, Awaitable[Value]]:
            @functools.wraps(function)
            async def cached(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
                told = msgspec.json.encode([args, sorted(kwargs.items())])
                key = f"{prefix}:{hashlib.sha256(told).hexdigest()}"
                with suppress(HotStoreUnavailable):
                    held = await self.get(key, kind, now=clock())
                    if held is not None:
                        return held
                found = await function(*args, **kwargs)
                with suppress(HotStoreUnavailable):
                    await self.set(key, found, now=clock(), ttl=ttl)
                return found

            return cached

        return decorate
