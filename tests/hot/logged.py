"""A room's log as the hot store is given it."""

from uuid import UUID, uuid4

import msgspec

from aicq.hot.base import Change, Entry, Found, HotStore, Page, PageQuery, Run
from aicq.hot.words import index_words
from aicq.ids import new_tail, to_ulid

NOW = 1_700_000_000_000
"""Any time; the stores take it from the caller."""

HOUR = 3_600_000


def message_id(at: int, seq: int) -> str:
    """The id of the entry at a position."""
    return to_ulid(UUID(int=at << 80 | seq << 40 | new_tail()))


def stub(entry_id: str) -> bytes:
    """The wire form of what has no text."""
    return f'{{"id":"{entry_id}"}}'.encode()


class LoggedRoom:
    """A room whose entries have gapless positions from 1 on.

    Args:
        public: Whether anybody may find its messages.
        room_id: Its id, if that matters.
    """

    def __init__(self, *, public: bool = True, room_id: UUID | None = None) -> None:
        self.id = room_id or uuid4()
        self.public = public
        self.entries: list[Entry] = []
        self._time = 0

    def post(self, body: str, *, at: int = NOW) -> Entry:
        """Logs a message."""
        entry_id = self._next_id(at)
        return self._log(Entry(entry_id, self.wire(entry_id, body), index_words(body)))

    def edit(self, target: Entry, body: str, *, at: int = NOW) -> Entry:
        """Logs an edit."""
        return self._log_change(Change(target.id, self.wire(target.id, body), index_words(body)), at)

    def delete(self, target: Entry, *, at: int = NOW) -> Entry:
        """Logs a delete."""
        return self._log_change(Change(target.id, stub(target.id)), at)

    def fill(self, count: int, *, at: int = NOW, every: int = 1) -> None:
        """Logs messages, one every so many milliseconds."""
        for number in range(count):
            self.post(f"message number {len(self.entries) + 1}", at=at + number * every)

    def run(self, first: int = 1, last: int | None = None) -> Run:
        """The entries at these positions."""
        return Run(self.id, self.public, self.entries[first - 1 : last])

    def wires(self, first: int = 1, last: int | None = None) -> list[bytes]:
        """The wire forms of the entries at these positions, as they were logged."""
        return [entry.wire for entry in self.entries[first - 1 : last]]

    def wire(self, entry_id: str, body: str) -> bytes:
        """The wire form of a message."""
        return msgspec.json.encode({"id": entry_id, "from": str(UUID(int=1)), "body": body, "ts": 0})

    def _log_change(self, change: Change, at: int) -> Entry:
        entry_id = self._next_id(at)
        return self._log(Entry(entry_id, stub(entry_id), (), change))

    def _next_id(self, at: int) -> str:
        # Time never goes back in a room.
        self._time = max(self._time, at)
        return message_id(self._time, len(self.entries) + 1)

    def _log(self, entry: Entry) -> Entry:
        self.entries.append(entry)
        return entry


async def read(store: HotStore, *queries: PageQuery, now: int = NOW) -> list[Page | None]:
    """Pages whose entries compare as lists."""
    pages = await store.messages.pages(queries, now=now)
    return [page and Page(page.first, page.last, list(page.entries)) for page in pages]


async def read_newest(store: HotStore, room: LoggedRoom, *, now: int = NOW) -> Page | None:
    """All that the store holds of a room, newest first."""
    return (await read(store, PageQuery(room.id, 1000), now=now))[0]


def bodies(found: Found) -> list[str]:
    """The texts of what was found."""
    return [str(msgspec.json.decode(hit.wire)["body"]) for hit in found.hits]
