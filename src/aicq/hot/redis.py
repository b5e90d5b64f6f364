"""The hot store in Redis or Valkey, 6.2 or newer.

Messages, limits and values are changed by Lua scripts, one call per batch; each script's header shows its keys, and
`names.py` builds them all. Whether the store still holds what it is believed to hold is asked with every call of
`messages`: the key `epoch` names the epoch and the run of the server that began it. A server that lost its data has no
such key, and one that was restarted, from a snapshot however fresh, has that of another run.
"""

# ruff: noqa: D102 - what the methods promise stands in hot/base.py

import time
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from aicq.hot import keys as names
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
from aicq.hot.redis_bus import RedisBus
from aicq.hot.redis_client import RedisClient, Script
from aicq.hot.redis_messages import RedisMessages

TIMEOUT = 0.25
"""Seconds; a server that needs longer holds up every post, and the log can do its part."""

CHUNK = 500
"""Keys that one call walks, so that the server is never blocked for long."""

LEEWAY = 3_600_000
"""Milliseconds that a value stays after its expiry, unseen: times are passed in and need not be the server's."""

LONGEST_TTL = 10 * 366 * 24 * 3_600_000

_LIMITS = Script("limits")
_BLOCK = Script("limits_block")
_VALUES = Script("values")
_MEMBERS = Script("members")
_LOCKS = Script("locks")


class RedisHotStore(HotStore):
    """The hot store in Redis.

    Args:
        url: `redis://…`, `rediss://…` or `unix://…`.
        timeout: Seconds that a call may take, connecting included.
    """

    kind = "redis"

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        self._client = RedisClient(url, timeout=timeout)
        self.messages = RedisMessages(self._client, lambda: self.epoch)
        self.limits = RedisLimits(self._client)
        self.values = RedisValues(self._client)
        self.members = RedisMembers(self._client)
        self.locks = RedisLocks(self._client)
        self.bus = RedisBus(self._client)

    async def open(self) -> None:
        await self._client.server()

    async def close(self) -> None:
        await self._client.close()

    async def begin(self, epoch: int) -> None:
        # Without the mark every call answers `HotStoreStale`, so nothing is added while the keys go.
        await self._client.call("DEL", names.EPOCH)
        for pattern in names.OF_MESSAGES:
            await self._drop(pattern)
        server = await self._client.server()
        await self._client.call("SET", names.EPOCH, f"{epoch}:{server.run_id}")

    async def probe(self) -> Probe:
        started = time.perf_counter()
        server = await self._client.server()
        latency = (time.perf_counter() - started) * 1000
        mark = await self._client.call("GET", names.EPOCH)
        epoch, _, run_id = (mark or b"").decode().partition(":")
        return Probe(latency, server.version, int(epoch) if epoch and run_id == server.run_id else None)

    async def _drop(self, pattern: str) -> None:
        cursor = b"0"
        while True:
            cursor, found = await self._client.call("SCAN", cursor, "MATCH", pattern, "COUNT", CHUNK)
            if found:
                await self._client.call("UNLINK", *found)
            if cursor == b"0":
                return


class RedisLimits(Limits):
    """Sliding windows, counted in one script call per batch."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def take(self, charges: Sequence[Charge], *, now: int) -> list[Verdict]:
        packed = [
            [names.block(charge.address) if charge.address else "", *map(_packed, charge.quotas)] for charge in charges
        ]
        return [_verdict(answer) for answer in await self._decide("take", packed, now)]

    async def peek(self, quotas: Sequence[Quota], *, now: int) -> list[Level]:
        # Each is a charge of its own, so that one that is full tells nothing about the next.
        answers = await self._decide("peek", [["", _packed(quota)] for quota in quotas], now)
        return [_level(answer, 1) for answer in answers]

    async def reset(self, keys: Collection[str]) -> None:
        if keys:
            await self._client.call("UNLINK", *map(names.limit, keys))

    async def block(self, blocks: Sequence[HotBlock]) -> None:
        for start in range(0, len(blocks), CHUNK):
            arguments: list[str | int] = []
            for each in blocks[start : start + CHUNK]:
                arguments += [names.block(each.address), f"{each.until}:{each.reason}", _ttl(each.until)]
            await self._client.run(_BLOCK, *arguments, key=names.EPOCH)

    async def unblock(self, address: str) -> None:
        await self._client.call("DEL", names.block(address))

    async def _decide(self, verb: str, charges: Sequence[Sequence[object]], now: int) -> list[Any]:
        if not charges:
            return []
        payload = msgspec.msgpack.encode(charges)
        answers: list[Any] = await self._client.run(_LIMITS, now, payload, verb, key=names.EPOCH)
        return answers


def _packed(quota: Quota) -> tuple[str, int, int, int]:
    return names.limit(quota.key), quota.limit, quota.window, quota.cost


def _verdict(answer: Any) -> Verdict:
    if answer == b"blocked":
        return Verdict(allowed=False, blocked=True, levels=[])
    levels = [_level(answer, at) for at in range(1, len(answer), 3)]
    return Verdict(allowed=answer[0] == 1, blocked=False, levels=levels)


def _level(answer: list[int], at: int) -> Level:
    return Level(remaining=answer[at], reset=answer[at + 1], wait=answer[at + 2])


class RedisValues(Values):
    """Short-lived values, each under its own key; one sorted set of all keys serves `keys` and `clear`."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def set(self, key: str, value: bytes, *, expires: int) -> None:
        await self._run("set", "", names.value(key), _stored(value, expires), _ttl(expires))

    async def get(self, key: str, *, now: int) -> bytes | None:
        return _value(await self._client.call("GET", names.value(key)), now)

    async def add(self, key: str, value: bytes, *, expires: int, now: int) -> bool:
        return bool(await self._run("add", now, names.value(key), _stored(value, expires), _ttl(expires)))

    async def take(self, key: str, *, now: int) -> bytes | None:
        return _value(await self._run("take", now, names.value(key)), now)

    async def refresh(self, key: str, *, expires: int, now: int) -> bool:
        return bool(await self._run("refresh", now, names.value(key), expires, _ttl(expires)))

    async def delete(self, keys: Collection[str]) -> int:
        return int(await self._run("delete", "", *map(names.value, keys))) if keys else 0

    async def keys(self, prefix: str, *, now: int) -> list[str]:
        found: list[bytes] = []
        after = b""
        while True:
            after, *chunk = await self._run("keys", now, names.value(prefix), after, CHUNK)
            found += chunk
            if not after:
                return [key.decode().removeprefix(names.PREFIX) for key in found]

    async def clear(self, prefix: str) -> int:
        count, more = 0, True
        while more:
            more, dropped = await self._run("clear", "", names.value(prefix), CHUNK)
            count += dropped
        return count

    async def _run(self, verb: str, *arguments: str | bytes | int) -> Any:
        return await self._client.run(_VALUES, verb, *arguments, key=names.VALUES)


class RedisMembers(Members):
    """Sets whose members expire, each a sorted set by expiry."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def add(self, members: Sequence[Member], *, now: int) -> None:
        for at in range(0, len(members), CHUNK):
            ttl, packed = _packed_members(members[at : at + CHUNK])
            await self._run("add", now, ttl, *packed, key=members[at].key)

    async def join(self, members: Sequence[Member], *, most: int, now: int) -> list[bool]:
        joined: list[bool] = []
        for at in range(0, len(members), CHUNK):
            ttl, packed = _packed_members(members[at : at + CHUNK])
            answers = await self._run("join", now, ttl, most, *packed, key=members[at].key)
            joined += [answer == 1 for answer in answers]
        return joined

    async def remove(self, members: Collection[tuple[str, str]]) -> None:
        found = list(members)
        for at in range(0, len(found), CHUNK):
            packed = [part for key, name in found[at : at + CHUNK] for part in (names.members(key), name)]
            await self._run("remove", "", *packed, key=found[at][0])

    async def expiries(self, keys: Sequence[str], *, now: int) -> list[dict[str, int]]:
        if not keys:
            return []
        found = await self._run("expiries", now, *map(names.members, keys), key=keys[0])
        return [
            dict(sorted((name.decode(), int(expires)) for name, expires in zip(each[::2], each[1::2], strict=True)))
            for each in found
        ]

    async def count(self, keys: Sequence[str], *, now: int) -> list[int]:
        if not keys:
            return []
        counts: list[int] = await self._run("count", now, *map(names.members, keys), key=keys[0])
        return counts

    async def _run(self, verb: str, *arguments: str | int, key: str) -> Any:
        return await self._client.run(_MEMBERS, verb, *arguments, key=names.members(key))


def _packed_members(members: Sequence[Member]) -> tuple[int, list[str | int]]:
    """How long Redis keeps their sets at least, and the members as the script takes them."""
    packed = [part for member in members for part in (names.members(member.key), member.name, member.expires)]
    return max(_ttl(member.expires) for member in members), packed


class RedisLocks(Locks):
    """Leases, each under its own key."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def acquire(self, name: str, owner: str, *, expires: int, now: int) -> bool:
        return await self._run("acquire", now, owner, expires, _ttl(expires), name=name)

    async def extend(self, name: str, owner: str, *, expires: int, now: int) -> bool:
        return await self._run("extend", now, owner, expires, _ttl(expires), name=name)

    async def release(self, name: str, owner: str) -> bool:
        return await self._run("release", "", owner, name=name)

    async def _run(self, verb: str, *arguments: str | int, name: str) -> bool:
        return bool(await self._client.run(_LOCKS, verb, *arguments, key=names.lock(name)))


def _stored(value: bytes, expires: int) -> bytes:
    return b"%d:%b" % (expires, value)


def _value(stored: bytes | None, now: int) -> bytes | None:
    if stored is None:
        return None
    expires, _, value = stored.partition(b":")
    return value if now < int(expires) else None


def _ttl(expires: int) -> int:
    """How long Redis keeps what expires then."""
    return min(max(expires - time.time_ns() // 1_000_000, 0) + LEEWAY, LONGEST_TTL)
