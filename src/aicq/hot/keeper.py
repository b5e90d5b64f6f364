"""The keeper: sees to it that the hot store belongs to the current epoch and holds what the log says.

The row `hot_store` in Postgres says which store is active, in which epoch, and in which history of the database that
began. A store that lost its mark, bears another epoch's, or was filled from another history, gets a new one: it is
emptied, marked, and filled from the log, newest first. All of it happens under one advisory lock, so of many workers
one does the work and the others find it done.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol
from uuid import UUID

import asyncpg
import msgspec
import structlog

from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable, LeaseTaken
from aicq.hot.base import HOT_WINDOW, Change, HotStore, HotStoreStale, PageQuery, Probe, Run
from aicq.hot.metrics import EPOCHS, REFILLED
from aicq.tasks import meanwhile

log = structlog.get_logger("aicq.hot")

KEEPER_LOCK = 4_117_436_672
"""Any number but the migrations' one."""

CHUNK = 500
"""Entries read from the log and written to the hot store at a time."""

LOOK_EVERY = 1.0
"""Seconds between two looks at the row while the store is not complete, or after a failure."""

CHECK_EVERY = 15.0
"""Seconds between two looks while all is well."""

PATIENCE = 5.0
"""Seconds that a refill which was asked for waits for one that is under way."""

LOOK_OVER_EVERY = 60.0
"""Seconds between two looks for holes that nobody noticed: what a lost commit stored after all, or a lost worker."""


HISTORY = """
SELECT concat_ws('/', system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8), d.oid)
FROM pg_control_system(), pg_database d WHERE d.datname = current_database()
"""
"""The server, its timeline, and the database. One of them is another after a restore, or when a replica has taken over.
What the store holds beyond the log would otherwise be read, and would hide what is posted from then on."""

ROW = f"SELECT active, epoch, complete, history = ({HISTORY}) AS is_ours FROM hot_store"  # noqa: S608 - static text

BEGIN = f"""
INSERT INTO hot_store (active, epoch, complete, history) VALUES ($1, $2, false, ({HISTORY}))
ON CONFLICT (id) DO UPDATE
SET active = excluded.active, epoch = excluded.epoch, complete = false, history = excluded.history
"""  # noqa: S608 - static text


class HotRoom(msgspec.Struct, frozen=True):
    """A room that was active within the hot window.

    Args:
        id: The room.
        public: Whether anybody may find its messages.
        first: The position of its oldest entry within that time.
        last: The position of its newest entry.
    """

    id: UUID
    public: bool
    first: int
    last: int


class Chunk(msgspec.Struct, frozen=True):
    """Consecutive entries read from the log.

    Args:
        run: The entries as they are now; None if there are none.
        as_of: The room's newest position when they were read; what changed them later has a higher one.
    """

    run: Run | None
    as_of: int


class Log(Protocol):
    """What the keeper asks of the message log."""

    async def hot_rooms(self, *, since: int) -> Sequence[HotRoom]:
        """Rooms with entries newer than that time."""

    async def above(self, room_id: UUID, position: int, *, limit: int) -> Chunk:
        """The oldest entries above a position."""

    async def below(self, room_id: UUID, position: int | None, *, since: int, limit: int) -> Chunk:
        """The newest entries below a position, or at all, that are newer than that time."""

    async def changes(self, room_id: UUID, *, above: int) -> Sequence[Change]:
        """What edits and deletes above a position did, as it stands now."""


class Keeper:
    """Keeps one process' hot store true to the log.

    Args:
        pool: Postgres.
        hot: The store of this process.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", hot: HotStore) -> None:
        self._pool = pool
        self._hot = hot
        self._log: Log | None = None
        self._restore: Callable[[], Awaitable[None]] | None = None
        self._trouble = asyncio.Event()
        self._looked_over = 0.0
        self.complete = False
        """Whether the store holds the whole hot window, as far as this process knows."""

    def follow(self, message_log: Log) -> None:
        """Names the log that the store is filled from; without one it starts empty and is complete."""
        self._log = message_log

    def restoring(self, restore: Callable[[], Awaitable[None]]) -> None:
        """Names what puts back, whenever the store is filled, what it may have lost besides messages."""
        self._restore = restore

    def notice(self) -> None:
        """Tells that a call found the store stale or away, so that it is looked after soon."""
        self.complete = False
        self._trouble.set()

    async def refill(self) -> int:
        """Begins a new epoch though nothing was lost: the store is emptied, and filled from the log in the background.

        Returns:
            The new epoch.

        Raises:
            HotStoreUnavailable: The store does not answer; it stays as it is.
            LeaseTaken: It is being filled just now.
        """
        try:
            async with asyncio.timeout(PATIENCE), self._locked() as connection:
                await self._hot.probe()
                row = await self._row()
                await self._begin(connection, (row["epoch"] if row else 0) + 1)
        except TimeoutError:
            raise LeaseTaken("the hot store is being filled just now; try again") from None
        self.notice()
        return self._hot.epoch

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks after the store for as long as the context is open."""
        with suppress(HotStoreUnavailable):
            await self._adopt()
        async with meanwhile(self._run()):
            yield

    async def _run(self) -> None:
        while True:
            # What is noticed from here on is looked after in the next turn.
            self._trouble.clear()
            try:
                await self._adopt()
                await (self._look_over() if self.complete else self._fill())
            except HotStoreUnavailable:
                self.complete = False
            except HotStoreStale:
                self.complete = False
                continue
            except Exception as error:
                self.complete = False
                log.warning("hot store not in order", error=type(error).__name__, exc_info=error)
            if not self.complete:
                await asyncio.sleep(LOOK_EVERY)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._trouble.wait(), CHECK_EVERY)

    async def _adopt(self) -> None:
        """Takes over the current epoch, or begins a new one if the store does not bear its mark."""
        row, probe = await self._row(), await self._hot.probe()
        if row is not None and self._bears(row, probe):
            if self._hot.epoch != row["epoch"]:
                self._hot.epoch = row["epoch"]
                self.complete = False
            return
        async with self._locked() as connection:
            row, probe = await self._row(), await self._hot.probe()
            if row is not None and self._bears(row, probe):
                self._hot.epoch = row["epoch"]
                self.complete = False
                return
            await self._begin(connection, (row["epoch"] if row else 0) + 1)

    async def _begin(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", epoch: int) -> None:
        log.info("hot store begins an epoch", store=self._hot.kind, epoch=epoch)
        await connection.execute(BEGIN, self._hot.kind, epoch)
        self.complete = False
        EPOCHS.inc()
        await self._hot.begin(epoch)
        self._hot.epoch = epoch

    def _bears(self, row: asyncpg.Record, probe: Probe) -> bool:
        """Whether the store bears the mark of the current epoch, and that began in this history of the database."""
        return bool(row["active"] == self._hot.kind and row["epoch"] == probe.epoch and row["is_ours"])

    async def _fill(self) -> None:
        """Makes the store hold the whole hot window: closes what is missing above, adds what is missing below."""
        async with self._locked() as connection:
            if self._restore is not None:
                await self._restore()
            await self._fill_rooms(since=now_ms() - HOT_WINDOW)
            await connection.execute("UPDATE hot_store SET complete = true WHERE epoch = $1", self._hot.epoch)
        self._looked_over = asyncio.get_running_loop().time()
        self.complete = not self._trouble.is_set()

    async def _look_over(self) -> None:
        """Fills, now and then, the rooms that were active of late."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_over < LOOK_OVER_EVERY:
            return
        self._looked_over = now
        await self._fill_rooms(since=now_ms() - round(2 * LOOK_OVER_EVERY * 1000))

    async def _fill_rooms(self, *, since: int) -> None:
        rooms = await self._log.hot_rooms(since=since) if self._log is not None else []
        for start in range(0, len(rooms), CHUNK):
            some = rooms[start : start + CHUNK]
            pages = await self._hot.messages.pages([PageQuery(room.id, limit=1) for room in some], now=now_ms())
            for room, page in zip(some, pages, strict=True):
                if page is not None and page.last < room.last:
                    await self.catch_up(room.id, held=page.last)
                if page is None or page.first > room.first:
                    await self.fill_below(room.id, public=room.public)

    async def catch_up(self, room_id: UUID, *, held: int, chunks: int | None = None) -> bool:
        """Appends to the store what the log has above `held`, the last position of the room's span.

        Args:
            room_id: The room.
            held: The last position of its span.
            chunks: How many chunks at the most; None for all there are.

        Returns:
            Whether nothing is missing any more.
        """
        while self._log is not None and chunks != 0:
            chunk = await self._log.above(room_id, held, limit=CHUNK)
            if chunk.run is None:
                return True
            before, held = held, (await self._hot.messages.append([chunk.run], now=now_ms()))[0]
            REFILLED.inc(max(0, held - before))
            if held <= before or len(chunk.run.entries) < CHUNK:
                return True
            chunks = chunks and chunks - 1
        return self._log is None

    async def fill_below(self, room_id: UUID, *, public: bool, chunks: int | None = None) -> bool:
        """Adds to the store what the log has below the room's span, or all of it if there is none.

        Args:
            room_id: The room.
            public: Whether anybody may find its messages.
            chunks: How many chunks at the most; None for all there are.

        Returns:
            Whether nothing is missing any more.
        """
        while self._log is not None and chunks != 0:
            page = (await self._hot.messages.pages([PageQuery(room_id, limit=1)], now=now_ms()))[0]
            since = now_ms() - HOT_WINDOW
            chunk = await self._log.below(room_id, page.first if page else None, since=since, limit=CHUNK)
            if chunk.run is None:
                return True
            if await self._hot.messages.prepend(chunk.run, now=now_ms()):
                REFILLED.inc(len(chunk.run.entries))
                # An edit or a delete that was committed since the chunk was read found nothing to change in the store.
                changes = await self._log.changes(room_id, above=chunk.as_of)
                if changes:
                    await self._hot.messages.revise(room_id, public=public, changes=changes)
                if len(chunk.run.entries) < CHUNK:
                    return True
            chunks = chunks and chunks - 1
        return self._log is None

    async def _row(self) -> asyncpg.Record | None:
        return await self._pool.fetchrow(ROW)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        async with self._pool.acquire() as connection:
            await connection.execute("SELECT pg_advisory_lock($1)", KEEPER_LOCK)
            try:
                yield connection
            finally:
                await connection.execute("SELECT pg_advisory_unlock($1)", KEEPER_LOCK)
