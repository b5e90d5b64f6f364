"""The hot store as operators see it: what it is, what it holds, how far it is with the log."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.errors import HotStoreUnavailable
from aicq.hot.base import HOT_WINDOW, HotStoreStale, Page, PageQuery, Probe
from aicq.hot.keeper import HotRoom
from aicq.hot.plugin import HotStorePlugin
from aicq.messaging.logbook import LogBook
from aicq.operations.schemas import HotState, Positions, Span
from aicq.origin import Origin
from aicq.settings import Settings

ROOMS = 500
"""How many rooms are compared with the log for the overview, the most lively first."""

EPOCH = text("SELECT coalesce(max(epoch), 0) FROM hot_store")


class StoreWatch:
    """Tells about the hot store, and has it filled again.

    Args:
        settings: Which store was asked for.
        hot: The plugin of the hot store.
        logbook: The log.
    """

    def __init__(self, settings: Settings, hot: HotStorePlugin, logbook: LogBook) -> None:
        self._settings = settings
        self._hot = hot
        self._logbook = logbook

    async def state(self, session: AsyncSession) -> HotState:
        """What the store is, and whether it is complete."""
        probe = await self._probe()
        store, keeper = self._hot.store, self._hot.keeper
        if probe is not None and probe.epoch != store.epoch:
            keeper.notice()
        return HotState(
            kind=store.kind,
            why=self._why(),
            state="away" if probe is None else "complete" if keeper.complete else "filling",
            version=probe.version if probe else None,
            latency_ms=round(probe.latency_ms, 2) if probe else None,
            epoch=await session.scalar(EPOCH) or 0,
            epoch_of_worker=store.epoch,
            epoch_of_store=probe.epoch if probe else None,
        )

    async def positions(self, *, now: int) -> Positions:
        """How far the store is with the log, over the rooms that were active last."""
        rooms = await self._logbook.lively_rooms(since=now - HOT_WINDOW, limit=ROOMS)
        pages = await self._pages(rooms, now=now)
        positions = Positions(
            rooms=len(rooms),
            log=sum(room.last for room in rooms),
            hot=None,
            lag=None,
            rooms_behind=None,
            newest_entry=await self._logbook.newest(),
        )
        if pages is not None:
            lags = [
                max(0, room.last - (page.last if page else room.first - 1))
                for room, page in zip(rooms, pages, strict=True)
            ]
            positions.lag = sum(lags)
            positions.hot = positions.log - positions.lag
            positions.rooms_behind = sum(lag > 0 for lag in lags)
        return positions

    async def spans(self, *, after: UUID, limit: int, now: int) -> list[Span]:
        """What the store holds of each room that was active within 24 hours, by the rooms' ids.

        Raises:
            HotStoreUnavailable: It does not answer, or holds nothing of this epoch yet.
        """
        rooms = await self._logbook.hot_rooms(since=now - HOT_WINDOW, after=after, limit=limit)
        pages = await self._pages(rooms, now=now)
        if pages is None:
            raise HotStoreUnavailable("the hot store does not answer, or has to be filled first; try again")
        return [span_of(room, page) for room, page in zip(rooms, pages, strict=True)]

    async def refill(self, session: AsyncSession, origin: Origin) -> int:
        """Has the store emptied and filled from the log again, in a new epoch, which is returned.

        Raises:
            HotStoreUnavailable: It does not answer; it stays as it is.
            LeaseTaken: It is being filled just now.
        """
        await record(session, origin, "hot_store.refill", resource="hot_store", key=self._hot.store.kind)
        return await self._hot.keeper.refill()

    async def _probe(self) -> Probe | None:
        try:
            async with asyncio.timeout(1):
                return await self._hot.store.probe()
        except (HotStoreUnavailable, TimeoutError):
            return None

    async def _pages(self, rooms: Sequence[HotRoom], *, now: int) -> list[Page | None] | None:
        """What the store holds of rooms; None where it cannot tell."""
        try:
            return await self._hot.store.messages.pages([PageQuery(room.id, limit=1) for room in rooms], now=now)
        except (HotStoreUnavailable, HotStoreStale):
            self._hot.keeper.notice()
            return None

    def _why(self) -> str:
        settings = self._settings
        if self._hot.degraded:
            return self._hot.degraded
        if settings.hot_store != "auto":
            return f"AICQ_HOT_STORE is {settings.hot_store}."
        return f"REDIS_URL is {'set' if settings.redis_url else 'not set'}."


def span_of(room: HotRoom, page: Page | None) -> Span:
    """What the store holds of a room."""
    return Span(
        room_id=str(room.id),
        public=room.public,
        first=page.first if page else None,
        last=page.last if page else None,
        log_first=room.first,
        log_last=room.last,
    )
