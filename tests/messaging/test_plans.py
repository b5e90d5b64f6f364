"""What Postgres looks at for a page of the log: the entries of that room, however many others are newer or older."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from aicq.db.engine import connect_pool
from aicq.messaging.history import History
from tests.messaging.conftest import Pool, add_agent, add_room

pytestmark = pytest.mark.anyio

BEGAN = 1_700_000_000_000

EACH = 10_000

FILL = """
INSERT INTO messages (room_id, seq, id, author_id, body, created_at, updated_at)
SELECT $1, n, (lpad(to_hex($3 + n), 12, '0') || lpad(to_hex(n), 10, '0') || repeat('a', 10))::uuid, $2,
    'word', now(), now()
FROM generate_series(1, $4::bigint) n
"""

LOOKED_AT = "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = 'messages'"


@pytest.fixture(scope="module")
async def rooms(database_url: str) -> list[UUID]:
    """Three rooms, one after the other: each was left before the next began."""
    database = await asyncpg.connect(database_url)
    author = await add_agent(database)
    rooms = [await add_room(database) for _ in range(3)]
    for number, room in enumerate(rooms):
        await database.execute(FILL, room, author, BEGAN + number * EACH, EACH)
        await database.execute("UPDATE rooms SET last_seq = $2, last_active_at = now() WHERE id = $1", room, EACH)
    await database.execute("VACUUM ANALYZE messages, rooms")
    await database.close()
    return rooms


@pytest.fixture
async def single(database_url: str) -> AsyncIterator[Pool]:
    """A pool of one connection, so that counts are complete."""
    pool = await connect_pool(database_url, name="log", size=1)
    yield pool
    await pool.close()


async def looked_at(pool: Pool, read: Callable[[], Awaitable[object]]) -> int:
    """How many entries the indexes gave while something was read, more often than a plan is made anew."""
    await pool.execute("SELECT pg_stat_force_next_flush()")
    before = await pool.fetchval(LOOKED_AT)
    for _ in range(10):
        await read()
    await pool.execute("SELECT pg_stat_force_next_flush()")
    return int(await pool.fetchval(LOOKED_AT) - before) // 10


async def test_a_page_looks_at_no_entries_of_other_rooms(single: Pool, rooms: list[UUID]) -> None:
    history = History(single)
    for room in rooms:
        pages = [await history.page_before(room, None, limit=50), await history.page_after(room, UUID(int=0), limit=50)]
        assert [len(page) for page in pages] == [50, 50]
        assert await looked_at(single, lambda room=room: history.page_before(room, None, limit=50)) <= 51  # type: ignore[misc] # bound by default
        assert await looked_at(single, lambda room=room: history.page_after(room, UUID(int=0), limit=50)) <= 51  # type: ignore[misc] # likewise


async def test_where_rooms_begin_is_found_without_a_look_at_other_rooms(single: Pool, rooms: list[UUID]) -> None:
    history = History(single)
    assert {room.id for room in await history.hot_rooms(since=BEGAN - 1)} >= set(rooms)
    assert await looked_at(single, lambda: history.hot_rooms(since=BEGAN - 1)) <= 2 * len(rooms)


async def test_a_run_from_where_a_room_begins_looks_at_no_entries_of_other_rooms(
    single: Pool, rooms: list[UUID]
) -> None:
    history, last = History(single), rooms[-1]
    assert await looked_at(single, lambda: history.below(last, None, since=BEGAN - 1, limit=50)) <= 60
