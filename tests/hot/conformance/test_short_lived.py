"""What is built on the facets, once for both stores: presence, cache, one-time states, sessions, Litestar's store."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import msgspec

from aicq.clock import now_ms
from aicq.hot import cache, presence, states
from aicq.hot.base import HotStore
from aicq.hot.cache import Cache
from aicq.hot.litestar_store import LitestarStore
from aicq.hot.presence import Presence
from aicq.hot.sessions import LIFETIME, Session, Sessions
from aicq.hot.states import States
from tests.hot.conftest import World
from tests.hot.logged import NOW

ROOM, ANN, BEN = UUID(int=1), UUID(int=2), UUID(int=3)


async def test_typing_ends_by_itself_or_when_it_is_said(hot_store: HotStore) -> None:
    here = Presence(hot_store)
    await here.type(ROOM, ANN, now=NOW)
    await here.type(ROOM, BEN, now=NOW + 1)
    assert await here.typing(ROOM, now=NOW + 1) == [ANN, BEN]
    assert await here.typing(ROOM, now=NOW + presence.TYPING) == [BEN]
    await here.stop_typing(ROOM, BEN)
    assert await here.typing(ROOM, now=NOW + 1) == [ANN]


async def test_somebody_is_present_until_they_have_left_every_place(hot_store: HotStore) -> None:
    here = Presence(hot_store)
    await here.see([ANN], at="phone", now=NOW)
    await here.see([ANN, BEN], at="desk", now=NOW)
    await here.leave(ANN, at="phone")
    await here.leave(BEN, at="desk")
    assert await here.present([ANN, BEN], now=NOW) == [True, False]
    assert await here.present([ANN], now=NOW + presence.PRESENT) == [False]


async def test_an_agent_is_online_for_a_minute(hot_store: HotStore) -> None:
    here = Presence(hot_store)
    await here.see_agents([ANN, BEN], now=NOW)
    await here.see_agents([BEN], now=NOW + 1)
    assert await here.agents_online(now=NOW + 1) == {ANN: NOW, BEN: NOW + 1}
    assert await here.agents_online(now=NOW + presence.ONLINE) == {BEN: NOW + 1}


async def test_sockets_of_a_process_that_died_vanish(world: World, hot_store: HotStore) -> None:
    here, there = Presence(hot_store), Presence(await world.another(epoch=1))
    await here.keep_open([(ANN, "here")], now=NOW)
    await there.keep_open([(ANN, "there"), (BEN, "also")], now=NOW)
    assert await here.sockets(ANN, now=NOW) == ["here", "there"]
    await there.keep_open([(ANN, "there"), (BEN, "also")], now=NOW + presence.OPEN - 1)
    assert await there.sockets(ANN, now=NOW + presence.OPEN) == ["there"]
    await there.close(ANN, "there")
    assert await here.sockets(ANN, now=NOW + presence.OPEN) == []


class Answer(msgspec.Struct):
    number: int


async def test_a_cached_answer_is_found_out_once_until_it_is_old(world: World, hot_store: HotStore) -> None:
    time, calls = NOW, []

    def decorated(store: HotStore) -> Callable[[int], Awaitable[Answer]]:
        @Cache(store).cached("double", Answer, ttl=1000, clock=lambda: time)
        async def double(number: int) -> Answer:
            calls.append(number)
            return Answer(number * 2)

        return double

    here, there = decorated(hot_store), decorated(await world.another(epoch=1))
    assert [await here(1), await there(1), await here(2)] == [Answer(2), Answer(2), Answer(4)]
    assert calls == [1, 2]
    time += 1000
    assert await there(1) == Answer(2)
    assert calls == [1, 2, 1]


async def test_a_cache_is_cleared_by_prefix(hot_store: HotStore) -> None:
    kept = Cache(hot_store)
    for key in ("a:1", "a:2", "b:1"):
        await kept.set(key, {"key": key}, now=NOW)
    assert await kept.clear("a:") == 2
    assert await kept.get("a:1", dict, now=NOW) is None
    assert await kept.get("b:1", dict, now=NOW) == {"key": "b:1"}
    assert await kept.get("b:1", Answer, now=NOW) is None
    assert await kept.get("b:1", dict, now=NOW + cache.LIFETIME) is None
    await kept.delete("b:1")
    assert await kept.get("b:1", dict, now=NOW) is None


async def test_a_state_is_taken_once_and_in_time(world: World, hot_store: HotStore) -> None:
    here, there = States(hot_store), States(await world.another(epoch=1))
    assert await here.put("s", Answer(1), now=NOW)
    assert not await there.put("s", Answer(2), now=NOW)
    taken = await asyncio.gather(*(kept.take("s", Answer, now=NOW) for kept in (here, there) for _ in range(5)))
    assert [answer for answer in taken if answer] == [Answer(1)]
    await here.put("late", Answer(1), now=NOW)
    assert await there.take("late", Answer, now=NOW + states.LIFETIME) is None


async def test_a_session_lasts_as_long_as_it_is_refreshed(hot_store: HotStore) -> None:
    kept = Sessions(hot_store)
    session = Session("one", ANN, NOW, {"device": "desk"})
    await kept.create(session, now=NOW)
    assert await kept.refresh("one", now=NOW + LIFETIME - 1)
    assert await kept.get("one", now=NOW + LIFETIME) == session
    assert await kept.sessions_of(ANN, now=NOW + LIFETIME) == [session]
    assert await kept.get("one", now=NOW + 2 * LIFETIME) is None
    assert not await kept.refresh("one", now=NOW + 2 * LIFETIME)
    assert not await kept.refresh("never", now=NOW)


async def test_an_actors_sessions_are_listed_and_revoked_together(world: World, hot_store: HotStore) -> None:
    here, there = Sessions(hot_store), Sessions(await world.another(epoch=1))
    for session_id, actor in (("a1", ANN), ("a2", ANN), ("a3", ANN), ("b1", BEN)):
        await here.create(Session(session_id, actor, NOW), now=NOW)
    await here.delete(Session("a2", ANN, NOW))
    assert [session.id for session in await there.sessions_of(ANN, now=NOW)] == ["a1", "a3"]
    assert await there.revoke(ANN, now=NOW) == 2
    assert await here.get("a1", now=NOW) is None
    assert await here.sessions_of(ANN, now=NOW) == []
    assert await here.get("b1", now=NOW)


async def test_litestars_store_keeps_what_it_is_given(hot_store: HotStore) -> None:
    store, other = LitestarStore(hot_store, "a"), LitestarStore(hot_store, "b")
    await store.set("k", "text")
    await store.set("timed", b"raw:bytes", expires_in=timedelta(minutes=5))
    await other.set("k", b"other", expires_in=60)
    assert [await store.get("k"), await store.get("timed"), await other.get("k")] == [b"text", b"raw:bytes", b"other"]
    assert [await store.expires_in("k"), await store.expires_in("none")] == [-1, None]
    assert 298 <= (await store.expires_in("timed") or 0) <= 300
    assert await store.get("timed", renew_for=600) == b"raw:bytes"
    assert 598 <= (await store.expires_in("timed") or 0) <= 600
    await store.delete("timed")
    assert [await store.exists("k"), await store.exists("timed")] == [True, False]
    await store.delete_all()
    assert [await store.get("k"), await other.get("k")] == [None, b"other"]


async def test_litestars_store_forgets_what_has_expired(hot_store: HotStore) -> None:
    await hot_store.values.set("store:a:k", b"%d:x" % now_ms(), expires=now_ms())
    assert await LitestarStore(hot_store, "a").get("k") is None
