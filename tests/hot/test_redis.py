"""What is Redis' own: its keys, its faults, and what a server may do to us behind our back."""

import asyncio
import signal
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aicq.errors import HotStoreUnavailable, StartError
from aicq.hot.base import HOT_WINDOW, Charge, HotBlock, HotStoreStale, Level, PageQuery, Quota, SearchQuery, Wake
from aicq.hot.cache import Cache
from aicq.hot.redis import RedisHotStore
from aicq.hot.redis_client import PAUSE
from tests.hot.logged import HOUR, NOW, LoggedRoom, read_newest
from tests.servers import RedisServer

SECRET = "s3cr3t-passw0rd"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that may be stopped and killed."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisHotStore]:
    """The store on it, in its first epoch."""
    store = RedisHotStore(server.url)
    await store.open()
    await store.begin(1)
    store.epoch = 1
    yield store
    await store.close()


@pytest.fixture
async def room(store: RedisHotStore) -> LoggedRoom:
    """A room that is held."""
    room = LoggedRoom()
    room.fill(3)
    await store.messages.append([room.run()], now=NOW)
    return room


async def test_messages_stand_under_their_room_by_time(server: RedisServer, room: LoggedRoom) -> None:
    held = server.client.zrange(f"room:{room.id}:messages", 0, -1, withscores=True)
    assert held == [(entry.wire, float(NOW + number)) for number, entry in enumerate(room.entries)]
    assert server.client.hgetall(f"room:{room.id}:span") == {b"last": b"3", b"public": b"1", b"was_public": b"1"}


async def test_public_words_name_room_and_message(server: RedisServer, room: LoggedRoom) -> None:
    first = room.entries[0].id
    assert server.client.zrange("search:words:1", 0, -1, withscores=True) == [(f"{room.id}:{first}".encode(), NOW)]
    assert server.client.keys("search:rooms:*") == []


async def test_private_words_stand_under_their_room_alone(server: RedisServer, store: RedisHotStore) -> None:
    room = LoggedRoom(public=False)
    room.post("hidden")
    await store.messages.append([room.run()], now=NOW)
    assert server.client.exists("search:words:hidden") == 0
    held = server.client.zrange(f"search:rooms:{room.id}:hidden", 0, -1)
    assert held == [f"{room.id}:{room.entries[0].id}".encode()]


async def test_limits_blocks_and_values_stand_under_their_names(server: RedisServer, store: RedisHotStore) -> None:
    await store.limits.take([Charge([Quota("post:agent", 5, 60_000)])], now=NOW)
    await store.limits.block([HotBlock("192.0.2.1", NOW, "flood")])
    await store.values.set("session:abc", b"value", expires=NOW)
    assert server.client.zrange("ratelimit:post:agent", 0, -1, withscores=True) == [(b"0000000000000001:1", float(NOW))]
    assert server.client.get("ratelimit:block:192.0.2.1") == b"%d:flood" % NOW
    assert server.client.get("session:abc") == b"%d:value" % NOW


@pytest.mark.usefixtures("room")
async def test_every_key_but_the_mark_and_the_list_of_values_goes_by_itself(
    server: RedisServer, store: RedisHotStore
) -> None:
    await test_limits_blocks_and_values_stand_under_their_names(server, store)
    lasting = {key for key in server.client.scan_iter() if server.client.pttl(key) == -1}
    assert lasting == {b"epoch", b"values"}


async def test_wake_ups_are_published_under_their_topic(server: RedisServer, store: RedisHotStore) -> None:
    with server.client.pubsub() as listener:
        listener.subscribe("channel:room-1")
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        await store.bus.publish(["room-1"])
        message = listener.get_message(timeout=5)
        assert (message["channel"], message["data"]) == (b"channel:room-1", b"")


async def test_deleted_messages_leave_the_words(server: RedisServer, store: RedisHotStore) -> None:
    room = LoggedRoom()
    message = room.post("secret")
    await store.messages.append([room.run()], now=NOW)
    assert server.client.exists("search:words:secret") == 1
    room.delete(message)
    await store.messages.append([room.run(2)], now=NOW)
    assert server.client.keys("*secret*") == []


async def test_expired_messages_and_words_are_swept(server: RedisServer, store: RedisHotStore) -> None:
    room = LoggedRoom()
    for hour in range(60):
        room.post("common", at=NOW + hour * HOUR)
        await store.messages.append([room.run(hour + 1)], now=NOW + hour * HOUR)
    oldest = NOW + 59 * HOUR - HOT_WINDOW
    assert server.client.zcount(f"room:{room.id}:messages", "-inf", oldest) == 0
    assert server.client.zcard("search:words:common") < 40


async def test_stale_references_are_not_found(server: RedisServer, store: RedisHotStore, room: LoggedRoom) -> None:
    score = {f"{room.id}:{room.entries[0].id}": NOW, f"{room.id}:{'0' * 26}": NOW, f"{'0' * 36}:{'0' * 26}": NOW}
    server.client.zadd("search:words:elsewhere", score)
    assert (await store.messages.search(SearchQuery(["elsewhere"], 10), now=NOW)).hits == []


async def test_a_server_that_was_emptied_is_noticed(
    server: RedisServer, store: RedisHotStore, room: LoggedRoom
) -> None:
    server.client.flushall()
    with pytest.raises(HotStoreStale):
        await store.messages.append([room.run()], now=NOW)
    assert (await store.probe()).epoch is None


async def test_a_server_restored_from_an_old_snapshot_is_noticed(
    server: RedisServer, store: RedisHotStore, room: LoggedRoom
) -> None:
    server.client.save()
    room.fill(3)
    await store.messages.append([room.run()], now=NOW)
    server.kill()
    server.start()
    assert server.client.zcard(f"room:{room.id}:messages") == 3
    assert server.client.get("epoch") is not None
    with pytest.raises(HotStoreStale):
        await store.messages.pages([PageQuery(room.id, 10)], now=NOW)
    assert (await store.probe()).epoch is None
    await store.begin(2)
    store.epoch = 2
    assert await read_newest(store, room) is None
    assert (await store.probe()).epoch == 2


async def test_a_restart_while_idle_fails_no_call(server: RedisServer, store: RedisHotStore) -> None:
    await store.values.set("a:b", b"x", expires=NOW)
    server.kill()
    server.start()
    assert await store.values.add("a:b", b"y", expires=NOW + 1, now=NOW)


async def test_a_killed_connection_fails_at_most_the_call_it_was_killed_in(
    server: RedisServer, store: RedisHotStore
) -> None:
    for _ in range(5):
        await store.values.set("a:b", b"x", expires=NOW + 1)
        server.client.client_kill_filter(_type="normal", skipme=True)
        assert await store.values.get("a:b", now=NOW) == b"x"


async def test_scripts_that_the_server_forgot_are_sent_again(
    server: RedisServer, store: RedisHotStore, room: LoggedRoom
) -> None:
    server.client.script_flush()
    room.fill(1)
    assert await store.messages.append([room.run(4)], now=NOW) == [4]


async def test_a_server_that_hangs_fails_calls_in_time_and_then_at_once(
    server: RedisServer, store: RedisHotStore
) -> None:
    charge = Charge([Quota("post:agent", 5, 60_000)])
    server.signal(signal.SIGSTOP)
    try:
        started = time.perf_counter()
        with pytest.raises(HotStoreUnavailable):
            await store.limits.take([charge], now=NOW)
        first = time.perf_counter() - started
        started = time.perf_counter()
        for _ in range(100):
            with pytest.raises(HotStoreUnavailable):
                await store.limits.take([charge], now=NOW)
        rest = time.perf_counter() - started
    finally:
        server.signal(signal.SIGCONT)
    assert 0.2 < first < 0.6
    assert rest < 0.2


async def test_a_server_that_hung_is_used_again_and_nothing_was_sent_twice(
    server: RedisServer, store: RedisHotStore
) -> None:
    charge = Charge([Quota("post:agent", 5, 60_000)])
    await store.limits.take([charge], now=NOW)
    server.signal(signal.SIGSTOP)
    with pytest.raises(HotStoreUnavailable):
        await store.limits.take([charge], now=NOW)
    server.signal(signal.SIGCONT)
    level = await until_answered(store)
    assert level.remaining == 3  # the call that timed out did run, once


async def until_answered(store: RedisHotStore) -> Level:
    """Asks until the pause is over; the clock that counts here is the loop's."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PAUSE + 5
    while True:
        try:
            return (await store.limits.peek([Quota("post:agent", 5, 60_000)], now=NOW))[0]
        except HotStoreUnavailable:
            assert loop.time() < until
            await asyncio.sleep(0.05)


async def test_a_caller_that_goes_away_leaves_no_answer_to_the_next(store: RedisHotStore) -> None:
    await store.values.set("a:1", b"one", expires=NOW + 1)
    await store.values.set("a:2", b"two", expires=NOW + 1)
    for steps in range(12):
        task = asyncio.ensure_future(store.values.get("a:1", now=NOW))
        for _ in range(steps):
            await asyncio.wait([task], timeout=0)
        task.cancel()
        await asyncio.wait([task])
        assert await store.values.get("a:2", now=NOW) == b"two"


async def test_many_calls_at_once_share_few_connections(server: RedisServer) -> None:
    store = RedisHotStore(server.url, timeout=30)
    await store.open()
    await asyncio.gather(*(store.values.set(f"a:{number}", b"x", expires=NOW + 1) for number in range(300)))
    assert len(await store.values.keys("a:", now=NOW)) == 300
    assert server.client.info("clients")["connected_clients"] < 25
    await store.close()


async def test_a_server_that_takes_no_writes_is_unavailable(server: RedisServer, store: RedisHotStore) -> None:
    server.client.config_set("maxmemory", 1)
    with pytest.raises(HotStoreUnavailable):
        await store.values.set("a:b", b"x" * 1000, expires=NOW)
    server.client.config_set("maxmemory", 0)
    await store.values.set("a:b", b"x", expires=NOW)


async def test_a_listener_survives_a_restart_of_the_server(server: RedisServer, store: RedisHotStore) -> None:
    async with store.bus.listen(["t"]) as wakes, asyncio.timeout(10):
        server.kill()
        waiting = asyncio.ensure_future(anext(wakes))
        await asyncio.to_thread(server.start)
        assert await waiting == Wake(None)
        await store.bus.publish(["t"])
        assert await anext(wakes) == Wake("t")


async def test_no_secret_stands_in_an_error(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", "another") as server:
        refused = f"unix://:{SECRET}@{server.socket}"
        gone = f"unix://:{SECRET}@{tmp_path / 'nowhere.sock'}"
        for url in (refused, gone, f"redis://someone:{SECRET}@127.0.0.1:1/0"):
            store = RedisHotStore(url)
            with pytest.raises(HotStoreUnavailable) as caught:
                await store.open()
            with pytest.raises(HotStoreUnavailable) as listening:
                async with store.bus.listen(["t"]):
                    pass
            for error in (caught.value, listening.value):
                assert SECRET not in "".join(traceback.format_exception(error))
            await store.close()


def test_a_url_that_is_none_is_refused_without_repeating_it() -> None:
    with pytest.raises(StartError) as caught:
        RedisHotStore(f"redis://:{SECRET}@host:port/0")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_a_password_opens_the_store(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", SECRET) as server:
        store = RedisHotStore(f"unix://:{SECRET}@{server.socket}?db=3")
        await store.open()
        await store.begin(1)
        assert (await store.probe()).epoch == 1
        async with store.bus.listen(["t"]) as wakes, asyncio.timeout(10):
            await store.bus.publish(["t"])
            assert await anext(wakes) == Wake("t")
        await store.close()


async def test_without_the_server_a_cached_function_is_called(server: RedisServer, store: RedisHotStore) -> None:
    calls = []

    @Cache(store).cached("n", int)
    async def found_out() -> int:
        calls.append(1)
        return 7

    server.kill()
    assert [await found_out(), await found_out()] == [7, 7]
    assert calls == [1, 1]


async def test_a_process_that_was_busy_does_not_take_the_server_for_dead(server: RedisServer) -> None:
    store = RedisHotStore(server.url, timeout=0.1)
    await store.open()
    loop = asyncio.get_running_loop()
    for _ in range(5):
        asked = asyncio.ensure_future(store.values.get("session:1", now=NOW))
        await asyncio.sleep(0)
        # The answer is there long before this process looks again, and so is the end of the time-out.
        until = loop.time() + 0.3
        while loop.time() < until:
            pass
        assert await asked is None
    await store.close()
