"""The bus: wake-ups reach whoever listens, and a listener that lost its connection says so and goes on."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from aicq.hot.base import HotStore, Wake
from tests.hot.conftest import World

PATIENCE = 10.0


async def next_of(wakes: AsyncIterator[Wake]) -> Wake:
    async with asyncio.timeout(PATIENCE):
        return await anext(wakes)


async def test_a_listener_is_woken(hot_store: HotStore) -> None:
    async with hot_store.bus.listen(["room"]) as wakes:
        await hot_store.bus.publish(["room"])
        assert await next_of(wakes) == Wake("room")


async def test_a_listener_hears_its_own_topics_only(hot_store: HotStore) -> None:
    async with hot_store.bus.listen(["a", "b"]) as wakes:
        await hot_store.bus.publish(["c"])
        await hot_store.bus.publish(["b", "c"])
        assert await next_of(wakes) == Wake("b")
        await hot_store.bus.publish(["a"])
        assert await next_of(wakes) == Wake("a")


async def test_one_call_wakes_many_topics(hot_store: HotStore) -> None:
    topics = {f"room:{number}" for number in range(20)}
    async with hot_store.bus.listen(topics) as wakes:
        await hot_store.bus.publish(topics)
        assert {(await next_of(wakes)).topic for _ in topics} == topics


async def test_every_listener_in_every_process_is_woken(world: World, hot_store: HotStore) -> None:
    other = await world.another(epoch=1)
    async with hot_store.bus.listen(["t"]) as here, other.bus.listen(["t"]) as there, other.bus.listen(["t"]) as also:
        await other.bus.publish(["t"])
        for wakes in (here, there, also):
            assert await next_of(wakes) == Wake("t")


async def test_nobody_need_listen(hot_store: HotStore) -> None:
    await hot_store.bus.publish(["nobody"])
    await hot_store.bus.publish([])


@pytest.mark.parametrize("topic", ["UPPER lower", "quote ' \" \\", "日本", "x" * 200, "channel:x"])
async def test_a_topic_is_any_text(hot_store: HotStore, topic: str) -> None:
    async with hot_store.bus.listen([topic]) as wakes:
        await hot_store.bus.publish([topic.upper() + "?", topic])
        assert await next_of(wakes) == Wake(topic)


async def test_who_stopped_waiting_misses_nothing(hot_store: HotStore) -> None:
    async with hot_store.bus.listen(["t"]) as wakes:
        waiting = asyncio.ensure_future(anext(wakes))
        await asyncio.wait([waiting], timeout=0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await hot_store.bus.publish(["t"])
        assert await next_of(wakes) == Wake("t")


async def test_a_listener_whose_connection_was_lost_says_so_and_goes_on(world: World, hot_store: HotStore) -> None:
    async with hot_store.bus.listen(["t"]) as wakes:
        for _ in range(2):
            await world.cut_listeners()
            assert await next_of(wakes) == Wake(None)
            await hot_store.bus.publish(["t"])
            assert await next_of(wakes) == Wake("t")


async def test_a_listener_takes_up_more_topics_and_lays_some_down(hot_store: HotStore) -> None:
    async with hot_store.bus.listen(["a"]) as wakes:
        await wakes.add(["b", "c", "a"])
        await wakes.discard(["a", "never heard"])
        await hot_store.bus.publish(["a"])
        await hot_store.bus.publish(["b"])
        assert await next_of(wakes) == Wake("b")
        await wakes.add([])
        await wakes.add(["a"])
        await hot_store.bus.publish(["a"])
        assert await next_of(wakes) == Wake("a")


async def test_a_topic_that_was_taken_up_is_heard_after_a_loss(world: World, hot_store: HotStore) -> None:
    async with hot_store.bus.listen([]) as wakes:
        await wakes.add([f"t{number}" for number in range(50)])
        await wakes.discard([f"t{number}" for number in range(40)])
        await world.cut_listeners()
        assert await next_of(wakes) == Wake(None)
        await hot_store.bus.publish(["t39", "t40"])
        assert await next_of(wakes) == Wake("t40")


async def test_topics_taken_up_amid_losses_are_heard(world: World, hot_store: HotStore) -> None:
    async with hot_store.bus.listen([]) as wakes:
        for number in range(10):
            cut = asyncio.ensure_future(world.cut_listeners())
            await wakes.add([f"t{number}"])
            await cut
        while await next_of(wakes) != Wake("t9"):
            await hot_store.bus.publish(["t9"])
