"""Leases with fencing tokens: what only one may do at a time, and a number by which others can tell who is late.

A lease lives in the hot store, which may lose it, and its holder may be paused for longer than it lasts. So it comes
with a token from a logged sequence in Postgres. Tokens grow in the order in which leases were had: the token is drawn
while the lease is held, and the lease is handed out only if it is still held then. Whoever is acted upon refuses a
token that is lower than one it has seen.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from aicq.clock import now_ms
from aicq.db.engine import fetch
from aicq.errors import LeaseTaken
from aicq.hot.base import HotStore

LEASE = 30_000
"""How long a lease lasts unless told otherwise, in milliseconds."""

NEXT_TOKEN = "SELECT nextval('lock_tokens')"  # noqa: S105 - no secret


class Lease(msgspec.Struct, frozen=True):
    """A lease that was had.

    Args:
        name: What it is for.
        owner: Its holder, a random name.
        token: Higher than that of every lease that anybody had before.
        expires: Until when, exclusive, in Unix milliseconds.
    """

    name: str
    owner: str
    token: int
    expires: int


class Leases:
    """Hands out leases.

    Args:
        hot: Where they live.
        pool: Where tokens come from.
    """

    def __init__(self, hot: HotStore, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._hot = hot
        self._pool = pool

    async def acquire(self, name: str, *, now: int, ttl: int = LEASE) -> Lease | None:
        """Takes a lease, or None if somebody has it."""
        owner, expires = secrets.token_hex(16), now + ttl
        if not await self._hot.locks.acquire(name, owner, expires=expires, now=now):
            return None
        [(token,)] = await fetch(self._pool, NEXT_TOKEN)
        if not await self._hot.locks.extend(name, owner, expires=expires, now=now):
            return None
        return Lease(name, owner, token, expires)

    async def extend(self, lease: Lease, *, now: int, ttl: int = LEASE) -> Lease | None:
        """The same lease for longer, or None if it was lost."""
        extended = msgspec.structs.replace(lease, expires=now + ttl)
        if await self._hot.locks.extend(lease.name, lease.owner, expires=extended.expires, now=now):
            return extended
        return None

    async def release(self, lease: Lease) -> bool:
        """Ends a lease; False if it was lost before."""
        return await self._hot.locks.release(lease.name, lease.owner)

    @asynccontextmanager
    async def held(self, name: str, *, ttl: int = LEASE) -> AsyncIterator[Lease]:
        """Holds a lease while the context is open.

        Raises:
            LeaseTaken: Somebody else has it.
        """
        lease = await self.acquire(name, now=now_ms(), ttl=ttl)
        if lease is None:
            raise LeaseTaken
        try:
            yield lease
        finally:
            await self.release(lease)
