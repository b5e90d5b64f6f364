"""`aicq doctor`: looks at everything AICQ stands on, changes nothing, and says what is wrong in a line each."""

import asyncio
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from aicq.clock import now_ms
from aicq.db.engine import connect_pool
from aicq.db.migrate import known
from aicq.db.reach import Server, connections_needed, examine, find_problem
from aicq.errors import HotStoreUnavailable, StartError
from aicq.hot.base import HOT_WINDOW, STUB_AT, HotStore, HotStoreStale, PageQuery
from aicq.hot.keeper import ROW
from aicq.hot.postgres import PostgresHotStore
from aicq.hot.redis import RedisHotStore
from aicq.hot.redis_client import RedisClient
from aicq.ids import from_ulid, position
from aicq.memory.dimensions import find_mismatch
from aicq.messaging.history import History
from aicq.settings import Settings

OLDEST_REDIS = (6, 2)

PAGE = 500

TIMEOUT = 2.0
"""Seconds that Redis gets to answer; nobody waits for a doctor."""

ID_IN_WIRE = slice(7, 33)
"""Where the wire form of an entry holds its id: `{"id":"` comes before it."""


class Finding(msgspec.Struct, frozen=True):
    """What one look found.

    Args:
        grade: `FAIL` is what AICQ cannot work with.
        subject: What was looked at.
        told: What is to be said of it.
    """

    grade: Literal["ok", "warn", "FAIL"]
    subject: str
    told: str


def diagnose(settings: Settings, database_url: str) -> list[Finding]:
    """Looks at everything; what cannot be looked at is a finding as well."""
    return asyncio.run(_diagnose(settings, database_url))


async def _diagnose(settings: Settings, database_url: str) -> list[Finding]:
    try:
        server = await examine(database_url)
    except StartError as error:
        return [Finding("FAIL", "database", error.sentence)]
    return [
        *look_at_database(server),
        look_at_durability(server),
        look_at_migrations(server, [step.revision for step in known(settings.migrations_path)]),
        look_at_connections(server.max_connections, connections_needed(settings)),
        await _look_at_embeddings(settings, database_url),
        *await _look_at_hot_store(settings, database_url, is_migrated=bool(server.revision)),
    ]


async def _look_at_embeddings(settings: Settings, database_url: str) -> Finding:
    """Whether embeddings fit their column."""
    if mismatch := await find_mismatch(database_url, settings.embedding_dimensions):
        return Finding("FAIL", "embeddings", mismatch)
    return Finding("ok", "embeddings", f"{settings.embedding_dimensions} numbers each")


def look_at_database(server: Server) -> list[Finding]:
    """Version, encoding, rights and the vector extension."""
    problem = find_problem(server)
    told = f"Postgres {server.version}"
    if server.vector:
        vector = Finding("ok", "vector", f"extension {server.vector}")
    else:
        vector = Finding("warn", "vector", f"not installed yet; {server.vector_available or 'none'} is available")
    return [Finding("FAIL", "database", f"{problem}.") if problem else Finding("ok", "database", told), vector]


def look_at_durability(server: Server) -> Finding:
    """Whether what Postgres says it has committed is on disk."""
    if server.volatile:
        told = f"{' and '.join(server.volatile)} off: what was acknowledged may be lost in a crash"
        return Finding("warn", "durability", told)
    return Finding("ok", "durability", "what Postgres has committed is on disk")


def look_at_migrations(server: Server, revisions: list[str]) -> Finding:
    """Whether the schema is the one that this AICQ was written for."""
    head = revisions[-1]
    if server.revision == head:
        return Finding("ok", "migrations", f"at {head}, the newest")
    if server.revision and server.revision not in revisions:
        told = f"at {server.revision}, which this AICQ does not know: a newer one has been here"
        return Finding("FAIL", "migrations", told)
    told = f"at {server.revision or 'none'}, the newest is {head}; aicq serve takes the steps when it starts"
    return Finding("warn", "migrations", told)


def look_at_connections(admitted: int, needed: int) -> Finding:
    """Whether the pools of all workers fit into what the server admits."""
    told = f"{needed} may be opened, the server admits {admitted}"
    if needed > admitted:
        return Finding(
            "FAIL", "connections", f"{told}: lower DATABASE_POOL_SIZE, DATABASE_POOL_OVERFLOW or AICQ_WORKERS"
        )
    return Finding("warn" if needed > 0.9 * admitted else "ok", "connections", told)


async def _look_at_hot_store(settings: Settings, database_url: str, *, is_migrated: bool) -> list[Finding]:
    findings: list[Finding] = []
    pool = await connect_pool(database_url, name="aicq doctor", size=2)
    try:
        store: HotStore = PostgresHotStore(pool, database_url)
        if settings.hot_store != "postgres" and settings.redis_url is not None:
            findings += await look_at_redis(settings.redis_url, demanded=settings.hot_store == "redis")
            if findings[0].grade == "ok":
                store = RedisHotStore(settings.redis_url)
        is_second_choice = bool(findings) and store.kind == "postgres"
        which: str = "postgres, because Redis cannot be used" if is_second_choice else store.kind
        told = f"{which}, by AICQ_HOT_STORE={settings.hot_store}"
        findings.insert(0, Finding("warn" if is_second_choice else "ok", "hot store", told))
        if is_migrated:
            await store.open()
            try:
                findings.append(await _look_at_drift(pool, store))
            finally:
                await store.close()
    except (HotStoreUnavailable, asyncpg.PostgresError, OSError):
        findings.append(Finding("FAIL", "hot store", "does not answer"))
    finally:
        await pool.close()
    return findings


async def look_at_redis(redis_url: str, *, demanded: bool) -> list[Finding]:
    """Version, and what the server does when its memory is full."""
    client = RedisClient(redis_url, timeout=TIMEOUT)
    try:
        version = (await client.server()).version
        memory = (await client.call("INFO", "memory")).decode()
    except HotStoreUnavailable:
        return [Finding("FAIL" if demanded else "warn", "redis", "does not answer at REDIS_URL")]
    finally:
        await client.close()
    numbers = tuple(int(part) for part in version.split(" ")[1].split(".")[:2])
    policy = memory.partition("maxmemory_policy:")[2].split("\r\n")[0] or "unknown"
    return [
        Finding("ok", "redis", version)
        if numbers >= OLDEST_REDIS
        else Finding("FAIL", "redis", f"{version}; AICQ needs Redis 6.2, or Valkey"),
        Finding("ok", "maxmemory-policy", policy)
        if policy == "noeviction"
        else Finding("FAIL", "maxmemory-policy", f"{policy}: limits and messages would vanish; it must be noeviction"),
    ]


async def _look_at_drift(pool: "asyncpg.Pool[asyncpg.Record]", hot: HotStore) -> Finding:
    row = await pool.fetchrow(ROW)
    if row is None or row["active"] != hot.kind:
        return Finding("ok", "drift", f"{hot.kind} was not the hot store before; it is filled when AICQ serves")
    if not row["is_ours"]:
        told = "the database was restored, or another server took over; the hot store is filled anew when AICQ serves"
        return Finding("warn", "drift", told)
    hot.epoch = row["epoch"]
    try:
        drift = await hot_drift(History(pool), hot, now=now_ms())
    except HotStoreStale:
        return Finding("warn", "drift", "the hot store lost what it held; it is filled again when AICQ serves")
    if drift.different:
        return Finding("FAIL", "drift", f"{drift.different} messages differ from the log in {drift.rooms} rooms")
    if drift.unheld or drift.behind or not row["complete"]:
        told = f"of {drift.rooms} rooms {drift.unheld} are not held and {drift.behind} are behind the log"
        return Finding("warn", "drift", f"{told}; readers get the log there")
    return Finding("ok", "drift", f"none, {drift.rooms} rooms and {drift.compared} messages compared")


class Drift(msgspec.Struct, frozen=True):
    """How far the hot store is from the log.

    Args:
        rooms: That were active within the hot window.
        compared: Messages that were compared, byte for byte.
        unheld: Rooms that the store knows nothing of.
        behind: Rooms whose newest entries the store lacks.
        different: Messages that the store holds, lacks or shows otherwise than the log, where it says it is right.
    """

    rooms: int
    compared: int
    unheld: int
    behind: int
    different: int


async def hot_drift(history: History, hot: HotStore, *, now: int) -> Drift:
    """Compares what the hot store answers with the log.

    Raises:
        HotStoreStale: What it holds is of another epoch.
        HotStoreUnavailable: It does not answer.
    """
    rooms = await history.hot_rooms(since=now - HOT_WINDOW)
    compared = unheld = behind = different = 0
    for room in rooms:
        [page] = await hot.messages.pages([PageQuery(room.id, limit=1)], now=now)
        if page is None:
            unheld += 1
            continue
        behind += page.last < room.last
        seen, unlike = await _compare(history, hot, room.id, now)
        if unlike:  # perhaps only an edit between the two looks
            seen, unlike = await _compare(history, hot, room.id, now)
        compared += seen
        different += unlike
    return Drift(len(rooms), compared, unheld, behind, different)


async def _compare(history: History, hot: HotStore, room_id: UUID, now: int) -> tuple[int, int]:
    """How many messages of a room were compared, and how many of them differ."""
    seen = unlike = 0
    before: str | None = None
    while True:
        [page] = await hot.messages.pages([PageQuery(room_id, limit=PAGE, before=before)], now=now)
        if page is None or not page.entries:
            return seen, unlike
        oldest = page.entries[-1][ID_IN_WIRE].decode()
        held = {entry[ID_IN_WIRE]: entry for entry in page.entries if entry[STUB_AT : STUB_AT + 1] == b","}
        bound = from_ulid(before) if before else None
        logged = {
            wire[ID_IN_WIRE]: wire
            for wire in await history.page_before(room_id, bound, limit=PAGE, above=page.first - 1)
            if oldest.encode() <= wire[ID_IN_WIRE] and position(from_ulid(wire[ID_IN_WIRE].decode())) <= page.last
        }
        seen += len(logged)
        unlike += sum(held.get(each) != logged.get(each) for each in held.keys() | logged.keys())
        before = oldest
