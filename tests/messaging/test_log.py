"""The log in one process against a real Postgres: every caller gets its own answer, whatever happens to the others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest

from aicq.db.engine import connect_pool
from aicq.errors import Forbidden, NotFound, OutcomeUnknown, ReplayedRequest, Unavailable, Unprocessable
from aicq.messaging import log as log_module
from aicq.messaging.log import MessageLog, Stored
from tests.messaging.conftest import (
    Connection,
    Outbox,
    Pool,
    a_draft,
    add_agent,
    add_room,
    assert_gapless,
    bodies,
    logged,
    until_blocked,
)

pytestmark = pytest.mark.anyio


async def answers_of(*calls: Awaitable[Stored]) -> list[Stored | BaseException]:
    """The answers to calls that are made at once, so that they ride in one group."""
    async with asyncio.timeout(30):
        return await asyncio.gather(*calls, return_exceptions=True)


@asynccontextmanager
async def locked(connection: Connection, *room_ids: UUID) -> AsyncIterator[None]:
    """Holds rooms' locks as another worker would."""
    async with connection.transaction():
        await connection.execute("SELECT FROM rooms WHERE id = ANY ($1) FOR UPDATE", room_ids)
        yield


@asynccontextmanager
async def stopped(connection: Connection) -> AsyncIterator[None]:
    """Holds every commit up at its nonces, after it has got its rooms."""
    async with connection.transaction():
        await connection.execute("LOCK TABLE nonces IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize(
    ("body", "refusal"), [("nul \x00", Unprocessable), ("half \ud800", Unprocessable)], ids=["nul", "surrogate"]
)
async def test_a_text_that_slipped_through_costs_no_neighbour_an_answer(  # noqa: PLR0917 - fixtures
    log: MessageLog,
    database: Connection,
    room: UUID,
    author: UUID,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    refusal: type[Exception],
) -> None:
    monkeypatch.setattr(log_module, "check_text", lambda _: None)
    texts = [f"good {n}" for n in range(20)]
    texts[7:7] = [body]
    answers = await answers_of(*(log.append(a_draft(room, author, text)) for text in texts))
    assert isinstance(answers.pop(7), refusal)
    assert all(isinstance(answer, Stored) for answer in answers)
    assert await bodies(database, room) == [f"good {n}" for n in range(20)]
    await assert_gapless(database, room)


async def test_several_bad_texts_are_found_by_halving(
    log: MessageLog, database: Connection, room: UUID, author: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "check_text", lambda _: None)
    bad = {0, 1, 30, 63}
    texts = [f"\x00{n}" if n in bad else f"{n}" for n in range(64)]
    answers = await answers_of(*(log.append(a_draft(room, author, text)) for text in texts))
    assert {n for n, answer in enumerate(answers) if isinstance(answer, Unprocessable)} == bad
    assert sum(isinstance(answer, Stored) for answer in answers) == 60
    assert sorted(map(int, await bodies(database, room))) == sorted(set(range(64)) - bad)
    await assert_gapless(database, room)


@pytest.mark.parametrize("text", ["nul \x00", "half \ud800"])
async def test_a_text_that_cannot_be_stored_is_refused_before_it_joins_a_group(
    log: MessageLog, database: Connection, room: UUID, author: UUID, text: str
) -> None:
    with pytest.raises(Unprocessable):
        await log.append(a_draft(room, author, text))
    assert await logged(database, room) == []


async def test_what_is_refused_costs_no_neighbour_an_answer_and_takes_no_position(
    log: MessageLog, database: Connection, room: UUID, author: UUID
) -> None:
    deleted, idle = await add_room(database), await add_agent(database)
    await database.execute("UPDATE rooms SET deleted_at = now() WHERE id = $1", deleted)
    await database.execute("UPDATE agents SET status = 'paused' WHERE id = $1", idle)
    answers = await answers_of(
        log.append(a_draft(room, author, "one")),
        log.append(a_draft(deleted, author)),
        log.append(a_draft(uuid4(), author)),
        log.append(a_draft(room, uuid4())),
        log.append(a_draft(room, idle)),
        log.append(a_draft(room, author, parent_id=uuid4())),
        log.append(a_draft(room, author, "", entry="delete", target_id=uuid4())),
        log.append(a_draft(room, author, "two")),
    )
    kinds = [type(answer) for answer in answers]
    assert kinds == [Stored, NotFound, NotFound, Forbidden, Forbidden, Unprocessable, NotFound, Stored]
    assert await bodies(database, room) == ["one", "two"]
    await assert_gapless(database, room)
    assert await database.fetchval("SELECT count(*) FROM nonces WHERE actor_id IN ($1, $2)", author, idle) == 2


async def test_a_caller_that_left_before_its_group_is_skipped(
    log: MessageLog, database: Connection, second: Connection, room: UUID, author: UUID
) -> None:
    async with stopped(second):
        first = asyncio.create_task(log.append(a_draft(room, author, "first")))
        await until_blocked(database)
        rest = [asyncio.create_task(log.append(a_draft(room, author, f"{n}"))) for n in range(10)]
        await asyncio.sleep(0)
        rest[3].cancel()
    answers = await answers_of(first, *rest)
    assert isinstance(answers.pop(4), asyncio.CancelledError)
    assert all(isinstance(answer, Stored) for answer in answers)
    assert await bodies(database, room) == ["first", *(f"{n}" for n in range(10) if n != 3)]


async def test_a_caller_that_left_while_its_group_was_in_flight_costs_nobody_anything(  # noqa: PLR0917 - fixtures
    log: MessageLog, outbox: Outbox, database: Connection, second: Connection, room: UUID, author: UUID
) -> None:
    async with stopped(second):
        calls = [asyncio.create_task(log.append(a_draft(room, author, f"{n}"))) for n in range(10)]
        await until_blocked(database)
        calls[3].cancel()
        calls[9].cancel()
    answers = await answers_of(*calls)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, asyncio.CancelledError)] == [3, 9]
    assert sum(isinstance(answer, Stored) for answer in answers) == 8
    assert await bodies(database, room) == [f"{n}" for n in range(10)]
    await log.drain()
    assert [stored.draft.body for stored in outbox.published] == [f"{n}" for n in range(10)]
    assert isinstance(await log.append(a_draft(room, author)), Stored)


async def test_a_locked_room_stops_no_other_and_its_lane_disappears(
    log: MessageLog, database: Connection, second: Connection, room: UUID, author: UUID
) -> None:
    other = await add_room(database)
    async with locked(second, room):
        stuck = []
        for n in range(5):
            stuck.append(asyncio.create_task(log.append(a_draft(room, author, f"{n}"))))
            await log.append(a_draft(other, author, f"before {n}"))
        await until_blocked(database)
        for n in range(20):
            answers = await answers_of(*(log.append(a_draft(other, author, f"{n} {m}")) for m in range(5)))
            assert all(isinstance(answer, Stored) for answer in answers)
        assert not any(call.done() for call in stuck)
    assert all(isinstance(answer, Stored) for answer in await answers_of(*stuck))
    assert await bodies(database, room) == [f"{n}" for n in range(5)]
    await assert_gapless(database, room, other)
    assert log._lanes == {}  # noqa: SLF001 - nothing else shows that lanes do not pile up
    assert isinstance(await log.append(a_draft(room, author)), Stored)


async def test_as_many_locked_rooms_as_there_are_connections_stop_no_other(
    log: MessageLog, database: Connection, second: Connection, room: UUID, author: UUID
) -> None:
    rooms = [await add_room(database) for _ in range(12)]
    async with locked(second, *rooms):
        stuck = [asyncio.create_task(log.append(a_draft(each, author))) for each in rooms]
        await until_blocked(database, count=2)
        for _ in range(20):
            async with asyncio.timeout(5):
                await log.append(a_draft(room, author))
        assert not any(call.done() for call in stuck)
    assert all(isinstance(answer, Stored) for answer in await answers_of(*stuck))
    await assert_gapless(database, room, *rooms)


async def test_a_room_that_stays_locked_is_answered_and_nothing_is_stored(
    log: MessageLog, database: Connection, second: Connection, room: UUID, author: UUID
) -> None:
    definition = await database.fetchval("SELECT pg_get_functiondef('message_log_append'::regproc)")
    await database.execute(definition.replace("'10s'", "'300ms'"))
    async with locked(second, room):
        [answer] = await answers_of(log.append(a_draft(room, author)))
    await database.execute(definition)
    assert isinstance(answer, Unavailable)
    assert not isinstance(answer, OutcomeUnknown)
    assert await logged(database, room) == []
    assert isinstance(await log.append(a_draft(room, author)), Stored)


@asynccontextmanager
async def workers(database_url: str, count: int) -> AsyncIterator[list[MessageLog]]:
    """Logs with pools of their own, as so many workers have them."""
    pools = [await connect_pool(database_url, name="worker", size=4) for _ in range(count)]
    logs = [MessageLog(pool, Outbox().publish) for pool in pools]
    yield logs
    for log, pool in zip(logs, pools, strict=True):
        await log.drain()
        await pool.close()


async def deadlocks(database: Connection) -> int:
    """How many deadlocks there were, once all workers' backends are gone and have told."""
    async with asyncio.timeout(20):
        gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'worker'"
        while not await database.fetchval(gone):  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.01)
    count: int = await database.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return count


async def test_of_copies_that_race_on_two_workers_one_is_stored_without_a_deadlock(
    database_url: str, database: Connection, second: Connection, author: UUID
) -> None:
    rooms = [await add_room(database) for _ in range(4)]
    before = await deadlocks(database)
    async with workers(database_url, 2) as (one, other):
        for turn in range(5):
            nonces = [uuid4().hex for _ in range(200)]
            # In other rooms, so that no lock on a room keeps the copies apart.
            drafts = [a_draft(rooms[n % 2], author, f"{turn} {n}", nonce=nonce) for n, nonce in enumerate(nonces)]
            copies = [a_draft(rooms[2 + n % 2], author, f"{turn} {n}", nonce=nonce) for n, nonce in enumerate(nonces)]
            async with stopped(second):
                calls = [*map(one.append, drafts), *map(other.append, reversed(copies))]
                racing = asyncio.create_task(answers_of(*calls))
                await until_blocked(database, count=2, application="worker")
            answers = await racing
            for pair in zip(answers[:200], reversed(answers[200:]), strict=True):
                assert sorted(type(answer).__name__ for answer in pair) == ["ReplayedRequest", "Stored"]
    assert await database.fetchval("SELECT count(*) FROM messages WHERE author_id = $1", author) == 1000
    assert await database.fetchval("SELECT count(*) FROM nonces WHERE actor_id = $1", author) == 1000
    await assert_gapless(database, *rooms)
    assert await deadlocks(database) == before


async def test_copies_in_one_group_are_stored_once(
    log: MessageLog, database: Connection, room: UUID, author: UUID
) -> None:
    draft = a_draft(room, author)
    answers = await answers_of(*(log.append(draft) for _ in range(10)))
    assert sum(isinstance(answer, Stored) for answer in answers) == 1
    assert sum(isinstance(answer, ReplayedRequest) for answer in answers) == 9
    await assert_gapless(database, room)


async def test_four_workers_on_many_rooms_keep_every_order_without_a_deadlock(
    database_url: str, database: Connection
) -> None:
    rooms = [await add_room(database) for _ in range(12)]
    authors = [await add_agent(database) for _ in range(4)]
    before = await deadlocks(database)

    async def write(log: MessageLog, writer: int) -> list[tuple[UUID, int, str]]:
        """Posts one after the other, to another room each time, and tells what was answered."""
        told = []
        for n in range(40):
            room_id = rooms[(n * (2 * writer + 1) + writer) % 12]
            stored = await log.append(a_draft(room_id, authors[writer % 4], f"{writer} {n}"))
            told.append((room_id, stored.position, stored.draft.body))
        return told

    async with workers(database_url, 4) as logs:
        told = await asyncio.gather(*(write(logs[writer % 4], writer) for writer in range(24)))
    await assert_gapless(database, *rooms)
    rows = await database.fetch("SELECT room_id, seq, body FROM messages WHERE room_id = ANY ($1)", rooms)
    assert sorted(map(tuple, rows)) == sorted(entry for of_writer in told for entry in of_writer)
    for of_writer in told:
        for room_id in rooms:
            own = [position for room, position, _ in of_writer if room == room_id]
            assert own == sorted(own)
    assert await deadlocks(database) == before


async def clock(database: Connection) -> int:
    now: int = await database.fetchval("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    return now


async def test_an_entrys_time_is_postgres_clock(
    log: MessageLog, database: Connection, room: UUID, author: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 0)
    monkeypatch.setattr("time.time", lambda: 0.0)
    before = await clock(database)
    stored = await log.append(a_draft(room, author))
    # What it waited is taken off, in whole milliseconds of another clock.
    assert before - 5 <= stored.ts <= await clock(database)


async def test_an_entrys_time_is_never_below_the_rooms_last(
    log: MessageLog, database: Connection, room: UUID, author: UUID
) -> None:
    ahead = await clock(database) + 3_600_000
    await database.execute(
        "UPDATE rooms SET last_active_at = timestamptz 'epoch' + $2 * interval '1 millisecond' WHERE id = $1",
        room,
        ahead,
    )
    answers = await answers_of(*(log.append(a_draft(room, author)) for _ in range(5)))
    assert [answer.ts for answer in answers if isinstance(answer, Stored)] == [ahead] * 5
    await assert_gapless(database, room)


async def test_entries_that_waited_for_a_lane_keep_ids_in_the_order_of_positions(
    log: MessageLog, database: Connection, second: Connection, room: UUID, author: UUID
) -> None:
    async with locked(second, room):
        calls = [asyncio.create_task(log.append(a_draft(room, author, f"{n}"))) for n in range(300)]
        await until_blocked(database)
        await second.execute("SELECT pg_sleep(0.2)")
    assert all(isinstance(answer, Stored) for answer in await answers_of(*calls))
    assert await bodies(database, room) == [f"{n}" for n in range(300)]
    await assert_gapless(database, room)


async def test_a_connection_lost_at_the_commit_is_found_out_and_made_good(
    log: MessageLog, database: Connection, second: Connection, room: UUID, author: UUID
) -> None:
    async with stopped(second):
        calls = [asyncio.create_task(log.append(a_draft(room, author, f"{n}"))) for n in range(10)]
        for pid in await until_blocked(database, application="log"):
            await database.execute("SELECT pg_terminate_backend($1)", pid)
    assert all(isinstance(answer, Stored) for answer in await answers_of(*calls))
    assert await bodies(database, room) == [f"{n}" for n in range(10)]
    await assert_gapless(database, room)


async def test_a_commit_that_is_lost_again_and_again_is_answered_in_the_end(
    log: MessageLog, database: Connection, second: Connection, room: UUID, author: UUID
) -> None:
    async with stopped(second):
        call = asyncio.create_task(log.append(a_draft(room, author)))
        while not call.done():
            for pid in await blocked(database):
                await database.execute("SELECT pg_terminate_backend($1)", pid)
            await asyncio.sleep(0.01)
    [answer] = await answers_of(call)
    assert isinstance(answer, OutcomeUnknown)
    assert await logged(database, room) == []
    assert isinstance(await log.append(a_draft(room, author)), Stored)


async def blocked(database: Connection) -> Sequence[int]:
    rows = await database.fetch(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'log' AND wait_event_type = 'Lock'"
    )
    return [row["pid"] for row in rows]


async def test_an_outcome_that_cannot_be_found_out_is_told_as_unknown_and_the_log_lives_on(  # noqa: PLR0917 - fixtures
    log: MessageLog,
    database: Connection,
    second: Connection,
    room: UUID,
    author: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_module, "RECOVERY_TIMEOUT", 0.3)
    third = await add_room(database)
    async with stopped(second):
        call = asyncio.create_task(log.append(a_draft(room, author)))
        [pid] = await until_blocked(database, application="log")
        # Whoever looks the entry up has to wait for the room's lock, and gives up.
        holder = asyncio.create_task(hold(second, room, until=call))
        await database.execute("SELECT pg_terminate_backend($1)", pid)
        await holder
    [answer] = await answers_of(call)
    assert isinstance(answer, OutcomeUnknown)
    assert await logged(database, room) == []
    assert isinstance(await log.append(a_draft(room, author)), Stored)
    assert isinstance(await log.append(a_draft(third, author)), Stored)


async def hold(connection: Connection, room_id: UUID, *, until: "asyncio.Task[Stored]") -> None:
    """Takes a room's lock as soon as it is free and keeps it until a call is answered."""
    await connection.execute("SELECT FROM rooms WHERE id = $1 FOR UPDATE", room_id)
    await asyncio.wait([until])


async def test_a_database_that_cannot_be_reached_stores_nothing_and_says_so(
    database: Connection, database_url: str, room: UUID, author: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "COMMIT_TIMEOUT", 0.3)
    pool = await connect_pool(database_url, name="log", size=1)
    log = MessageLog(pool, Outbox().publish)
    async with pool.acquire():
        answers = await answers_of(*(log.append(a_draft(room, author)) for _ in range(5)))
    assert [type(answer) for answer in answers] == [Unavailable] * 5
    assert await logged(database, room) == []
    assert isinstance(await log.append(a_draft(room, author)), Stored)
    await pool.close()


async def test_more_than_may_wait_is_refused(
    log: MessageLog, database: Connection, second: Connection, room: UUID, author: UUID
) -> None:
    async with stopped(second):
        first = asyncio.create_task(log.append(a_draft(room, author)))
        await until_blocked(database)
        waiting = [asyncio.create_task(log.append(a_draft(room, author))) for _ in range(10_000)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refused:
            async with asyncio.timeout(10):
                await log.append(a_draft(room, author))
        for call in waiting:
            call.cancel()
    assert refused.value.retry_after
    assert not isinstance(refused.value, OutcomeUnknown)
    await asyncio.wait([first, *waiting])
    assert isinstance(first.result(), Stored)
    assert len(await logged(database, room)) == 1


async def test_draining_answers_everything(  # noqa: PLR0917 - fixtures
    log: MessageLog, outbox: Outbox, database: Connection, second: Connection, room: UUID, author: UUID
) -> None:
    other = await add_room(database)
    async with locked(second, room):
        calls = [asyncio.create_task(log.append(a_draft(room if n % 2 else other, author))) for n in range(600)]
        await until_blocked(database)
        drained = asyncio.create_task(log.drain())
    await drained
    await asyncio.sleep(0)  # the answers are there; the callers only have to wake up
    assert all(call.done() for call in calls)
    assert len(outbox.published) == len(await logged(database, room)) + len(await logged(database, other)) == 600
    assert all(isinstance(answer, Stored) for answer in await answers_of(*calls))


async def test_the_log_survives_whatever_a_commit_raises(
    log: MessageLog, pool: Pool, database: Connection, room: UUID, author: UUID
) -> None:
    await database.execute("ALTER FUNCTION message_log_append RENAME TO gone")
    answers = await answers_of(*(log.append(a_draft(room, author)) for _ in range(5)))
    assert all(isinstance(answer, Exception) for answer in answers)
    await database.execute("ALTER FUNCTION gone RENAME TO message_log_append")
    await pool.expire_connections()
    assert isinstance(await log.append(a_draft(room, author)), Stored)


async def test_a_deadlock_is_tried_again_as_a_whole(
    log: MessageLog, database: Connection, second: Connection, author: UUID
) -> None:
    low, high = sorted([await add_room(database), await add_room(database)])
    nonce = uuid4().hex
    transaction = second.transaction()
    await transaction.start()
    # The log gets the room and waits for the nonce; whoever holds the nonce then asks for the room.
    await second.execute("INSERT INTO nonces (actor_id, nonce) VALUES ($1, $2)", author, nonce)
    drafts = [a_draft(low, author, nonce=nonce), a_draft(high, author)]
    calls = [asyncio.create_task(log.append(draft)) for draft in drafts]
    await until_blocked(database)
    await second.execute("SET LOCAL deadlock_timeout = '30s'")
    await second.execute("SELECT FROM rooms WHERE id = $1 FOR UPDATE", low)
    await transaction.rollback()
    assert all(isinstance(answer, Stored) for answer in await answers_of(*calls))
    await assert_gapless(database, low, high)
