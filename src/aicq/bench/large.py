"""What takes minutes to prepare and is measured only when asked for: a store with a million messages, a long log."""

import random
import time
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

import asyncpg
import msgspec
import redis.asyncio

from aicq.bench.stores import Store, opened
from aicq.bench.traffic import WORDS, sentences, vocabulary
from aicq.bench.visits import Times
from aicq.clock import from_ms, now_ms
from aicq.errors import StartError
from aicq.hot.base import HOT_WINDOW, Entry, HotStore, Run, SearchQuery
from aicq.ids import new_row_id, new_tail, to_ulid
from aicq.messaging.wire import WireMessage, message_entry

ROOMS = 100
"""Rooms that the messages are spread over."""

AT_ONCE = 100
"""Messages added in one call."""

SLACK = 1_800_000
"""Milliseconds before the oldest of them would expire: enough for the whole run."""

SEARCHES = 300
"""Searches of each kind."""

COMMON = slice(20)
"""The words that stand in most messages."""

RARE = slice(3_000, None)
"""The words that stand in one of a thousand messages, or fewer."""

KINDS: dict[str, Sequence[slice]] = {
    "1 common word": [COMMON],
    "1 rare word": [RARE],
    "2 common words": [COMMON, COMMON],
    "2 rare words": [RARE, RARE],
    "1 common and 1 rare word": [COMMON, RARE],
    "3 common words": [COMMON, COMMON, COMMON],
    "1 common and 2 rare words": [COMMON, RARE, RARE],
}
"""Kinds of searches: what their words are taken from."""

DAY = 86_400_000

LOG_BEGAN = 90 * DAY
"""How long ago the first message of a long log was posted, in milliseconds: it is not hot any more."""

ROWS_AT_ONCE = 250_000


class Searched(msgspec.Struct, frozen=True):
    """What a full hot store was found to be like.

    Args:
        times: Milliseconds that searches took, by kind.
        bytes_each: Bytes of memory, or of tables and indexes, that a message takes.
    """

    times: Times
    bytes_each: float


async def search_many(store: Store, count: int) -> Searched:
    """Fills the hot store with `count` messages of 25 words, searches them, and drops them again.

    Args:
        store: Which store, and where.
        count: How many messages.
    """
    async with opened(store) as hot:
        before = await _size(store)
        rooms = [uuid4() for _ in range(ROOMS)]
        await _fill(hot, rooms, count)
        after = await _size(store)
        times = {kind: await _search(hot, kind) for kind in KINDS}
        for room_id in rooms:
            await hot.messages.forget(room_id)
    return Searched(times, (after - before) / count)


async def _fill(hot: HotStore, rooms: Sequence[UUID], count: int) -> None:
    """Adds messages as a day brings them: to all rooms in turn, one call after the other."""
    author = str(uuid4())
    end = now_ms()
    began = end - HOT_WINDOW + SLACK
    for first in range(0, count, AT_ONCE):
        entries: dict[UUID, list[Entry]] = {room_id: [] for room_id in rooms}
        for number in range(first, min(first + AT_ONCE, count)):
            seq, room = divmod(number, len(rooms))
            entries[rooms[room]].append(_message(author, seq + 1, began + number * (end - began) // count))
        runs = [Run(room_id, public=True, entries=each) for room_id, each in entries.items() if each]
        await hot.messages.append(runs, now=end)


def _message(author: str, seq: int, at: int) -> Entry:
    # Words drawn anew: the texts in turn would let the same few thousand messages come again and again.
    one, other = random.choice(sentences()), random.choice(sentences())  # noqa: S311 - no secret
    body = " ".join(random.sample([*one.split(), *other.split()], WORDS))
    ulid = to_ulid(UUID(int=at << 80 | seq << 40 | new_tail()))
    return message_entry(WireMessage(id=ulid, seq=seq, author=author, body=body, ts=at))


async def _search(hot: HotStore, kind: str) -> list[float]:
    times = []
    for _ in range(SEARCHES):
        words = [random.choice(vocabulary()[part]) for part in KINDS[kind]]  # noqa: S311 - no secret
        started = time.perf_counter()
        await hot.messages.search(SearchQuery(words, 20), now=now_ms())
        times.append((time.perf_counter() - started) * 1000)
    return times


async def _size(store: Store) -> int:
    """Bytes that the messages take."""
    if store.kind == "redis":
        async with redis.asyncio.from_url(store.url) as client:
            return int((await client.info("memory"))["used_memory"])
    connection = await asyncpg.connect(store.url)
    try:
        # What autovacuum does in the course of a day.
        await connection.execute("VACUUM ANALYZE hot_messages")
        return int(await connection.fetchval("SELECT pg_total_relation_size('hot_messages')"))
    finally:
        await connection.close()


ADD_ROOM = """
INSERT INTO rooms (id, name, created_by, created_at, last_active_at, message_count, last_seq)
VALUES ($1, 'bench-log', $2, $3, $4, $5, $5)
"""

# A millisecond between two messages.
ADD_MESSAGES = """
INSERT INTO messages (room_id, seq, id, author_id, body, created_at, updated_at)
SELECT $1, n,
    (lpad(to_hex($3::bigint + n), 12, '0') || lpad(to_hex(n), 10, '0') || substr(md5(n::text), 1, 10))::uuid,
    $2, ($4::text[])[1 + n % cardinality($4::text[])], at, at
FROM generate_series($5::bigint, $6::bigint) n,
    LATERAL (SELECT timestamptz 'epoch' + ($3::bigint + n) * interval '1 millisecond' AS at) moment
"""


async def load_log(url: str, author_id: UUID, count: int, tell: Callable[[int], None]) -> UUID:
    """Adds a room whose log holds `count` messages, none of them hot; returns its id.

    Args:
        url: The product's database.
        author_id: Who is to have written them.
        count: How many.
        tell: Is told how many there are, now and then.

    Raises:
        StartError: The login may not add rows without their checks.
    """
    room_id = new_row_id(now_ms())
    began = now_ms() - LOG_BEGAN
    connection = await asyncpg.connect(url)
    try:
        try:
            # Ten million looks at the same room and author would take longer than all else.
            await connection.execute("SET session_replication_role = replica")
        except asyncpg.InsufficientPrivilegeError:
            raise StartError("A long log can be loaded by a superuser only; leave DATABASE_URL unset.") from None
        await connection.execute(ADD_ROOM, room_id, author_id, from_ms(began), from_ms(began + count), count)
        for first in range(1, count + 1, ROWS_AT_ONCE):
            last = min(first + ROWS_AT_ONCE - 1, count)
            await connection.execute(ADD_MESSAGES, room_id, author_id, began, sentences(), first, last)
            tell(last)
        await connection.execute("VACUUM ANALYZE messages")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    return room_id
