"""The hot store in Postgres: UNLOGGED tables, and functions where one round trip replaces many.

The tables and functions are made by migrations 0003 and 0009, the queries stand in `queries.sql`. A crash of the server
empties the tables; the mark of the epoch is one of them, so the loss is noticed by the next call.
"""

# ruff: noqa: D102 - the interface says what each method does

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import asyncpg

from aicq.errors import HotStoreUnavailable
from aicq.hot.base import (
    Charge,
    HotBlock,
    HotStore,
    Level,
    Limits,
    Locks,
    Member,
    Members,
    Probe,
    Quota,
    Values,
    Verdict,
)
from aicq.hot.postgres_bus import PostgresBus
from aicq.hot.postgres_client import Database
from aicq.hot.postgres_messages import PostgresMessages

if TYPE_CHECKING:
    from aicq.hot.postgres_client import Pool

SWEEP_EVERY = 1000
"""Milliseconds between two sweeps of limits and values."""

SWEPT_AT_ONCE = 500
"""Rows of a kind that one statement sweeps, so that nobody waits for long."""


class PostgresLimits(Limits):
    """Sliding windows: one row for what a call took from a key.

    Args:
        database: Makes the calls.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._swept_at = 0
        self._sweeping: asyncio.Task[None] | None = None

    async def take(self, charges: Sequence[Charge], *, now: int) -> list[Verdict]:
        keys: dict[str, int] = {}
        windows, ends, numbers, limits, costs = [], [], [], [], []
        for charge in charges:
            for quota in charge.quotas:
                number = keys.get(quota.key)
                if number is None:
                    number = keys[quota.key] = len(keys) + 1
                    windows.append(quota.window)
                numbers.append(number)
                limits.append(quota.limit)
                costs.append(quota.cost)
            ends.append(len(numbers))
        addresses = [charge.address for charge in charges]
        [row] = await self._database.rows("take", now, list(keys), windows, addresses, ends, numbers, limits, costs)
        if self._sweeping is None and not 0 <= now - self._swept_at < SWEEP_EVERY:
            self._sweeping = asyncio.create_task(self._sweep(now))
        return _verdicts(charges, row)

    async def peek(self, quotas: Sequence[Quota], *, now: int) -> list[Level]:
        rows = await self._database.rows(
            "peek",
            now,
            [quota.key for quota in quotas],
            [quota.limit for quota in quotas],
            [quota.window for quota in quotas],
            [quota.cost for quota in quotas],
        )
        return [Level(*row) for row in rows]

    async def reset(self, keys: Collection[str]) -> None:
        await self._database.rows("reset", list(keys))

    async def block(self, blocks: Sequence[HotBlock]) -> None:
        last = {each.address: each for each in blocks}
        in_order = [last[address] for address in sorted(last)]
        await self._database.rows(
            "block",
            [each.address for each in in_order],
            [each.until for each in in_order],
            [each.reason for each in in_order],
        )

    async def unblock(self, address: str) -> None:
        await self._database.rows("unblock", address)

    async def close(self) -> None:
        """Waits for what is being swept."""
        if self._sweeping is not None:
            await self._sweeping

    async def _sweep(self, now: int) -> None:
        """Sweeps limits and values now and then; every request comes by `take`, so nothing else has to start it."""
        try:
            while await self._database.value("sweep", now, SWEPT_AT_ONCE) == SWEPT_AT_ONCE:
                pass
        except HotStoreUnavailable:
            pass  # whoever needs the store will tell
        finally:
            self._swept_at = now
            self._sweeping = None


def _verdicts(charges: Sequence[Charge], row: asyncpg.Record) -> list[Verdict]:
    allowed, blocked, remaining, reset, wait = row
    levels = map(Level, remaining or (), reset or (), wait or ())
    verdicts = []
    for charge, is_allowed, is_blocked in zip(charges, allowed or (), blocked or (), strict=True):
        own = [next(levels) for _ in charge.quotas]
        verdicts.append(Verdict(is_allowed, is_blocked, [] if is_blocked else own))
    return verdicts


class PostgresValues(Values):
    """Short-lived values by key.

    Args:
        database: Makes the calls.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, key: str, value: bytes, *, expires: int) -> None:
        await self._database.rows("value_set", key, value, expires)

    async def get(self, key: str, *, now: int) -> bytes | None:
        value: bytes | None = await self._database.value("value_get", key, now)
        return value

    async def add(self, key: str, value: bytes, *, expires: int, now: int) -> bool:
        return bool(await self._database.value("value_add", key, value, expires, now))

    async def take(self, key: str, *, now: int) -> bytes | None:
        value: bytes | None = await self._database.value("value_take", key, now)
        return value

    async def refresh(self, key: str, *, expires: int, now: int) -> bool:
        return bool(await self._database.value("value_refresh", key, expires, now))

    async def delete(self, keys: Collection[str]) -> int:
        count: int = await self._database.value("value_delete", list(keys))
        return count

    async def keys(self, prefix: str, *, now: int) -> list[str]:
        return [key for (key,) in await self._database.rows("value_keys", prefix, _beyond(prefix), now)]

    async def clear(self, prefix: str) -> int:
        cleared = 0
        while count := await self._database.value("value_clear", prefix, _beyond(prefix)):
            cleared += count
        return cleared


def _beyond(prefix: str) -> str:
    """A bound above every key that begins with `prefix`: no text has this character, which Unicode gave no meaning."""
    return prefix + "\U0010ffff"


class PostgresMembers(Members):
    """Sets whose members expire.

    Args:
        database: Makes the calls.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, members: Sequence[Member], *, now: int) -> None:  # noqa: ARG002 - hot_sweep removes what expired
        last = {(member.key, member.name): member.expires for member in members}
        await self._database.rows(
            "members_add", [key for key, _ in last], [name for _, name in last], list(last.values())
        )

    async def join(self, members: Sequence[Member], *, most: int, now: int) -> list[bool]:
        keys, names = [member.key for member in members], [member.name for member in members]
        expiries = [member.expires for member in members]
        joined: list[bool] = await self._database.value("members_join", keys, names, expiries, most, now)
        return joined

    async def remove(self, members: Collection[tuple[str, str]]) -> None:
        await self._database.rows("members_remove", [key for key, _ in members], [name for _, name in members])

    async def expiries(self, keys: Sequence[str], *, now: int) -> list[dict[str, int]]:
        rows = await self._database.rows("members_expiries", list(keys), now)
        return [dict(zip(names, expiries, strict=True)) for names, expiries in rows]

    async def count(self, keys: Sequence[str], *, now: int) -> list[int]:
        return [row[0] for row in await self._database.rows("members_count", list(keys), now)]


class PostgresLocks(Locks):
    """Leases by name.

    Args:
        database: Makes the calls.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(self, name: str, owner: str, *, expires: int, now: int) -> bool:
        return bool(await self._database.value("lock_acquire", name, owner, expires, now))

    async def extend(self, name: str, owner: str, *, expires: int, now: int) -> bool:
        return bool(await self._database.value("lock_extend", name, owner, expires, now))

    async def release(self, name: str, owner: str) -> bool:
        return bool(await self._database.value("lock_release", name, owner))


class PostgresHotStore(HotStore):
    """The hot store in Postgres.

    Args:
        pool: Postgres; owned and closed by the caller.
        listen_dsn: Where the bus' listeners connect to, each with a connection of its own.
    """

    kind = "postgres"
    limits: PostgresLimits

    def __init__(self, pool: "Pool", listen_dsn: str) -> None:
        self._database = Database(pool)
        self.messages = PostgresMessages(self._database, lambda: self.epoch)
        self.limits = PostgresLimits(self._database)
        self.values = PostgresValues(self._database)
        self.members = PostgresMembers(self._database)
        self.locks = PostgresLocks(self._database)
        self.bus = PostgresBus(self._database, listen_dsn)

    async def open(self) -> None:
        await self.probe()

    async def close(self) -> None:
        """Ends what runs in the background; the pool is the caller's, and listeners end with their contexts."""
        await self.limits.close()

    async def begin(self, epoch: int) -> None:
        await self._database.begin(epoch)

    async def probe(self) -> Probe:
        started = time.perf_counter()
        [(version, epoch)] = await self._database.rows("probe")
        return Probe((time.perf_counter() - started) * 1000, f"postgres {version.split()[0]}", epoch)
