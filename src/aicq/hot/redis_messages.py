"""The last 24 hours of messages in Redis: spans, pages and search.

What a message is found by stands in the sets of its words. They hold ids only, and a word's set may name a message that
is gone, or no longer has the word; so whatever a search finds there is compared with the message itself.
"""

# ruff: noqa: D102 - what the methods promise stands in hot/base.py

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any
from uuid import UUID

import msgspec

from aicq.errors import HotStoreUnavailable
from aicq.hot import keys
from aicq.hot.base import (
    HOT_WINDOW,
    STUB_AT,
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
from aicq.hot.redis_client import RedisClient, Script
from aicq.hot.words import index_words
from aicq.ids import first_id_at, to_ulid

TTL = 26 * 3_600_000
"""Milliseconds after the last write that Redis drops a room or a word by itself."""

REFERENCES = 250
"""References from words to messages that one call adds; of more, several calls are made.

So many take Redis about 1 ms, and everybody else waits for them.
"""

SENT_AT_ONCE = 16
"""Calls that are sent without waiting for the answer to the one before."""

RENEW_EVERY = 3_600_000
"""Milliseconds after which a word's key is given its time to live again."""

RENEWALS = 200_000
"""The most words that are remembered as renewed."""

WALK = 500
"""Messages that one call of a search looks at."""

MOST_WALKED = 50 * WALK
"""Messages that a search in one public room looks past, those of other rooms included."""

_SHARED = "messages"
_APPEND = Script(_SHARED, "messages_append")
_INDEX = Script(_SHARED, "messages_index")
_PREPEND = Script(_SHARED, "messages_prepend")
_REVISE = Script(_SHARED, "messages_revise")
_FORGET = Script(_SHARED, "messages_forget")
_GET = Script(_SHARED, "messages_get")
_PAGES = Script(_SHARED, "messages_pages")
_SEARCH = Script(_SHARED, "messages_search")

_DIGITS = {digit: value for value, digit in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}


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
        self._renewals = _Renewals()

    async def append(self, runs: Sequence[Run], *, now: int) -> list[int]:
        self._renewals.begin(now)
        parts = [part for run in runs for part in _parts(run)]
        changes = [_final_changes((number, e.change) for number, e in enumerate(part.entries, 1)) for part in parts]
        old = await self._old_words(parts, changes)
        calls: list[list[list[object]]] = []
        room_left = 0
        for part, made in zip(parts, changes, strict=True):
            words = self._words_in(part)
            for number, (_, change) in enumerate(made, 1 + len(part.entries)):
                words.change(number, old[part.room_id, change.target], change.words)
            if not calls or words.references > room_left:
                calls.append([])
                room_left = REFERENCES
            calls[-1].append(_packed(part, made, words))
            room_left -= words.references
        answers = await self._run_each(_APPEND, [[_expired(now), TTL, call] for call in calls])
        last = dict(zip((part.room_id for part in parts), chain.from_iterable(answers), strict=True))
        return [last[run.room_id] for run in runs]

    async def prepend(self, run: Run, *, now: int) -> bool:
        self._renewals.begin(now)
        words = self._words_in(run)
        if words.references > REFERENCES:
            # Nobody sees what is indexed ahead until the messages are there.
            ids = [entry.id for entry in run.entries]
            scores = [_score(entry.id) for entry in run.entries]
            await self._run_each(_INDEX, [[_expired(now), TTL, some, scores, ids] for some in words.take_chunks()])
        return bool(await self._run(_PREPEND, [_expired(now), TTL, _packed(run, [], words)]))

    async def revise(self, room_id: UUID, *, public: bool, changes: Sequence[Change]) -> None:
        final = [change for _, change in _final_changes(enumerate(changes))]
        wires = await self._wires([(room_id, change.target) for change in final])
        words = _Words(room_id, self._renewals, public=public)
        for number, (change, wire) in enumerate(zip(final, wires, strict=True), 1):
            words.change(number, _words_of(wire), change.words)
        made = [(_score(change.target), change.target, change.wire.decode()) for change in final]
        await self._run(_REVISE, [TTL, keys.messages(room_id), made, words.packed()])

    async def pages(self, queries: Sequence[PageQuery], *, now: int) -> list[Page | None]:
        packed = [_packed_query(query) for query in queries]
        return [_page(answer) for answer in await self._run(_PAGES, [_expired(now), packed])]

    async def search(self, query: SearchQuery, *, now: int) -> Found:
        if query.room_id is None:
            return await self._walk(query, keys.PUBLIC_WORDS, shared=True, now=now)
        # A room that became private has its older messages among the words of public rooms.
        parts = [
            await self._walk(query, keys.PUBLIC_WORDS, shared=True, now=now),
            await self._walk(query, keys.room_words(query.room_id), shared=False, now=now),
        ]
        hits = sorted((hit for part in parts for hit in part.hits), key=lambda hit: hit.wire[:STUB_AT], reverse=True)
        hits = hits[: query.limit]
        return Found(hits, truncated=len(hits) < query.limit and any(part.truncated for part in parts))

    async def _walk(self, query: SearchQuery, prefix: str, *, shared: bool, now: int) -> Found:
        """Walks the messages that hold the rarest word, newest first, among one set of words."""
        room = str(query.room_id) if query.room_id else ""
        before = max(query.after, now - HOT_WINDOW)
        scope = [keys.ROOMS, room, prefix, int(shared), query.words, str(before), to_ulid(first_id_at(before))[:10]]
        wanted = set(query.words)
        hits: list[Hit] = []
        candidates, walk, rarest, cursor, ended = query.candidates, MOST_WALKED, 0, ("", ""), False
        while candidates > 0 and walk > 0 and len(hits) < query.limit and not ended:
            missing = query.limit - len(hits)
            # Of a single word nearly everything looked at is a hit.
            looks = min(WALK, candidates, missing + 10 if len(query.words) == 1 and not room else WALK)
            answer = await self._run(_SEARCH, [*scope, missing, looks, rarest, *cursor])
            rarest, looked, walked, ended, *cursor_bytes = answer[:6]
            cursor = (cursor_bytes[0].decode(), cursor_bytes[1].decode())
            candidates -= looked
            walk -= walked
            hits += [Hit(UUID(home.decode()), wire) for home, wire in answer[6:] if wanted <= _words_of(wire)]
        return Found(hits, truncated=not ended and len(hits) < query.limit)

    async def forget(self, room_id: UUID) -> None:
        await self._run(_FORGET, [keys.span(room_id), keys.messages(room_id)])

    async def _run(self, script: Script, arguments: list[object]) -> Any:
        [answer] = await self._run_each(script, [arguments])
        return answer

    async def _run_each(self, script: Script, calls: Sequence[list[object]]) -> list[Any]:
        """Makes calls one after the other; others' calls come between them."""
        answers: list[Any] = []
        try:
            for at in range(0, len(calls), SENT_AT_ONCE):
                packed = map(msgspec.msgpack.encode, calls[at : at + SENT_AT_ONCE])
                answers += await self._client.run_in_epoch(script, self._epoch(), packed)
        except (HotStoreStale, HotStoreUnavailable):
            self._renewals.forget()
            raise
        return answers

    def _words_in(self, run: Run) -> "_Words":
        words = _Words(run.room_id, self._renewals, public=run.public)
        for number, entry in enumerate(run.entries, 1):
            words.add(number, entry.words)
        return words

    async def _old_words(
        self, runs: Sequence[Run], changes: Sequence[Sequence[tuple[int, Change]]]
    ) -> dict[tuple[UUID, str], set[str]]:
        """By which words the targets of changes were found until now, be they in the store or in these very runs."""
        targets = [(run.room_id, change.target) for run, made in zip(runs, changes, strict=True) for _, change in made]
        wires = await self._wires(targets)
        old = {target: _words_of(wire) for target, wire in zip(targets, wires, strict=True)}
        for run in runs if targets else ():
            for entry in run.entries:
                for target, words in _words_given(entry):
                    if (run.room_id, target) in old:
                        old[run.room_id, target].update(words)
        return old

    async def _wires(self, targets: Sequence[tuple[UUID, str]]) -> list[bytes | None]:
        if not targets:
            return []
        wanted = [(keys.messages(room_id), _score(target), target) for room_id, target in targets]
        wires: list[bytes | None] = await self._run(_GET, list(wanted))
        return wires


class _Words:
    """What the words of a room are told by one call: which messages have them now, which have lost them.

    Args:
        room_id: The room.
        public: Whether anybody may find the room's messages.
        renewals: Knows which words' keys live long enough.
    """

    _turn = 0

    def __init__(self, room_id: UUID, renewals: "_Renewals", *, public: bool) -> None:
        self.references = 0
        self.numbers: defaultdict[str, list[int]] = defaultdict(list)
        self._room = f"{room_id}:"
        self._prefix = keys.PUBLIC_WORDS if public else keys.room_words(room_id)
        self._renewals = renewals

    def add(self, number: int, words: Sequence[str]) -> None:
        for word in words:
            self.numbers[word].append(number)
        self.references += len(words)

    def change(self, number: int, old: AbstractSet[str], new: Sequence[str]) -> None:
        self.add(number, new)
        for word in old - set(new):
            self.numbers[word].append(-number)

    def packed(self) -> list[object]:
        return self._packed(self.numbers)

    def take_chunks(self) -> Iterable[list[object]]:
        """All that was collected, in chunks; nothing is left."""
        chunk: dict[str, list[int]] = {}
        size = 0
        for word, numbers in self.numbers.items():
            chunk[word] = numbers
            size += len(numbers)
            if size > REFERENCES:
                yield self._packed(chunk)
                chunk, size = {}, 0
        yield self._packed(chunk)
        self.numbers.clear()
        self.references = 0

    def _packed(self, numbers: dict[str, list[int]]) -> list[object]:
        _Words._turn += 1
        return [self._prefix, self._room, _Words._turn, numbers, self._renewals.due(self._prefix, numbers)]


class _Renewals:
    """Remembers which words' keys were given their time to live a short while ago: one command a word is saved.

    A key lives two hours longer than what it holds, so it is early enough to renew it once an hour.
    """

    def __init__(self) -> None:
        self._renewed: set[str] = set()
        self._since = 0

    def begin(self, now: int) -> None:
        """Forgets what was renewed, once an hour, and when it is too much to remember."""
        if not 0 <= now - self._since < RENEW_EVERY or len(self._renewed) > RENEWALS:
            self._renewed.clear()
            self._since = now

    def forget(self) -> None:
        """Forgets all: a call that should have renewed keys has failed, or the keys are gone."""
        self._renewed.clear()

    def due(self, prefix: str, words: Iterable[str]) -> list[str]:
        """Those of the words that are to be renewed now."""
        due = [word for word in words if prefix + word not in self._renewed]
        self._renewed.update([prefix + word for word in due])
        return due


def _parts(run: Run) -> Iterable[Run]:
    """The run in parts that one call can add: the room grows by one after the other."""
    begin, references = 0, 0
    for at, entry in enumerate(run.entries):
        more = 1 + len(entry.words) + (len(entry.change.words) if entry.change else 0)
        if references and references + more > REFERENCES:
            yield Run(run.room_id, run.public, run.entries[begin:at])
            begin, references = at, 0
        references += more
    yield Run(run.room_id, run.public, run.entries[begin:])


def _packed(run: Run, changes: Sequence[tuple[int, Change]], words: _Words) -> list[object]:
    entries: list[str] = []
    for entry in run.entries:
        entries += (_score(entry.id), entry.wire.decode())
    made = [(number, _score(change.target), change.target, change.wire.decode()) for number, change in changes]
    first = _position(run.entries[0].id)
    room_id = run.room_id
    return [keys.span(room_id), keys.messages(room_id), int(run.public), first, entries, made, words.packed()]


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


def _final_changes(changes: Iterable[tuple[int, Change | None]]) -> list[tuple[int, Change]]:
    """The last change of each message, with the number of the last entry that changed it; nothing follows a delete.

    What is read of the log tells of an edit as the message stands now, so it may be a delete's stub already: made with
    the delete's number, it is made also where the store holds the edit.
    """
    final: dict[str, tuple[int, Change]] = {}
    for number, change in changes:
        if change is None:
            continue
        _, before = final.get(change.target, (0, change))
        final[change.target] = (number, before if _is_stub(before.wire) else change)
    return list(final.values())


def _words_given(entry: Entry) -> Iterable[tuple[str, Sequence[str]]]:
    yield entry.id, entry.words
    if entry.change:
        yield entry.change.target, entry.change.words


def _is_stub(wire: bytes) -> bool:
    return wire[STUB_AT : STUB_AT + 1] == b"}"


def _words_of(wire: bytes | None) -> set[str]:
    if wire is None or _is_stub(wire):
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
