"""The hot store as Litestar's own `Store`, so that its parts keep nothing to one process.

Entries of a store stand under `store:{name}:`, each with the time at which it expires before its value.
"""

from datetime import timedelta

from litestar.stores.base import Store

from aicq.clock import now_ms
from aicq.hot.base import HotStore

FOREVER = 10 * 366 * 86_400_000
"""How long an entry without an expiry is kept, in milliseconds: as long as the hot store itself, at the most."""


class LitestarStore(Store):
    """A namespace of the hot store.

    Args:
        hot: The hot store.
        name: The namespace.
    """

    def __init__(self, hot: HotStore, name: str) -> None:
        self._values = hot.values
        self._prefix = f"store:{name}:"

    async def set(self, key: str, value: str | bytes, expires_in: int | timedelta | None = None) -> None:
        """Stores a value, for so many seconds or for good."""
        raw = value.encode() if isinstance(value, str) else value
        expires = _expiry(expires_in)
        await self._values.set(self._prefix + key, b"%d:%b" % (expires or 0, raw), expires=expires or _last())

    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        """The value, whose expiry is moved if it has one and `renew_for` is given."""
        held = await self._held(key)
        if held is None:
            return None
        expires, value = held
        if renew_for and expires:
            await self.set(key, value, renew_for)
        return value

    async def delete(self, key: str) -> None:
        """Removes a value, if there is one."""
        await self._values.delete([self._prefix + key])

    async def delete_all(self) -> None:
        """Removes all values of the namespace."""
        await self._values.clear(self._prefix)

    async def exists(self, key: str) -> bool:
        """Whether there is a value."""
        return await self._held(key) is not None

    async def expires_in(self, key: str) -> int | None:
        """Seconds until the value expires; -1 if it never does, None if there is none."""
        held = await self._held(key)
        if held is None:
            return None
        return max(0, (held[0] - now_ms()) // 1000) if held[0] else -1

    async def _held(self, key: str) -> tuple[int, bytes] | None:
        held = await self._values.get(self._prefix + key, now=now_ms())
        if held is None:
            return None
        expires, _, value = held.partition(b":")
        return int(expires), value


def _expiry(expires_in: int | timedelta | None) -> int | None:
    if expires_in is None:
        return None
    seconds = expires_in.total_seconds() if isinstance(expires_in, timedelta) else expires_in
    return now_ms() + int(seconds * 1000)


def _last() -> int:
    return now_ms() + FOREVER
