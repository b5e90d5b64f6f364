"""Members: sets where each member expires by itself."""

import asyncio

import pytest

from aicq.hot.base import HotStore, Member
from tests.hot.conftest import World
from tests.hot.logged import NOW

KEY = "typing:1"
LATER = NOW + 5000


async def names(hot_store: HotStore, key: str = KEY, *, now: int = NOW) -> list[str]:
    [found] = await hot_store.members.names([key], now=now)
    [count] = await hot_store.members.count([key], now=now)
    assert count == len(found)
    return found


async def test_members_are_listed_sorted(hot_store: HotStore) -> None:
    await hot_store.members.add([Member(KEY, name, LATER) for name in ("b", "a", "日", "A", "\U0001f600")], now=NOW)
    assert await names(hot_store) == ["A", "a", "b", "日", "\U0001f600"]
    assert await names(hot_store, "typing:2") == []


async def test_each_member_expires_by_itself(hot_store: HotStore) -> None:
    await hot_store.members.add([Member(KEY, "soon", NOW + 1), Member(KEY, "late", LATER)], now=NOW)
    assert await names(hot_store) == ["late", "soon"]
    assert await names(hot_store, now=NOW + 1) == ["late"]
    assert await names(hot_store, now=LATER - 1) == ["late"]
    assert await names(hot_store, now=LATER) == []


async def test_adding_again_moves_the_expiry_both_ways(hot_store: HotStore) -> None:
    await hot_store.members.add([Member(KEY, "a", LATER)], now=NOW)
    await hot_store.members.add([Member(KEY, "a", LATER + 9)], now=NOW)
    assert await names(hot_store, now=LATER + 8) == ["a"]
    await hot_store.members.add([Member(KEY, "a", NOW + 1)], now=NOW)
    assert await names(hot_store, now=NOW + 1) == []


async def test_of_a_member_added_twice_at_once_the_last_counts(hot_store: HotStore) -> None:
    await hot_store.members.add([Member(KEY, "a", LATER), Member(KEY, "a", NOW + 1)], now=NOW)
    assert await names(hot_store, now=NOW + 1) == []


async def test_members_are_removed(hot_store: HotStore) -> None:
    await hot_store.members.add([Member(KEY, name, LATER) for name in "abc"], now=NOW)
    await hot_store.members.remove([(KEY, "a"), ("typing:2", "b"), (KEY, "c"), (KEY, "never there")])
    await hot_store.members.remove([])
    assert await names(hot_store) == ["b"]


async def test_many_sets_are_asked_at_once(hot_store: HotStore) -> None:
    await hot_store.members.add(
        [Member("s:1", "a", LATER), Member("s:3", "b", LATER), Member("s:3", "c", LATER)], now=NOW
    )
    assert await hot_store.members.names(["s:3", "s:2", "s:1", "s:3"], now=NOW) == [["b", "c"], [], ["a"], ["b", "c"]]
    assert await hot_store.members.count(["s:3", "s:2", "s:1"], now=NOW) == [2, 0, 1]
    assert await hot_store.members.names([], now=NOW) == []


async def test_it_is_told_when_each_member_expires(hot_store: HotStore) -> None:
    await hot_store.members.add([Member(KEY, "b", LATER), Member(KEY, "a", NOW + 1)], now=NOW)
    assert await hot_store.members.expiries([KEY, "typing:2"], now=NOW) == [{"a": NOW + 1, "b": LATER}, {}]
    assert await hot_store.members.expiries([KEY], now=NOW + 1) == [{"b": LATER}]
    assert await hot_store.members.count([], now=NOW) == []


async def test_thousands_are_added_at_once(hot_store: HotStore) -> None:
    wanted = [f"{number:04}" for number in range(1800)]
    await hot_store.members.add([Member(KEY, name, LATER) for name in wanted], now=NOW)
    await hot_store.members.add([], now=NOW)
    assert await names(hot_store) == wanted


async def test_no_more_join_than_there_is_room_for(hot_store: HotStore) -> None:
    first = [Member(KEY, "a", LATER), Member("s:1", "a", LATER)]
    assert await hot_store.members.join(first, most=2, now=NOW) == [True, True]
    then = [Member(KEY, "b", LATER), Member(KEY, "c", LATER), Member(KEY, "a", LATER), Member("s:1", "b", LATER)]
    assert await hot_store.members.join(then, most=2, now=NOW) == [True, False, True, True]
    assert await names(hot_store) == ["a", "b"]
    assert await hot_store.members.join([], most=2, now=NOW) == []


async def test_those_who_join_together_are_counted_as_if_one_came_after_the_other(hot_store: HotStore) -> None:
    await hot_store.members.add([Member(KEY, "old", NOW), Member("s:1", "a", LATER)], now=NOW - 1)
    together = [("a", LATER), ("a", LATER + 9), ("late", NOW), ("b", LATER), ("c", LATER), ("a", NOW), ("c", LATER)]
    members = [Member(key, name, expires) for name, expires in together for key in (KEY, "s:1")]
    joined = await hot_store.members.join(members, most=2, now=NOW)
    assert joined == [place for fits in (True, True, True, True, False, True, True) for place in (fits, fits)]
    assert await names(hot_store) == ["b", "c"]


async def test_whoever_is_there_may_stay(hot_store: HotStore) -> None:
    await hot_store.members.join([Member(KEY, name, LATER) for name in "ab"], most=2, now=NOW)
    assert await hot_store.members.join([Member(KEY, "a", LATER + 9)], most=2, now=NOW) == [True]
    assert await names(hot_store, now=LATER) == ["a"]


async def test_what_has_expired_makes_room(hot_store: HotStore) -> None:
    async def join(name: str, *, now: int) -> bool:
        [joined] = await hot_store.members.join([Member(KEY, name, LATER + 9 * (now > NOW))], most=1, now=now)
        return joined

    assert await join("a", now=NOW)
    assert not await join("b", now=LATER - 1)
    assert await join("b", now=LATER)
    assert not await join("a", now=LATER)


@pytest.mark.parametrize("most", [1, 7])
async def test_of_many_who_join_at_once_as_many_as_there_is_room_for(
    world: World, hot_store: HotStore, most: int
) -> None:
    stores = [hot_store, await world.another(epoch=1)]
    joins = [
        stores[n % 2].members.join([Member(KEY, f"{n:02}{m}", LATER) for m in "ab"], most=most, now=NOW)
        for n in range(30)
    ]
    assert sum(map(sum, await asyncio.gather(*joins))) == most
    assert len(await names(hot_store)) == most
