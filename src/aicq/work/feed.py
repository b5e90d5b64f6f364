"""Writing the feed. It is bookkeeping: it waits for the work's commit, and nothing waits for it or fails with it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.work.repositories import ActivityRepository

log = structlog.get_logger("aicq.work")

MOST_WAITING = 10_000
"""Activities that wait to be written; what comes beyond is left out."""

BATCH = 200

PATIENCE = 5.0
"""Seconds that what still waits gets at the end."""


class Feed:
    """Takes what happened from transactions that have committed, and writes it in batches.

    Args:
        sessions: For transactions of its own.
    """

    _waiting: asyncio.Queue[dict[str, Any]]

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions

    def tell(self, session: AsyncSession, **values: Any) -> None:
        """Tells the feed something, once the session has committed."""
        event.listen(session.sync_session, "after_commit", lambda _: self._take(values), once=True)

    async def settle(self) -> None:
        """Waits until all that was told is written, or cannot be."""
        await self._waiting.join()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Writes for as long as the context is open, and then what is left."""
        self._waiting = asyncio.Queue(MOST_WAITING)
        task = asyncio.create_task(self._write_for_ever())
        try:
            yield
        finally:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self.settle()
            except TimeoutError:
                log.warning("activities left out", count=self._waiting.qsize())
            task.cancel()
            await asyncio.wait([task])

    def _take(self, values: dict[str, Any]) -> None:
        try:
            self._waiting.put_nowait(values)
        except asyncio.QueueFull:
            log.warning("activities left out", count=1)

    async def _write_for_ever(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await self._write(batch)
            except (DBAPIError, PoolTimeoutError, OSError) as error:
                log.warning("activities left out", count=len(batch), error=type(error).__name__)
            finally:
                for _ in batch:
                    self._waiting.task_done()

    async def _write(self, batch: Sequence[dict[str, Any]]) -> None:
        """Writes a batch; what points at something that is gone by now is found by halves and left out."""
        try:
            async with self._sessions.begin() as session:
                await ActivityRepository(session).write(batch)
        except IntegrityError as error:
            if len(batch) == 1:
                log.info("activity left out", type=batch[0]["activity_type"], error=type(error).__name__)
                return
            half = len(batch) // 2
            await self._write(batch[:half])
            await self._write(batch[half:])
