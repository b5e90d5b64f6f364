"""Keeping house: what has had its time is dropped now and then, by one process at a time.

Each domain names its chores; the app gives them to the plugin, which does them for as long as it is up.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import structlog
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin
from sqlalchemy.exc import SQLAlchemyError

from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable
from aicq.hot.leases import Leases
from aicq.tasks import meanwhile

log = structlog.get_logger("aicq.house")

LOOK_EVERY = 60.0
"""Seconds between two looks at what is due."""

AWAY = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, HotStoreUnavailable, OSError)
"""What a chore may meet and a later time may not."""

MINUTE, HOUR = 60_000, 3_600_000

MOST = 500
"""As much is dropped in one transaction, so that nobody waits for long."""


class Chore(msgspec.Struct, frozen=True):
    """Something to be done now and then.

    Args:
        name: What it is about, for the log.
        every: Milliseconds from one time to the next.
        work: Does it all, given Unix time in milliseconds, and returns how many things it has dropped or changed. It
            does so in chunks, each a short transaction, so that what breaks off is gone on with next time.
    """

    name: str
    every: int
    work: Callable[[int], Awaitable[int]]


class Housekeeper:
    """Does the chores that are due.

    A chore is due when its lease can be had: it lasts until the chore is due again, so each is done once in its time,
    however many processes there are, and a process that is paused keeps nobody from it. If the hot store loses the
    lease a chore is done once more, which changes nothing.

    Args:
        leases: Tells which are due.
        chores: What is to be done.
    """

    def __init__(self, leases: Leases, chores: Sequence[Chore]) -> None:
        self._leases = leases
        self._chores = chores

    async def keep_house(self) -> None:
        """Looks at what is due, again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look(now_ms())

    async def look(self, now: int) -> None:
        """Does what is due.

        Args:
            now: Unix time in milliseconds.
        """
        for chore in self._chores:
            try:
                await self._do(chore, now)
            except AWAY as error:
                # It stays due; the others are done meanwhile.
                log.warning("chore not done", chore=chore.name, error=type(error).__name__)

    async def _do(self, chore: Chore, now: int) -> None:
        lease = await self._leases.acquire(f"chore:{chore.name}", now=now, ttl=chore.every)
        if lease is None:
            return
        try:
            count = await chore.work(now)
        except BaseException:
            await self._leases.release(lease)
            raise
        if count:
            log.info("chore done", chore=chore.name, count=count, token=lease.token)


class HousekeepingPlugin(InitPlugin):
    """Keeps house for as long as the app is up.

    Args:
        leases: Tells which chores are due; asked for when the app is up.
        chores: What is to be done.
    """

    def __init__(self, leases: Callable[[], Leases], chores: Sequence[Chore]) -> None:
        self._leases = leases
        self._chores = chores

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the house's life."""
        app_config.lifespan.append(self._lifespan)
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        async with meanwhile(Housekeeper(self._leases(), self._chores).keep_house()):
            yield


async def in_chunks(some: Callable[[], Awaitable[int]], *, most: int) -> int:
    """Does some of it again and again, until there was less to do than could be done at once; returns how much.

    Args:
        some: Does at most so much, in a transaction of its own, and returns how much it was.
        most: How much it does at once.
    """
    total = 0
    while True:
        done = await some()
        total += done
        if done < most:
            return total
