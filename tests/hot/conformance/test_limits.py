"""Limits: exact sliding windows, however many take at once, whatever the clocks say."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicq.hot.base import Charge, HotBlock, HotStore, Level, Quota, Verdict
from tests.hot.conftest import World
from tests.hot.logged import NOW

WINDOWS = {"a": 100, "b": 100, "c": 1000}


class Model:
    """What limits are, said as plainly as possible: a list of hits per key."""

    def __init__(self) -> None:
        self.hits: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)

    def used(self, quota: Quota, now: int) -> int:
        hits = self.hits[quota.key]
        time = max([now, *(at for at, _ in hits[-1:])])
        return sum(cost for at, cost in hits if time < at + quota.window)

    def fits(self, quota: Quota, now: int) -> bool:
        return self.used(quota, now) + quota.cost <= quota.limit

    def take(self, quotas: Sequence[Quota], now: int) -> Verdict:
        allowed = all(self.fits(quota, now) for quota in quotas)
        for quota in quotas if allowed else ():
            hits = self.hits[quota.key]
            hits.append((max([now, *(at for at, _ in hits[-1:])]), quota.cost))
        return Verdict(allowed, blocked=False, levels=[self.level(quota, now) for quota in quotas])

    def level(self, quota: Quota, now: int) -> Level:
        hits = self.hits[quota.key]
        time = max([now, *(at for at, _ in hits[-1:])])
        counting = [at for at, _ in hits if time < at + quota.window]
        reset = counting[0] + quota.window if counting else now
        return Level(max(0, quota.limit - self.used(quota, now)), reset, self.wait(quota, now))

    def wait(self, quota: Quota, now: int) -> int:
        if quota.cost > quota.limit:
            return quota.window
        leaving = sorted({at + quota.window - now for at, _ in self.hits[quota.key] if at + quota.window > now})
        return next(wait for wait in [0, *leaving] if self.fits(quota, now + wait))


def plain(verdict: Verdict) -> Verdict:
    return msgspec.structs.replace(verdict, levels=list(verdict.levels))


async def take(store: HotStore, *quotas: Quota, now: int = NOW, address: str = "") -> Verdict:
    [verdict] = await store.limits.take([Charge(quotas, address)], now=now)
    return plain(verdict)


quotas = st.builds(
    lambda key, limit, cost: Quota(key, limit, WINDOWS[key], cost),
    st.sampled_from(sorted(WINDOWS)),
    st.integers(1, 9),
    st.integers(1, 4) | st.integers(8, 12),
)
charges = st.lists(quotas, max_size=3, unique_by=lambda quota: quota.key)
steps = st.lists(st.tuples(st.integers(-60, 250), st.lists(charges, max_size=6)), max_size=12)


@given(steps)
async def test_every_decision_is_the_models(hot_store: HotStore, steps: list[tuple[int, list[list[Quota]]]]) -> None:
    model, now, mark = Model(), NOW, uuid4().hex
    for passed, batch in steps:
        now += passed
        marked = [[msgspec.structs.replace(q, key=f"{mark}:{q.key}") for q in charge] for charge in batch]
        verdicts = await hot_store.limits.take([Charge(charge) for charge in marked], now=now)
        assert list(map(plain, verdicts)) == [model.take(charge, now) for charge in marked]
        for asked in (quota for charge in marked for quota in charge):
            assert await hot_store.limits.peek([asked], now=now) == [model.level(asked, now)]


async def test_no_more_than_the_limit_is_taken_and_nothing_below_it_refused(hot_store: HotStore) -> None:
    quota = Quota("post:x", limit=3, window=1000)
    assert [(await take(hot_store, quota)).allowed for _ in range(5)] == [True, True, True, False, False]


async def test_a_hit_counts_until_its_window_ends_exclusive(hot_store: HotStore) -> None:
    quota = Quota("post:x", limit=1, window=1000)
    assert (await take(hot_store, quota)).allowed
    assert not (await take(hot_store, quota, now=NOW + 999)).allowed
    assert (await take(hot_store, quota, now=NOW + 1000)).allowed


async def test_the_window_slides(hot_store: HotStore) -> None:
    quota = Quota("post:x", limit=2, window=1000)
    allowed = [(await take(hot_store, quota, now=NOW + at)).allowed for at in (0, 900, 950, 1000, 1100, 1900)]
    assert allowed == [True, True, False, True, False, True]


async def test_levels_tell_what_remains_and_when(hot_store: HotStore) -> None:
    quota = Quota("bytes:x", limit=10, window=1000, cost=4)
    assert await hot_store.limits.peek([quota], now=NOW) == [Level(remaining=10, reset=NOW, wait=0)]
    assert (await take(hot_store, quota, now=NOW)).levels == [Level(remaining=6, reset=NOW + 1000, wait=0)]
    assert (await take(hot_store, quota, now=NOW + 300)).levels == [Level(remaining=2, reset=NOW + 1000, wait=700)]
    refused = await take(hot_store, quota, now=NOW + 400)
    assert refused == Verdict(allowed=False, blocked=False, levels=[Level(remaining=2, reset=NOW + 1000, wait=600)])


async def test_the_wait_is_long_enough_and_no_longer(hot_store: HotStore) -> None:
    quota = Quota("bytes:x", limit=10, window=1000, cost=3)
    for at in (0, 10, 20):
        await take(hot_store, quota, now=NOW + at)
    big = Quota("bytes:x", limit=10, window=1000, cost=7)
    [level] = (await take(hot_store, big, now=NOW + 30)).levels
    assert level.wait == 980
    assert not (await take(hot_store, big, now=NOW + 30 + 979)).allowed
    assert (await take(hot_store, big, now=NOW + 30 + 980)).allowed


async def test_a_charge_takes_from_all_its_quotas_or_from_none(hot_store: HotStore) -> None:
    post, size = Quota("post:x", limit=10, window=1000), Quota("bytes:x", limit=10, window=1000, cost=8)
    assert (await take(hot_store, post, size)).allowed
    refused = await take(hot_store, post, size)
    assert not refused.allowed
    assert [level.remaining for level in refused.levels] == [9, 2]
    assert [level.wait for level in refused.levels] == [0, 1000]


async def test_a_refused_charge_leaves_no_trace(hot_store: HotStore) -> None:
    quota = Quota("post:x", limit=1, window=1000)
    await take(hot_store, quota)
    for at in range(100, 1000, 100):
        assert not (await take(hot_store, quota, now=NOW + at)).allowed
    assert (await take(hot_store, quota, now=NOW + 1000)).allowed


async def test_what_costs_more_than_the_limit_is_always_refused(hot_store: HotStore) -> None:
    refused = await take(hot_store, Quota("bytes:x", limit=10, window=1000, cost=11))
    assert refused == Verdict(allowed=False, blocked=False, levels=[Level(remaining=10, reset=NOW, wait=1000)])


async def test_a_lowered_limit_leaves_nothing_remaining(hot_store: HotStore) -> None:
    await take(hot_store, Quota("post:x", limit=10, window=1000, cost=8))
    assert await hot_store.limits.peek([Quota("post:x", limit=5, window=1000)], now=NOW) == [Level(0, NOW + 1000, 1000)]


async def test_charges_of_a_batch_are_decided_in_their_order(hot_store: HotStore) -> None:
    one, two = Quota("post:x", limit=3, window=1000), Quota("post:x", limit=3, window=1000, cost=2)
    verdicts = await hot_store.limits.take([Charge([each]) for each in (two, two, one, one)], now=NOW)
    assert [verdict.allowed for verdict in verdicts] == [True, False, True, False]


async def test_keys_do_not_touch_each_other(hot_store: HotStore) -> None:
    for key in ("post:x", "post:X", "post:x ", "post:", "read:x", "post:%", "post:日"):
        assert (await take(hot_store, Quota(key, limit=1, window=1000))).allowed


async def test_large_limits_and_costs_are_exact(hot_store: HotStore) -> None:
    quota = Quota("bytes:x", limit=100_000_000, window=60_000, cost=32_768)
    for at in range(200):
        [verdict] = await hot_store.limits.take([Charge([quota])], now=NOW + at)
    assert verdict.levels[0].remaining == 100_000_000 - 200 * 32_768
    million = Quota("post:y", limit=1_000_000, window=60_000, cost=999_999)
    assert (await take(hot_store, million)).levels[0].remaining == 1


async def test_a_clock_that_goes_back_wins_nothing(hot_store: HotStore) -> None:
    quota = Quota("post:x", limit=2, window=1000)
    await take(hot_store, quota, now=NOW)
    assert (await take(hot_store, quota, now=NOW - 500)).allowed
    assert not (await take(hot_store, quota, now=NOW - 900)).allowed
    assert not (await take(hot_store, quota, now=NOW + 999)).allowed
    assert (await take(hot_store, quota, now=NOW + 1000)).allowed


async def test_a_peek_takes_nothing(hot_store: HotStore) -> None:
    quota = Quota("post:x", limit=1, window=1000)
    for _ in range(3):
        assert await hot_store.limits.peek([quota, quota], now=NOW) == [Level(1, NOW, 0)] * 2
    assert (await take(hot_store, quota)).allowed
    assert await hot_store.limits.peek([], now=NOW) == []


async def test_a_reset_forgets_all_hits_of_its_keys(hot_store: HotStore) -> None:
    x, y, z = (Quota(f"post:{name}", limit=1, window=1000) for name in "xyz")
    await hot_store.limits.take([Charge([each]) for each in (x, y, z)], now=NOW)
    await hot_store.limits.reset(["post:x", "post:y", "post:unknown"])
    await hot_store.limits.reset([])
    assert [(await take(hot_store, each)).allowed for each in (x, y, z)] == [True, True, False]


async def test_nothing_is_asked_of_no_charges(hot_store: HotStore) -> None:
    assert await hot_store.limits.take([], now=NOW) == []
    assert await take(hot_store) == Verdict(allowed=True, blocked=False, levels=[])


async def test_a_blocked_address_is_refused_until_the_block_ends(hot_store: HotStore) -> None:
    quota = Quota("post:x", limit=1, window=1000)
    await hot_store.limits.block([HotBlock("192.0.2.1", NOW + 100, "flood: 100")])
    blocked = Verdict(allowed=False, blocked=True, levels=[])
    assert await take(hot_store, quota, address="192.0.2.1", now=NOW + 99) == blocked
    assert await take(hot_store, address="192.0.2.1", now=NOW + 99) == blocked
    assert (await take(hot_store, quota, address="192.0.2.10", now=NOW + 99)).allowed
    assert (await take(hot_store, address="192.0.2.1", now=NOW + 100)).allowed


async def test_a_block_can_be_moved_and_lifted(hot_store: HotStore) -> None:
    for until in (NOW + 1000, NOW + 10):
        await hot_store.limits.block([HotBlock("2001:db8::1", until, "")])
    assert (await take(hot_store, address="2001:db8::1", now=NOW + 10)).allowed
    await hot_store.limits.block([HotBlock("2001:db8::1", NOW + 1000, "")])
    await hot_store.limits.unblock("2001:db8::1")
    await hot_store.limits.unblock("2001:db8::1")
    assert (await take(hot_store, address="2001:db8::1")).allowed


async def test_many_addresses_are_blocked_at_once_and_of_one_that_is_named_twice_the_last_counts(
    hot_store: HotStore,
) -> None:
    addresses = [f"10.0.{number // 250}.{number % 250}" for number in range(1200)]
    blocks = [HotBlock(address, NOW + 1000, "flood") for address in addresses]
    await hot_store.limits.block([*blocks, HotBlock(addresses[7], NOW, ""), HotBlock("2001:db8::/64", NOW + 1, "")])
    await hot_store.limits.block([])
    verdicts = await hot_store.limits.take([Charge([], address) for address in [*addresses, "2001:db8::/64"]], now=NOW)
    assert [address for address, verdict in zip(addresses, verdicts, strict=False) if verdict.allowed] == [addresses[7]]
    assert verdicts[-1].blocked


@pytest.mark.parametrize("cost", [1, 3])
async def test_fifty_at_once_in_two_processes_take_exactly_the_limit(
    world: World, hot_store: HotStore, cost: int
) -> None:
    stores = [hot_store, await world.another(epoch=1)]
    shared = Quota("post:x", limit=30, window=60_000, cost=cost)

    async def one(number: int) -> bool:
        own = Quota(f"own:{number}", limit=5, window=60_000)
        pair = (shared, own) if number % 2 else (own, shared)
        return (await take(stores[number % 2], *pair, now=NOW + number % 3)).allowed

    assert sum(await asyncio.gather(*map(one, range(50)))) == 30 // cost
    assert (await hot_store.limits.peek([shared], now=NOW + 3))[0].remaining == 0
