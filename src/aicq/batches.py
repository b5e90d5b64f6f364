"""Batching by nature: what arrives while one call is in flight rides in the next, so nothing waits for a timer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from aicq.errors import Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Turns many concurrent single calls into few calls with many items.

    One call is in flight at a time. Items that arrive meanwhile wait and go together in the next. A caller that goes
    away is skipped if its item has not left yet; its neighbours do not notice.

    Args:
        run: Answers a batch: one answer, or one exception to raise, per item and in their order. If it raises, every
            item of the batch gets that exception.
        size: The most items in one call.
        capacity: The most items that may wait; one more is refused.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Awaitable[Sequence[Answer | Exception]]],
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
        """Waits until everything taken so far is answered."""
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
        answers: Sequence[Answer | Exception]
        try:
            answers = await self._run([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch, and the worker lives on
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
