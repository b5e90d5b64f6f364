"""Streams are opened and closed a few at a time, and end with their caller."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aicq.http.streams import AT_ONCE, LONGEST_REST, REST, EventStream, InTurns

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """An event loop whose clock can be stopped."""
    return "asyncio", {"use_uvloop": False}


class Opener:
    """An app that opens streams when it is told to, and keeps them open until their callers have gone."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_open = asyncio.Event()
        self.is_broken = False
        self.ending = 0
        self.may_end = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        await self.may_open.wait()
        if self.is_broken:
            raise RuntimeError("broken")
        await send({"type": "websocket.send"} if scope["type"] == "websocket" else {"type": "http.response.start"})
        while not (await receive())["type"].endswith(".disconnect"):
            pass
        self.ending += 1
        await self.may_end.wait()


class Crowd:
    """Callers, three times as many as are opened at once.

    Args:
        opener: What they call.
    """

    def __init__(self, opener: Opener, kind: str = "http") -> None:
        self.have_gone = asyncio.Event()
        self._app: Any = InTurns(opener)
        self._kind = kind

    async def come(self) -> list[asyncio.Task[None]]:
        """Their calls, all of them begun."""
        tasks = [
            asyncio.create_task(self._app({"type": self._kind}, self._leave, self._take)) for _ in range(3 * AT_ONCE)
        ]
        await turns()
        return tasks

    async def _leave(self) -> dict[str, str]:
        await self.have_gone.wait()
        return {"type": f"{self._kind}.disconnect"}

    async def _take(self, _message: object) -> None:
        """Takes whatever comes."""


class Clock:
    """The event loop's time, which stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    async def go_on(self, seconds: float) -> None:
        """Lets time pass, and everybody go on as far as they can."""
        self.now += seconds
        await turns()


@pytest.fixture(autouse=True)
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock.now)
    return clock


@pytest.fixture
async def opener() -> Opener:
    return Opener()


async def turns() -> None:
    """Lets everybody go on as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


KINDS = pytest.mark.parametrize("kind", ["http", "websocket"])


@KINDS
async def test_of_many_who_come_at_once_few_are_opened_at_a_time_and_in_the_end_all(opener: Opener, kind: str) -> None:
    tasks = await Crowd(opener, kind).come()
    assert opener.begun == AT_ONCE
    opener.may_open.set()
    await turns()
    assert opener.begun == len(tasks)
    assert not any(task.done() for task in tasks)
    await end(tasks)


@pytest.mark.parametrize(("took", "rest"), [(0.01, 0.01 * REST), (60.0, LONGEST_REST)])
async def test_as_long_as_others_wait_a_turn_is_followed_by_a_rest(
    opener: Opener, clock: Clock, took: float, rest: float
) -> None:
    tasks = await Crowd(opener).come()
    opener.may_open.set()
    await clock.go_on(took)
    assert opener.begun == AT_ONCE
    await clock.go_on(rest - 0.001)
    assert opener.begun == AT_ONCE
    await clock.go_on(0.002)
    assert opener.begun == len(tasks)
    await end(tasks)


async def test_who_cannot_be_opened_or_leaves_makes_room_for_the_next(opener: Opener) -> None:
    tasks = await Crowd(opener).come()
    for task in tasks[: AT_ONCE + 1]:  # the last of them waits for its turn still
        task.cancel()
    await turns()
    assert opener.begun == 2 * AT_ONCE
    opener.is_broken = True
    opener.may_open.set()
    await turns()
    assert opener.begun == len(tasks) - 1
    await end(tasks)


@KINDS
async def test_of_many_who_leave_at_once_few_are_seen_off_at_a_time_and_in_the_end_all(
    opener: Opener, kind: str
) -> None:
    crowd = Crowd(opener, kind)
    tasks = await crowd.come()
    opener.may_open.set()
    await turns()
    crowd.have_gone.set()
    await turns()
    assert opener.ending == AT_ONCE
    opener.may_end.set()
    await asyncio.gather(*tasks)
    assert opener.ending == len(tasks)


class Caller:
    """Somebody who is sent a stream."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_over = False
        self.has_gone = asyncio.Event()

    async def receive(self) -> Any:
        await self.has_gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            self.sent.append(message["body"])
            self.is_over = not message["more_body"]

    async def follow(self, frames: AsyncIterator[bytes]) -> None:
        nothing: Any = None  # neither the request nor the scope is looked at
        answer = (await EventStream.begun(frames)).to_asgi_response(None, nothing)
        await answer(nothing, self.receive, self.send)


async def test_a_stream_that_has_nothing_more_to_tell_ends() -> None:
    async def two() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    caller = Caller()
    await caller.follow(two())
    assert caller.sent == [b"one", b"two", b""]
    assert caller.is_over


async def test_what_fails_amid_a_stream_is_told_to_the_service() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await Caller().follow(failing())


async def test_nothing_of_a_stream_whose_caller_has_gone_is_left_to_the_garbage_collector() -> None:
    class Follower:
        """What belongs to the stream."""

    held: list[weakref.ref[Follower]] = []

    async def endless() -> AsyncIterator[bytes]:
        follower = Follower()
        held.append(weakref.ref(follower))
        yield b"one"
        await asyncio.Event().wait()

    caller = Caller()
    gc.disable()
    try:
        task = asyncio.create_task(caller.follow(endless()))
        await turns()
        assert caller.sent == [b"one"]
        caller.has_gone.set()
        await task
        assert [follower() for follower in held] == [None]
    finally:
        gc.enable()
