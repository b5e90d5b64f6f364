"""The last 24 hours of every room's log in Postgres: a round trip per call, made by the functions of migration 0003."""

# ruff: noqa: D102 - the interface says what each method does

from collections.abc import Callable, Sequence
from uuid import UUID

from aicq.hot.base import (
    HOT_WINDOW,
    Change,
    Entry,
    Found,
    Hit,
    HotStoreStale,
    Messages,
    Page,
    PageQuery,
    Run,
    SearchQuery,
)
from aicq.hot.postgres_client import CALL_TIMEOUT, Database
from aicq.ids import first_id_at, from_ulid, milliseconds, position

FORGOTTEN_AT_ONCE = 1000
"""Messages that are dropped of a room in one call."""

ENTRIES_PER_SECOND = 250
"""How many entries are added at the very least, on a machine that has other things to do."""

LONGEST_WORD = 500
"""Characters of a word that count; Postgres corrupts a lexeme of 2,048 bytes."""

NEWEST = UUID(int=(1 << 128) - 1)


class PostgresMessages(Messages):
    """The last 24 hours of every room's log.

    Args:
        database: Makes the calls.
        epoch: Tells the epoch that this process works in.
    """

    def __init__(self, database: Database, epoch: Callable[[], int]) -> None:
        self._database = database
        self._epoch = epoch

    async def append(self, runs: Sequence[Run], *, now: int) -> list[int]:
        rooms, publics, firsts, lasts = [], [], [], []
        entries = _Entries()
        changes = _Changes()
        for number, run in enumerate(runs, 1):
            for entry in run.entries:
                seq = entries.add(number, entry)
                if entry.change is not None:
                    changes.add(number, seq, entry.change)
            rooms.append(run.room_id)
            publics.append(run.public)
            lasts.append(entries.seqs[-1])
            firsts.append(entries.seqs[-1] - len(run.entries) + 1)
        answer: list[int] | None = await self._database.value(
            "append",
            self._epoch(),
            now - HOT_WINDOW,
            rooms,
            publics,
            firsts,
            lasts,
            entries.runs,
            entries.ids,
            entries.times,
            entries.seqs,
            entries.wires,
            entries.words,
            changes.runs,
            changes.seqs,
            changes.targets,
            changes.wires,
            changes.words,
            seconds=_seconds(entries),
        )
        if answer is None:
            raise HotStoreStale
        return answer

    async def prepend(self, run: Run, *, now: int) -> bool:
        entries = _Entries()
        for entry in run.entries:
            entries.add(1, entry)
        added: bool | None = await self._database.value(
            "prepend",
            self._epoch(),
            now - HOT_WINDOW,
            first_id_at(now - HOT_WINDOW + 1),
            run.room_id,
            run.public,
            entries.seqs[-1],
            entries.ids,
            entries.times,
            entries.wires,
            entries.words,
            seconds=_seconds(entries),
        )
        if added is None:
            raise HotStoreStale
        return added

    async def revise(self, room_id: UUID, *, public: bool, changes: Sequence[Change]) -> None:
        made = _Changes()
        for change in changes:
            made.add(1, 0, change)
        if (
            await self._database.value("revise", self._epoch(), room_id, public, made.targets, made.wires, made.words)
            is None
        ):
            raise HotStoreStale

    async def pages(self, queries: Sequence[PageQuery], *, now: int) -> list[Page | None]:
        rows = await self._database.rows(
            "pages",
            self._epoch(),
            first_id_at(now - HOT_WINDOW + 1),
            [query.room_id for query in queries],
            [query.limit for query in queries],
            [NEWEST if query.before is None else from_ulid(query.before) for query in queries],
            [None if query.after is None else from_ulid(query.after) for query in queries],
        )
        if not rows:
            raise HotStoreStale
        return [
            None if last is None else _page(last, first_id, wires or [])
            for last, first_id, wires in rows[: len(queries)]
        ]

    async def search(self, query: SearchQuery, *, now: int) -> Found:
        after = max(query.after, now - HOT_WINDOW)
        words = [_quoted(word) for word in dict.fromkeys(query.words)]
        rows = await self._database.rows(
            "search",
            self._epoch(),
            words,
            query.room_id,
            after,
            first_id_at(after + 1),
            query.limit,
            query.candidates,
        )
        if rows[0]["stale"]:
            raise HotStoreStale
        hits = [Hit(row["room_id"], row["wire"]) for row in rows if row["wire"] is not None]
        return Found(hits, rows[0]["truncated"])

    async def forget(self, room_id: UUID) -> None:
        gone: bool | None = False
        while gone is False:
            gone = await self._database.value("forget", self._epoch(), room_id, FORGOTTEN_AT_ONCE)
        if gone is None:
            raise HotStoreStale


class _Entries:
    """Entries as the columns that a function takes."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.ids: list[UUID] = []
        self.times: list[int] = []
        self.seqs: list[int] = []
        self.wires: list[bytes] = []
        self.words: list[str] = []

    def add(self, run: int, entry: Entry) -> int:
        """Adds an entry and returns its position."""
        entry_id = from_ulid(entry.id)
        seq = position(entry_id)
        self.runs.append(run)
        self.ids.append(entry_id)
        self.times.append(milliseconds(entry_id))
        self.seqs.append(seq)
        self.wires.append(entry.wire)
        self.words.append(_joined(entry.words))
        return seq


class _Changes:
    """Changes as the columns that a function takes."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.seqs: list[int] = []
        self.targets: list[UUID] = []
        self.wires: list[bytes] = []
        self.words: list[str] = []

    def add(self, run: int, seq: int, change: Change) -> None:
        self.runs.append(run)
        self.seqs.append(seq)
        self.targets.append(from_ulid(change.target))
        self.wires.append(change.wire)
        self.words.append(_joined(change.words))


def _seconds(entries: _Entries) -> float:
    """How long it may take to add entries: a refill adds more than the hot path."""
    return max(CALL_TIMEOUT, len(entries.ids) / ENTRIES_PER_SECOND)


def _joined(words: Sequence[str]) -> str:
    """Words as lexemes in one text, since an array of arrays of different lengths cannot be sent."""
    return "\x1f".join(["w" + word[:LONGEST_WORD] for word in words])


def _quoted(word: str) -> str:
    """A word as a lexeme in the text of a query."""
    return "'w" + word[:LONGEST_WORD].replace("\\", "\\\\").replace("'", "''") + "'"


def _page(last: int, first_id: UUID | None, wires: Sequence[bytes]) -> Page:
    return Page(last + 1 if first_id is None else position(first_id), last, wires)
