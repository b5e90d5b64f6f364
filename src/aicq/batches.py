"""Batching by nature: what arrives while one call is in flight rides in the next, so nothing waits for a timer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from aicq.errors import Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Later(Generic[Answer]):
    """An answer that stands, and that its caller gets only when something else is done.

    Args:
        answer: The answer.
        after: What has to be done first, however it ends.
    """

    __slots__ = ("after", "answer")

    def __init__(self, answer: Answer, after: "asyncio.Future[None]") -> None:
        self.answer = answer
        self.after = after


class Batcher(Generic[Item, Answer]):
    """Turns many concurrent single calls into few calls with many items.

    One call is in flight at a time. Items that arrive meanwhile wait and go together in the next. A caller that goes
    away is skipped if its item has not left yet; its neighbours do not notice.

    Args:
        run: Answers a batch: one answer, or one exception to raise, per item and in their order. If it raises, every
            item of the batch gets that exception. The next batch does not wait for what is answered `Later`.
        size: The most items in one call.
        capacity: The most items that may wait; one more is refused.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Awaitable[Sequence[Answer | Later[Answer] | Exception]]],
        *,
        size: int = 256,
        capacity: int = 10_000,
    ) -> None:
        self._run = run
        self._size = size
        self._capacity = capacity
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return self._worker is None

    async def __call__(self, item: Item) -> Answer:
        """Sends `item` with the next batch and returns its answer.

        Raises:
            Unavailable: Too many items wait already; this one was not taken.
        """
        return await self.send(item)

    def send(self, item: Item) -> "asyncio.Future[Answer]":
        """Sends `item` with the next batch, also if nobody waits for its answer.

        Raises:
            Unavailable: Too many items wait already; this one was not taken.
        """
        if len(self._waiting) >= self._capacity:
            raise Unavailable
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._worker is None:
            # The worker is a task of its own, so a caller's cancellation never reaches the batch it rides in.
            self._worker = asyncio.create_task(self._work())
        return answer

    async def drain(self) -> None:
        """Waits until everything taken so far has been run; what is answered `Later` may wait for more."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = self._next_batch()
                if batch:
                    await self._answer(batch)
        finally:
            self._worker = None

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self._size:
            item, answer = self._waiting.popleft()
            if not answer.done():
                batch.append((item, answer))
        return batch

    async def _answer(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        answers: Sequence[Answer | Later[Answer] | Exception]
        try:
            answers = await self._run([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch, and the worker lives on
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Later):
                answer.after.add_done_callback(partial(_give, future, answer.answer))
            elif isinstance(answer, Exception):
                if not future.done():
                    future.set_exception(answer)
            else:
                _give(future, answer)


def _give(future: "asyncio.Future[Answer]", answer: Answer, _after: "asyncio.Future[None] | None" = None) -> None:
    """Gives an answer, unless its caller has gone away."""
    if not future.done():
        future.set_result(answer)
