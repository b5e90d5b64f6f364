"""After the commit: entries go to the hot store, then whoever waits for their rooms is woken."""

import asyncio
from uuid import UUID

import structlog

from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable
from aicq.hot.base import Change, Entry, HotStore, HotStoreStale, PageQuery, Run
from aicq.hot.keeper import Keeper
from aicq.ids import from_ulid, milliseconds, position, to_ulid
from aicq.messaging.log import Stored
from aicq.messaging.wire import WireMessage, change_to, message_entry, stub, stub_entry

log = structlog.get_logger("aicq.log")

TIMEOUT = 5.0
"""Seconds that posts wait at the most for the hot store to get what it lacks; the keeper goes on from there."""

FORGET_EVERY = 3_600_000
"""Milliseconds after which it is looked at again where rooms begin: a span may have expired as a whole since."""


class Publisher:
    """Brings what the log has committed to the hot store and to readers.

    Args:
        hot: The hot store.
        keeper: Is told when the store is stale or away, and closes holes from the log.
    """

    def __init__(self, hot: HotStore, keeper: Keeper) -> None:
        self._hot = hot
        self._keeper = keeper
        self._moved: set[str] = set()
        self._waker: asyncio.Task[None] | None = None
        self._begun: set[UUID] = set()
        self._begun_in = 0
        self._begun_since = 0

    async def publish(self, stored: list[Stored]) -> None:
        """Appends to the hot store and wakes readers. Never fails: readers take the log where the store has a hole."""
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._append(runs_of(stored))
        except (HotStoreStale, HotStoreUnavailable):
            self._keeper.notice()
        except Exception as error:
            log.exception("hot append failed", error=type(error).__name__)
            self._keeper.notice()
        self._wake({str(entry.draft.room_id) for entry in stored})

    async def close(self) -> None:
        """Waits for wake-ups under way."""
        if self._waker is not None:
            await self._waker

    async def _append(self, runs: list[Run]) -> None:
        held = await self._hot.messages.append(runs, now=now_ms())
        for run, last in zip(runs, held, strict=True):
            # Another worker's entries are committed but not here yet: take them from the log rather than wait. If they
            # are many, the keeper brings the rest; the posts of this group are still to be answered.
            if last < position_of(run.entries[-1]) and not await self._keeper.catch_up(
                run.room_id, held=last, chunks=1
            ):
                self._keeper.notice()
        await self._complete_beginnings(runs)

    async def _complete_beginnings(self, runs: list[Run]) -> None:
        """Sees to it that rooms which this process appends to for the first time begin where the log does.

        Of workers that begin a room's span together the fastest sets where it begins, be it amid their positions.
        """
        now = now_ms()
        if self._begun_in != self._hot.epoch or now - self._begun_since > FORGET_EVERY:
            self._begun, self._begun_in, self._begun_since = set(), self._hot.epoch, now
        new = [run for run in runs if run.room_id not in self._begun]
        if not new:
            return
        pages = await self._hot.messages.pages([PageQuery(run.room_id, limit=1) for run in new], now=now)
        for run, page in zip(new, pages, strict=True):
            if (page is None or page.first > 1) and not await self._keeper.fill_below(
                run.room_id, public=run.public, chunks=1
            ):
                self._keeper.notice()
            self._begun.add(run.room_id)

    def _wake(self, room_ids: set[str]) -> None:
        self._moved |= room_ids
        if self._waker is None:
            self._waker = asyncio.create_task(self._publish_moved())

    async def _publish_moved(self) -> None:
        try:
            while self._moved:
                moved, self._moved = self._moved, set()
                await self._hot.bus.publish(moved)
        except HotStoreUnavailable:
            self._moved.clear()  # readers poll slowly besides
        finally:
            self._waker = None


def runs_of(stored: list[Stored]) -> list[Run]:
    """The committed entries by room; of a room whose positions another worker's interrupt, the last unbroken run.

    What comes before the interruption is then found to be missing, and is read from the log.
    """
    rooms: dict[UUID, list[Stored]] = {}
    for entry in sorted(stored, key=lambda entry: entry.id):
        of_room = rooms.setdefault(entry.draft.room_id, [])
        if of_room and of_room[-1].position + 1 != entry.position:
            of_room.clear()
        of_room.append(entry)
    return [
        Run(room_id, entries[-1].public, [hot_entry(entry) for entry in entries]) for room_id, entries in rooms.items()
    ]


def hot_entry(stored: Stored) -> Entry:
    """A committed entry as the hot store keeps it."""
    draft = stored.draft
    if draft.entry == "message":
        return message_entry(wire_message(stored, stored.id, parent_id=draft.parent_id))
    assert draft.target_id is not None  # noqa: S101 - the table's own check
    target = to_ulid(draft.target_id)
    if draft.entry == "delete":
        return stub_entry(stored.id, Change(target, stub(target)))
    edited = wire_message(stored, draft.target_id, parent_id=draft.target_parent_id, edited_at=stored.ts)
    return stub_entry(stored.id, change_to(edited))


def wire_message(stored: Stored, message_id: UUID, *, parent_id: UUID | None, edited_at: int = 0) -> WireMessage:
    """A message as it stands after a post or an edit."""
    return WireMessage(
        id=to_ulid(message_id),
        seq=position(message_id),
        author=str(stored.draft.author_id),
        body=stored.draft.body,
        ts=milliseconds(message_id),
        parent=to_ulid(parent_id) if parent_id else "",
        signature=stored.draft.signature or "",
        edited_at=edited_at,
    )


def position_of(entry: Entry) -> int:
    """An entry's place in its room."""
    return position(from_ulid(entry.id))
