"""Batches: those who are answered together do not all go on at once."""

import asyncio

import pytest

from aicq.batches import GIVEN_AT_ONCE, Batcher, Later

pytestmark = pytest.mark.anyio


async def test_those_who_waited_for_the_same_go_on_a_few_at_a_time_and_others_in_between() -> None:
    published: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(items: list[int]) -> list[Later[int]]:
        return [Later(item, published) for item in items]

    batcher: Batcher[int, int] = Batcher(run)
    callers = [batcher.send(number) for number in range(3 * GIVEN_AT_ONCE)]
    await batcher.drain()
    assert not any(caller.done() for caller in callers)

    published.set_result(None)
    answered = []
    for _ in range(6):
        await asyncio.sleep(0)
        answered.append(sum(caller.done() for caller in callers))

    assert {later - earlier for earlier, later in zip([0, *answered], answered, strict=False)} == {0, GIVEN_AT_ONCE}
    assert [caller.result() for caller in callers] == [*range(3 * GIVEN_AT_ONCE)]


async def test_whoever_goes_away_is_passed_over_and_the_others_are_answered() -> None:
    published: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(items: list[str]) -> list[Later[str]]:
        return [Later(item, published) for item in items]

    batcher: Batcher[str, str] = Batcher(run)
    gone, stays = batcher.send("gone"), batcher.send("stays")
    await batcher.drain()
    gone.cancel()
    published.set_result(None)
    assert await stays == "stays"
