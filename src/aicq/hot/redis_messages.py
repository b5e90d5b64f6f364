"""The last 24 hours of messages in Redis: spans, pages and search.

What a message is found by stands in the sets of its words. They hold ids only, and a word's set may name a message that
is gone, or no longer has the word; so whatever a search finds there is compared with the message itself.
"""

# ruff: noqa: D102 - what the methods promise stands in hot/base.py

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from aicq.hot import keys
from aicq.hot.base import (
    HOT_WINDOW,
    STUB_AT,
    Change,
    Entry,
    Found,
    Hit,
    Messages,
    Page,
    PageQuery,
    Run,
    SearchQuery,
)
from aicq.hot.redis_client import RedisClient, Script
from aicq.hot.words import index_words

TTL = 26 * 3_600_000
"""Milliseconds after the last write that Redis drops a room or a word by itself."""

TTL_PERIOD = 3_600_000
"""A word's time to live is set again only when it was last set in another of these periods; calls cost."""

REFERENCES = 4_000
"""References from words to messages that one call adds; more are added ahead, in calls of their own."""

SWEEP_ONE_IN = 8
"""Of the word sets that are written, one in so many is swept as well."""

WALK = 500
"""Messages that one call of a search looks at."""

_SHARED = "messages"
_APPEND = Script(_SHARED, "messages_append")
_INDEX = Script(_SHARED, "messages_index")
_PREPEND = Script(_SHARED, "messages_prepend")
_REVISE = Script(_SHARED, "messages_revise")
_GET = Script(_SHARED, "messages_get")
_PAGES = Script(_SHARED, "messages_pages")
_SEARCH = Script(_SHARED, "messages_search")

_DIGITS = {digit: value for value, digit in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}

Item = tuple[str, str, str]
"""Score, message id, room id and message id: what word sets are told of a message."""


class _Body(msgspec.Struct):
    body: str = ""


_decode_body = msgspec.json.Decoder(_Body).decode


class RedisMessages(Messages):
    """Messages in Redis.

    Args:
        client: The connections.
        epoch: Tells the epoch that calls are for.
    """

    def __init__(self, client: RedisClient, epoch: Callable[[], int]) -> None:
        self._client = client
        self._epoch = epoch
        self._kept = _Kept()

    async def append(self, runs: Sequence[Run], *, now: int) -> list[int]:
        if not runs:
            return []
        changes = [_final_changes(run) for run in runs]
        old = await self._old_words(runs, changes)
        index = _Index(self._kept.begin(self._epoch(), now))
        number = 0
        for run in runs:
            for entry in run.entries:
                number += 1
                index.add(number, run.room_id, run.public, entry.id, entry.words)
        if index.references > REFERENCES:
            await self._index_ahead(index, now)
        for run, made in zip(runs, changes, strict=True):
            for _, change in made:
                number += 1
                index.add(number, run.room_id, run.public, change.target, change.words)
                gone = old[run.room_id, change.target].difference(change.words)
                index.remove(number, run.room_id, run.public, gone)
        packed = [_packed(run, made) for run, made in zip(runs, changes, strict=True)]
        words = index.packed()
        answer: list[int] = await self._run(_APPEND, [_expired(now), TTL, packed, index.items, words])
        self._kept.confirm(words)
        return answer

    async def prepend(self, run: Run, *, now: int) -> bool:
        index = _Index(self._kept.begin(self._epoch(), now))
        for number, entry in enumerate(run.entries, 1):
            index.add(number, run.room_id, run.public, entry.id, entry.words)
        if index.references > REFERENCES:
            await self._index_ahead(index, now)
        words = index.packed()
        added = await self._run(_PREPEND, [_expired(now), TTL, _packed(run, []), index.items, words])
        if added:
            self._kept.confirm(words)
        return bool(added)

    async def revise(self, room_id: UUID, *, public: bool, changes: Sequence[Change]) -> None:
        final = list({change.target: change for change in changes}.values())
        old = await self._wires((room_id, change.target) for change in final)
        # Times decide nothing here: a revision neither sweeps nor is refused by age.
        index = _Index(self._kept.begin(self._epoch(), None))
        for number, (change, wire) in enumerate(zip(final, old, strict=True), 1):
            index.add(number, room_id, public, change.target, change.words)
            index.remove(number, room_id, public, _words_of(wire).difference(change.words))
        made = [(_score(change.target), change.target, change.wire.decode()) for change in final]
        words = index.packed()
        await self._run(_REVISE, ["-inf", keys.messages(room_id), made, index.items, words])

    async def pages(self, queries: Sequence[PageQuery], *, now: int) -> list[Page | None]:
        packed = [_packed_query(query) for query in queries]
        return [_page(answer) for answer in await self._run(_PAGES, [_expired(now), packed])]

    async def search(self, query: SearchQuery, *, now: int) -> Found:
        room = str(query.room_id) if query.room_id else ""
        prefix = keys.room_words(query.room_id) if query.room_id else keys.PUBLIC_WORDS
        word_keys = [prefix + word for word in query.words]
        before = str(max(query.after, now - HOT_WINDOW))
        wanted = set(query.words)
        hits: list[Hit] = []
        candidates, rarest, cursor, ended = query.candidates, 0, ("", ""), False
        while candidates > 0 and len(hits) < query.limit and not ended:
            walk = [query.limit - len(hits), min(WALK, candidates), rarest, *cursor]
            answer = await self._run(_SEARCH, [keys.ROOMS, room, word_keys, before, *walk])
            rarest, looked, ended, *cursor_bytes = answer[:5]
            cursor = (cursor_bytes[0].decode(), cursor_bytes[1].decode())
            candidates -= looked
            hits += [Hit(UUID(home.decode()), wire) for home, wire in answer[5:] if wanted <= _words_of(wire)]
        return Found(hits, truncated=not ended and len(hits) < query.limit)

    async def forget(self, room_id: UUID) -> None:
        await self._client.call("UNLINK", keys.span(room_id), keys.messages(room_id))

    async def _run(self, script: Script, arguments: list[object]) -> Any:
        return await self._client.run_in_epoch(script, self._epoch(), msgspec.msgpack.encode(arguments))

    async def _index_ahead(self, index: "_Index", now: int) -> None:
        """Adds the references in calls of bounded size; they are seen by nobody until their messages are there."""
        for words in index.take_chunks():
            await self._run(_INDEX, [_expired(now), index.items, words])
            self._kept.confirm(words)

    async def _old_words(
        self, runs: Sequence[Run], changes: Sequence[Sequence[tuple[int, Change]]]
    ) -> dict[tuple[UUID, str], set[str]]:
        """By which words the targets were found until now, be they in the store or in these very runs."""
        targets = [
            (run.room_id, change.target) for run, made in zip(runs, changes, strict=True) for _, change in made
        ]
        if not targets:
            return {}
        wires = await self._wires(targets)
        old = {target: _words_of(wire) for target, wire in zip(targets, wires, strict=True)}
        for run in runs:
            for entry in run.entries:
                for target, words in _words_given(entry):
                    if (run.room_id, target) in old:
                        old[run.room_id, target].update(words)
        return old

    async def _wires(self, targets: Iterable[tuple[UUID, str]]) -> list[bytes | None]:
        wanted = [(keys.messages(room_id), _score(target), target) for room_id, target in targets]
        wires: list[bytes | None] = await self._run(_GET, list(wanted)) if wanted else []
        return wires


class _Kept:
    """Which word sets were given their time to live in this period; the rest is given it when written."""

    MOST = 200_000

    def __init__(self) -> None:
        self._period: tuple[int, int] = (0, 0)
        self._keys: set[str] = set()
        self.turn = 0

    def begin(self, epoch: int, now: int | None) -> "_Kept":
        period = (epoch, self._period[1] if now is None else now // TTL_PERIOD)
        if period != self._period or len(self._keys) > self.MOST:
            self._period = period
            self._keys = set()
        self.turn += 1
        return self

    def ttl(self, key: str) -> int:
        return 0 if key in self._keys else TTL

    def confirm(self, words: Iterable[Sequence[Any]]) -> None:
        """To be called when they are written."""
        self._keys.update(word[0] for word in words)


class _Index:
    """Collects what words are told: one entry per set, however many messages of the batch have the word."""

    def __init__(self, kept: _Kept) -> None:
        self.items: list[Item] = []
        self.references = 0
        self._kept = kept
        self._public: dict[str, list[int]] = {}
        self._rooms: dict[UUID, dict[str, list[int]]] = {}

    def add(self, number: int, room_id: UUID, public: bool, message_id: str, words: Iterable[str]) -> None:
        self.items.append((_score(message_id), message_id, f"{room_id}:{message_id}"))
        self._note(number, room_id, public, words)

    def remove(self, number: int, room_id: UUID, public: bool, words: Iterable[str]) -> None:
        self._note(-number, room_id, public, words)

    def _note(self, number: int, room_id: UUID, public: bool, words: Iterable[str]) -> None:
        room = self._rooms.setdefault(room_id, {})
        for word in words:
            room.setdefault(word, []).append(number)
            self.references += 1
            if public:
                self._public.setdefault(word, []).append(number)
                self.references += 1

    def packed(self) -> list[list[object]]:
        words = [self._set(keys.PUBLIC_WORDS + word, 3, numbers) for word, numbers in self._public.items()]
        for room_id, room in self._rooms.items():
            prefix = keys.room_words(room_id)
            words += [self._set(prefix + word, 2, numbers) for word, numbers in room.items()]
        return words

    def take_chunks(self) -> Iterable[list[list[object]]]:
        """All that was collected, in chunks; nothing is left but the items."""
        words = self.packed()
        self._public, self._rooms, self.references = {}, {}, 0
        chunk: list[list[object]] = []
        size = 0
        for word in words:
            chunk.append(word)
            size += len(word)
            if size > REFERENCES:
                yield chunk
                chunk, size = [], 0
        yield chunk

    def _set(self, key: str, column: int, numbers: list[int]) -> list[object]:
        swept = SWEEP_ONE_IN * (2 * len(numbers) + 8) if (hash(key) + self._kept.turn) % SWEEP_ONE_IN == 0 else 0
        return [key, column, self._kept.ttl(key), swept, *numbers]


def _packed(run: Run, changes: Sequence[tuple[int, Change]]) -> list[object]:
    entries: list[object] = []
    for entry in run.entries:
        entries += (_score(entry.id), entry.wire.decode())
    made = [(number, _score(change.target), change.target, change.wire.decode()) for number, change in changes]
    first = _position(run.entries[0].id)
    return [keys.span(run.room_id), keys.messages(run.room_id), str(int(run.public)), first, entries, *made]


def _packed_query(query: PageQuery) -> tuple[object, ...]:
    bound = query.before or query.after
    direction = "before" if query.before else "after" if query.after else "newest"
    score = _score(bound) if bound else ""
    return keys.span(query.room_id), keys.messages(query.room_id), query.limit, direction, score, bound or ""


def _page(answer: list[Any] | None) -> Page | None:
    if answer is None:
        return None
    last, lowest, *entries = answer
    return Page(first=_position(lowest.decode()) if lowest else last + 1, last=last, entries=entries)


def _final_changes(run: Run) -> list[tuple[int, Change]]:
    """The last change of each message that the run changes, with the number of its entry."""
    final = {entry.change.target: (number, entry.change) for number, entry in enumerate(run.entries, 1) if entry.change}
    return list(final.values())


def _words_given(entry: Entry) -> Iterable[tuple[str, Sequence[str]]]:
    yield entry.id, entry.words
    if entry.change:
        yield entry.change.target, entry.change.words


def _words_of(wire: bytes | None) -> set[str]:
    if wire is None or wire[STUB_AT : STUB_AT + 1] == b"}":
        return set()
    return set(index_words(_decode_body(wire).body))


def _expired(now: int) -> str:
    """The latest time that is no longer seen."""
    return str(now - HOT_WINDOW)


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 32 + _DIGITS[digit]
    return value


def _score(message_id: str) -> str:
    return str(_number(message_id[:10]))


def _position(message_id: str) -> int:
    return _number(message_id[10:18])
