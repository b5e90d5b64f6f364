"""Values: short-lived, atomic per key, gone at their time and not before."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicq.hot.base import HotStore
from tests.hot.conftest import World
from tests.hot.logged import NOW

KEY = "session:1"
LATER = NOW + 1000


async def test_a_value_is_what_was_set(hot_store: HotStore) -> None:
    await hot_store.values.set(KEY, b"one", expires=LATER)
    assert await hot_store.values.get(KEY, now=NOW) == b"one"
    await hot_store.values.set(KEY, b"two", expires=LATER)
    assert await hot_store.values.get(KEY, now=NOW) == b"two"
    assert await hot_store.values.get("session:2", now=NOW) is None


@given(st.binary())
async def test_any_bytes_come_back(hot_store: HotStore, value: bytes) -> None:
    await hot_store.values.set(KEY, value, expires=LATER)
    assert await hot_store.values.get(KEY, now=NOW) == value
    assert await hot_store.values.refresh(KEY, expires=LATER + 1, now=NOW)
    assert await hot_store.values.take(KEY, now=NOW) == value


async def test_a_value_lives_until_its_expiry_exclusive(hot_store: HotStore) -> None:
    await hot_store.values.set(KEY, b"x", expires=LATER)
    assert await hot_store.values.get(KEY, now=LATER - 1) == b"x"
    assert await hot_store.values.get(KEY, now=LATER) is None
    assert await hot_store.values.keys("session:", now=LATER) == []
    assert await hot_store.values.take(KEY, now=LATER) is None
    assert not await hot_store.values.refresh(KEY, expires=LATER + 9, now=LATER)


async def test_only_the_first_adds(hot_store: HotStore) -> None:
    assert await hot_store.values.add(KEY, b"one", expires=LATER, now=NOW)
    assert not await hot_store.values.add(KEY, b"two", expires=LATER, now=NOW)
    assert await hot_store.values.get(KEY, now=NOW) == b"one"


async def test_where_a_value_has_expired_one_can_be_added(hot_store: HotStore) -> None:
    await hot_store.values.set(KEY, b"one", expires=LATER)
    assert not await hot_store.values.add(KEY, b"two", expires=LATER + 9, now=LATER - 1)
    assert await hot_store.values.add(KEY, b"two", expires=LATER + 9, now=LATER)
    assert await hot_store.values.get(KEY, now=LATER) == b"two"


async def test_a_value_is_taken_once(hot_store: HotStore) -> None:
    await hot_store.values.set(KEY, b"x", expires=LATER)
    assert await hot_store.values.take(KEY, now=NOW) == b"x"
    assert await hot_store.values.take(KEY, now=NOW) is None
    assert await hot_store.values.get(KEY, now=NOW) is None
    assert await hot_store.values.keys("", now=NOW) == []


async def test_a_refresh_moves_the_expiry_both_ways(hot_store: HotStore) -> None:
    await hot_store.values.set(KEY, b"x", expires=LATER)
    assert await hot_store.values.refresh(KEY, expires=LATER + 500, now=NOW)
    assert await hot_store.values.get(KEY, now=LATER + 499) == b"x"
    assert await hot_store.values.refresh(KEY, expires=NOW + 1, now=NOW)
    assert await hot_store.values.get(KEY, now=NOW + 1) is None
    assert not await hot_store.values.refresh("session:2", expires=LATER, now=NOW)


async def test_a_delete_tells_how_many_were_there(hot_store: HotStore) -> None:
    await hot_store.values.set("a:1", b"", expires=LATER)
    await hot_store.values.set("a:2", b"", expires=NOW)
    assert await hot_store.values.delete(["a:1", "a:2", "a:3"]) == 2
    assert await hot_store.values.delete(["a:1"]) == 0
    assert await hot_store.values.delete([]) == 0


async def test_keys_are_listed_by_prefix_and_sorted(hot_store: HotStore) -> None:
    names = [
        "s:a%b",
        "s:a_b",
        "s:a*b",
        "s:a?b",
        "s:a[b]",
        "s:a\\b",
        "s:ab",
        "s:a",
        "s:日",
        "s:\U0001f600",
        "t:a",
        "s",
        "S:a",
    ]
    for name in names:
        await hot_store.values.set(name, b"", expires=LATER)
    for prefix in ("", "s:", "s:a", "s:a%", "s:a_", "s:a*", "s:a?", "s:a[", "s:a\\", "s:日", "s:a%b", "u"):
        expected = sorted(name for name in names if name.startswith(prefix))
        assert await hot_store.values.keys(prefix, now=NOW) == expected


async def test_a_clear_removes_what_begins_with_the_prefix(hot_store: HotStore) -> None:
    for name in ("s:1", "s:2", "s_:1", "s%:1", "t:1"):
        await hot_store.values.set(name, b"", expires=LATER)
    assert await hot_store.values.clear("s_") == 1
    assert await hot_store.values.clear("s%") == 1
    assert await hot_store.values.clear("s:") == 2
    assert await hot_store.values.clear("s:") == 0
    assert await hot_store.values.keys("", now=NOW) == ["t:1"]


async def test_thousands_of_keys_are_listed_and_cleared(hot_store: HotStore) -> None:
    names = [f"s:{number:04}" for number in range(1500)]
    for at in range(0, 1500, 50):
        await asyncio.gather(*(hot_store.values.set(name, b"x", expires=LATER) for name in names[at : at + 50]))
    assert await hot_store.values.keys("s:", now=NOW) == names
    assert await hot_store.values.clear("s:") == 1500
    assert await hot_store.values.keys("s:", now=NOW) == []


async def test_a_value_that_replaces_an_expired_one_is_listed_once(hot_store: HotStore) -> None:
    for expires in (NOW, LATER):
        await hot_store.values.set(KEY, b"", expires=expires)
    assert await hot_store.values.keys("session:", now=NOW) == [KEY]


@pytest.mark.parametrize("verb", ["add", "take"])
async def test_of_many_at_once_one_wins(world: World, hot_store: HotStore, verb: str) -> None:
    stores = [hot_store, await world.another(epoch=1)]
    for number in range(5):
        key = f"state:{number}"
        if verb == "take":
            await hot_store.values.set(key, b"x", expires=LATER)
            calls = [stores[n % 2].values.take(key, now=NOW) for n in range(20)]
            assert sorted(await asyncio.gather(*calls), key=str) == [None] * 19 + [b"x"]
        else:
            adds = [stores[n % 2].values.add(key, b"%d" % n, expires=LATER, now=NOW) for n in range(20)]
            won = await asyncio.gather(*adds)
            assert sum(won) == 1
            assert await hot_store.values.get(key, now=NOW) == b"%d" % won.index(True)
