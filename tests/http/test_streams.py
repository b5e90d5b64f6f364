"""Streams are opened a few at a time."""

import asyncio
from typing import Any

import pytest

from aicq.http.streams import OPENED_AT_ONCE, Opening

pytestmark = pytest.mark.anyio


class Opener:
    """An app that opens streams when it is told to, and keeps them open."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_open = asyncio.Event()
        self.is_broken = False

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        self.begun += 1
        await self.may_open.wait()
        if self.is_broken:
            raise RuntimeError("broken")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()


async def nothing(*_: Any) -> None:
    """Neither says nor takes anything."""


@pytest.fixture
async def opener() -> Opener:
    return Opener()


async def crowd(opener: Opener) -> list[asyncio.Task[None]]:
    """Three times as many as are opened at once, all of them begun."""
    opening: Any = Opening(opener)
    tasks = [asyncio.create_task(opening({"type": "http"}, nothing, nothing)) for _ in range(3 * OPENED_AT_ONCE)]
    await turns()
    return tasks


async def turns() -> None:
    """Lets everybody go on as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_of_many_who_come_at_once_few_are_opened_at_a_time_and_in_the_end_all(opener: Opener) -> None:
    tasks = await crowd(opener)
    assert opener.begun == OPENED_AT_ONCE
    opener.may_open.set()
    await turns()
    assert opener.begun == len(tasks)
    assert not any(task.done() for task in tasks)
    await end(tasks)


async def test_who_cannot_be_opened_or_leaves_makes_room_for_the_next(opener: Opener) -> None:
    tasks = await crowd(opener)
    for task in tasks[: OPENED_AT_ONCE + 1]:  # the last of them waits for its turn still
        task.cancel()
    await turns()
    assert opener.begun == 2 * OPENED_AT_ONCE
    opener.is_broken = True
    opener.may_open.set()
    await turns()
    assert opener.begun == len(tasks) - 1
    await end(tasks)
