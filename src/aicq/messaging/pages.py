"""Pages of a room: stored bytes from the hot store where it covers them, the log's rows where it does not.

The reader of a page cannot tell which. What is proved: the hot store's entries have no position missing between the
first and the last, and they begin where the page begins; whatever else is wanted comes from the log.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import msgspec

from aicq.batches import Batcher
from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable
from aicq.hot.base import STUB_AT, HotStore, HotStoreStale, Page, PageQuery
from aicq.hot.keeper import Keeper
from aicq.ids import from_ulid, position, to_ulid
from aicq.messaging.history import History

SPARE = 14
"""Entries read beyond the page, so that a few stubs or a shared millisecond at its end need no second call."""

ID = slice(7, 33)
"""Where an entry's wire form holds its id."""

MILLISECOND = slice(7, 17)
"""Where an entry's wire form holds the characters that tell its millisecond."""

COMMA = ord(",")


class MessagePage(msgspec.Struct, frozen=True):
    """A page.

    Args:
        messages: Wire forms, newest first.
        has_more: Whether there are more beyond its end, in the direction it was read.
    """

    messages: Sequence[bytes]
    has_more: bool


class Ahead(msgspec.Struct, frozen=True):
    """What the hot store has said before it was known how far the room goes; no page where the log has to be read."""

    page: Page | None


class Pages:
    """Reads pages.

    Args:
        hot: The hot store.
        keeper: Is told when the store is stale or away.
        history: The log.
    """

    def __init__(self, hot: HotStore, keeper: Keeper, history: History) -> None:
        self._hot = hot
        self._keeper = keeper
        self._history = history
        self._ask: Batcher[PageQuery, Page | None] = Batcher(self._ask_all)

    async def look_ahead(self, queries: Sequence[PageQuery]) -> list[Ahead]:
        """What the hot store has for each of the queries that pages begin with, in one call.

        It may be asked before the log tells how far a room goes: what is behind the log is asked for again.
        """
        return list(map(Ahead, await asyncio.gather(*map(self.ask, queries))))

    async def before(
        self,
        room_id: UUID,
        bound: UUID | None,
        *,
        last_seq: int,
        limit: int,
        whole_millisecond: bool,
        ahead: Ahead | None = None,
    ) -> MessagePage:
        """The newest messages below `bound`, or of all.

        Args:
            room_id: The room.
            bound: Exclusive; None for the newest.
            last_seq: The room's newest position as the log had it when the request came; the page misses none of it.
            limit: The most messages.
            whole_millisecond: Go on to the end of the last message's millisecond, so that a reader that goes on by
                time skips none that share it.
            ahead: What the hot store has said to the page's first query.
        """
        reader = _Backwards(self, room_id, bound, last_seq=last_seq, limit=limit, ahead=ahead)
        found: list[bytes] = []
        end = limit
        while True:
            if whole_millisecond and len(found) >= limit:
                end = limit
                while end < len(found) and found[end][MILLISECOND] == found[limit - 1][MILLISECOND]:
                    end += 1
            if len(found) > end:
                return MessagePage(found[:end], has_more=True)
            more = await reader.next()
            if more is None:
                return MessagePage(found, has_more=False)
            found += more

    async def after(
        self, room_id: UUID, bound: UUID, *, last_seq: int, limit: int, ahead: Ahead | None = None
    ) -> MessagePage:
        """The oldest messages above `bound`, newest of them first; the arguments are those of `before`."""
        found, covered = await self._hot_after(room_id, bound, last_seq=last_seq, limit=limit, ahead=ahead)
        if len(found) <= limit and covered < last_seq:
            start = max(bound, from_ulid(found[-1][ID].decode())) if found else bound
            found += await self._history.page_after(room_id, start, limit=limit + 1 - len(found), above=covered)
        return MessagePage(found[:limit][::-1], has_more=len(found) > limit)

    async def _hot_after(
        self, room_id: UUID, bound: UUID, *, last_seq: int, limit: int, ahead: Ahead | None
    ) -> tuple[list[bytes], int]:
        """What the hot store has above `bound`, and up to which position it answers for that."""
        found: list[bytes] = []
        at = bound
        while len(found) <= limit:
            page = await self.ask_again(first_query(room_id, limit, after=at), ahead, last_seq)
            ahead = None
            # What the store has not got yet may have changed what it holds: a message that is deleted by now.
            if page is None or page.last < max(page.first, last_seq):
                return found, 0 if at == bound else position(at)
            if not page.entries:
                # Everything it holds is at or below `at`.
                return found, page.last
            first = position(from_ulid(page.entries[0][ID].decode()))
            if first != position(at) + 1 or not is_contiguous(page.entries):
                return found, 0 if at == bound else position(at)
            found += live(page.entries)
            at = from_ulid(page.entries[-1][ID].decode())
            if len(page.entries) < limit + 1 + SPARE:
                return found, page.last
        return found, position(at)

    async def ask_again(self, query: PageQuery, ahead: Ahead | None, last_seq: int) -> Page | None:
        """The hot store's page: as it was told ahead, unless the room has gone on since."""
        if ahead is not None and (ahead.page is None or ahead.page.last >= last_seq):
            return ahead.page
        return await self.ask(query)

    async def ask(self, query: PageQuery) -> Page | None:
        """The hot store's page; None where the log has to be read."""
        try:
            return await self._ask(query)
        except (HotStoreStale, HotStoreUnavailable):
            self._keeper.notice()
            return None

    async def from_log(self, room_id: UUID, bound: UUID | None, *, limit: int, above: int = 0) -> list[bytes]:
        """The log's messages below `bound`, newest first."""
        return await self._history.page_before(room_id, bound, limit=limit, above=above)

    async def _ask_all(self, queries: list[PageQuery]) -> list[Page | None]:
        different = list(dict.fromkeys(queries))
        answers = dict(zip(different, await self._hot.messages.pages(different, now=now_ms()), strict=True))
        return [answers[query] for query in queries]


class _Backwards:
    """Walks a room from `bound` to its beginning, a chunk at a time: the hot store, then the log."""

    def __init__(
        self, pages: Pages, room_id: UUID, bound: UUID | None, *, last_seq: int, limit: int, ahead: Ahead | None
    ) -> None:
        self._pages = pages
        self._room_id = room_id
        self._bound = bound
        self._last_seq = last_seq
        self._limit = limit
        self._chunk = limit + 1 + SPARE
        self._ahead = ahead
        self._hot = True
        self._ended = last_seq == 0

    async def next(self) -> list[bytes] | None:
        """The next messages, newest first, perhaps none of a chunk of stubs; None at the end."""
        if self._ended:
            return None
        if self._hot:
            found = await self._from_hot()
            if found is not None:
                return found
            self._hot = False
        found = await self._pages.from_log(self._room_id, self._bound, limit=self._chunk)
        self._ended = len(found) < self._chunk
        if found:
            self._bound = from_ulid(found[-1][ID].decode())
        return found

    async def _from_hot(self) -> list[bytes] | None:
        query = first_query(self._room_id, self._limit, before=self._bound)
        page = await self._pages.ask_again(query, self._ahead, self._last_seq)
        self._ahead = None
        if page is None or page.last < self._last_seq or not page.entries or not is_contiguous(page.entries):
            return None
        if self._bound is None and position(from_ulid(page.entries[0][ID].decode())) != page.last:
            return None
        last = from_ulid(page.entries[-1][ID].decode())
        self._bound = last
        if position(last) == 1:
            self._ended = True
        elif len(page.entries) < self._chunk:
            self._hot = False
        return live(page.entries)


def first_query(room_id: UUID, limit: int, *, before: UUID | None = None, after: UUID | None = None) -> PageQuery:
    """What the hot store is asked first for a page."""
    return PageQuery(
        room_id,
        limit + 1 + SPARE,
        before=None if before is None else to_ulid(before),
        after=None if after is None else to_ulid(after),
    )


def is_contiguous(entries: Sequence[bytes]) -> bool:
    """Whether no position is missing between the first entry and the last; ids are unique and in order."""
    ends = position(from_ulid(entries[0][ID].decode())) - position(from_ulid(entries[-1][ID].decode()))
    return abs(ends) == len(entries) - 1


def live(entries: Sequence[bytes]) -> list[bytes]:
    """The entries that are messages; the rest are stubs, told by one byte."""
    return [entry for entry in entries if entry[STUB_AT] == COMMA]
