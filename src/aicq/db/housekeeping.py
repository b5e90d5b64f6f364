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
from aicq.db.plugin import Database
from aicq.tasks import meanwhile

log = structlog.get_logger("aicq.house")

HOUSE_LOCK = 4_117_436_674
"""Any number but the migrations' and the keeper's."""

LOOK_EVERY = 60.0
"""Seconds between two looks at what is due."""

AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
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

    Args:
        database: Postgres.
        chores: What is to be done.
    """

    def __init__(self, database: Database, chores: Sequence[Chore]) -> None:
        self._database = database
        self._chores = chores
        self._done: dict[str, int] = {}

    async def keep_house(self) -> None:
        """Looks at what is due, again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look(now_ms())

    async def look(self, now: int) -> bool:
        """Does what is due, unless another process is at it.

        Args:
            now: Unix time in milliseconds.

        Returns:
            Whether this process has kept house.
        """
        try:
            async with self._alone() as is_alone:
                for chore in self._chores if is_alone else ():
                    if now - self._done.get(chore.name, now - chore.every) >= chore.every:
                        await self._do(chore, now)
        except AWAY as error:
            log.warning("house not kept", error=type(error).__name__)
            return False
        return is_alone

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        """Whether no other process keeps house, and none will while the context is open."""
        # A connection of its own, because nobody is to wait for one meanwhile; the lock goes with it, however it ends.
        connection = await asyncpg.connect(self._database.url, server_settings={"application_name": "aicq house"})
        try:
            yield await connection.fetchval("SELECT pg_try_advisory_lock($1)", HOUSE_LOCK)
        finally:
            await connection.close(timeout=LOOK_EVERY)

    async def _do(self, chore: Chore, now: int) -> None:
        try:
            count = await chore.work(now)
        except (SQLAlchemyError, *AWAY) as error:
            # It stays due; the others are done meanwhile.
            log.warning("chore not done", chore=chore.name, error=type(error).__name__)
            return
        self._done[chore.name] = now
        if count:
            log.info("chore done", chore=chore.name, count=count)


class HousekeepingPlugin(InitPlugin):
    """Keeps house for as long as the app is up.

    Args:
        database: Postgres.
        chores: What is to be done.
    """

    def __init__(self, database: Database, chores: Sequence[Chore]) -> None:
        self.housekeeper = Housekeeper(database, chores)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the house's life."""
        app_config.lifespan.append(self._lifespan)
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        async with meanwhile(self.housekeeper.keep_house()):
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
