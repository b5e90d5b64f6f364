"""What only the Postgres hot store promises: its plans, its crashes, its connections. The rest is in `conformance`."""

import asyncio
import os
import random
import re
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

import aicq.hot
from aicq.db.embedded import EmbeddedPostgres
from aicq.db.engine import connect_pool
from aicq.db.migrate import downgrade, upgrade
from aicq.errors import HotStoreUnavailable
from aicq.hot.base import (
    HOT_WINDOW,
    Change,
    Charge,
    Entry,
    HotStoreStale,
    Level,
    PageQuery,
    Quota,
    Run,
    SearchQuery,
    Verdict,
    Wake,
)
from aicq.hot.postgres import PostgresHotStore
from aicq.hot.postgres_client import warm
from aicq.hot.queries import load
from aicq.ids import new_tail, to_ulid
from aicq.settings import load as load_settings

NOW = 1_800_000_000_000
MIGRATIONS = load_settings({}).migrations_path


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database on a server of its own, because one of the tests makes the server crash."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("hot"), max_connections=40) as postgres:
        upgrade(MIGRATIONS, postgres.url)
        yield postgres.url


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    pool = await connect_pool(database_url, name="hot", size=6)
    yield pool
    pool.terminate()


@pytest.fixture
async def store(pool: "asyncpg.Pool[asyncpg.Record]", database_url: str) -> AsyncIterator[PostgresHotStore]:
    store = PostgresHotStore(pool, database_url)
    await pool.execute("TRUNCATE hot_limit_hits, hot_blocks, hot_values")
    await store.begin(1)
    store.epoch = 1
    yield store
    await store.close()


def entry(seq: int, words: Sequence[str] = (), *, ts: int = NOW, change: Change | None = None) -> Entry:
    entry_id = to_ulid(UUID(int=ts << 80 | seq << 40 | new_tail()))
    return Entry(entry_id, wire(entry_id, words), words, change)


def wire(entry_id: str, words: Sequence[str]) -> bytes:
    body = ',"body":"' + " ".join(words) + '"' if words else ""
    return f'{{"id":"{entry_id}"{body}}}'.encode()


def run(*entries: Entry, room: UUID | None = None, public: bool = True) -> Run:
    return Run(room or uuid4(), public, entries)


async def find(store: PostgresHotStore, *words: str, room: UUID | None = None, limit: int = 50) -> list[bytes]:
    return [hit.wire for hit in (await store.messages.search(SearchQuery(words, limit, room), now=NOW)).hits]


def test_every_named_query_is_used_and_every_used_name_exists() -> None:
    sources = "".join(path.read_text() for path in Path(aicq.hot.__path__[0]).glob("postgres*.py"))
    used = set(re.findall(r'(?:\.rows|\.value)\(\s*"(\w+)"|QUERIES\["(\w+)"\]', sources))
    assert {one or other for one, other in used} == set(load())


def test_every_query_says_what_it_is_for() -> None:
    for query in load().values():
        assert re.match(r"-- .+\.\n[A-Z]", query)


def test_the_migration_can_be_taken_back(database_url: str) -> None:
    downgrade(MIGRATIONS, database_url, "0002")
    upgrade(MIGRATIONS, database_url)


# Plans. They are seen by what they read, because every one stands inside a function and is cached there.


class Reads:
    """How often a table was read as a whole, and each of its indexes."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", table: str) -> None:
        self._pool = pool
        self._table = table
        self._before: dict[str, int] = {}

    async def start(self) -> None:
        self._before = await self._counts()

    async def made(self) -> set[str]:
        counts = await self._counts()
        return {name for name, count in counts.items() if count > self._before[name]}

    async def _counts(self) -> dict[str, int]:
        await self._pool.execute("SELECT pg_stat_force_next_flush()")
        rows = await self._pool.fetch(
            "SELECT 'whole' AS name, seq_scan AS count FROM pg_stat_user_tables WHERE relname = $1"
            " UNION ALL SELECT indexrelname, idx_scan FROM pg_stat_user_indexes WHERE relname = $1",
            self._table,
        )
        return {row["name"]: row["count"] for row in rows}


@pytest.fixture
async def single(database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """A pool of one connection, so that plans are cached and counts are complete."""
    pool = await connect_pool(database_url, name="hot", size=1)
    yield pool
    pool.terminate()


@pytest.fixture(params=[0, 60], ids=["planned while empty", "planned while nearly empty"])
async def large(
    single: "asyncpg.Pool[asyncpg.Record]", database_url: str, request: pytest.FixtureRequest
) -> PostgresHotStore:
    """A store of 24,000 messages in a public and a private room, its plans cached while it was small."""
    store = PostgresHotStore(single, database_url)
    await store.begin(1)
    store.epoch = 1
    rooms = (UUID(int=1), UUID(int=2))
    held: int = request.param
    for begin, end in pairwise([0, held, *range(1000, 13_000, 1000)]):
        entries = [
            [
                entry(seq + 1, ["common", f"word{seq % 7}", *(["rare"] if seq == 50 else [])], ts=NOW + seq)
                for seq in range(begin, end)
            ]
            for _ in rooms
        ]
        if end:
            await store.messages.append(
                [run(*entries[number], room=room, public=not number) for number, room in enumerate(rooms)], now=NOW
            )
        if end == held:
            for _ in range(12):
                await ask_all(store)
    return store


async def ask_all(store: PostgresHotStore) -> None:
    for room in (None, UUID(int=1), UUID(int=2)):
        for words in (["common"], ["rare"], ["common", "rare"], ["word1", "word2"]):
            await store.messages.search(SearchQuery(words, 20, room), now=NOW + 12_000)
    await store.messages.pages([PageQuery(UUID(int=1), 50)], now=NOW)
    await store.messages.revise(UUID(int=1), public=True, changes=[])


async def test_no_search_and_no_page_reads_a_table_as_a_whole(
    single: "asyncpg.Pool[asyncpg.Record]", large: PostgresHotStore
) -> None:
    for table in ("hot_messages", "hot_spans"):
        reads = Reads(single, table)
        await reads.start()
        await ask_all(large)
        assert "whole" not in await reads.made()


async def test_a_rare_word_is_found_by_the_index_and_a_common_one_among_the_newest(
    single: "asyncpg.Pool[asyncpg.Record]", large: PostgresHotStore
) -> None:
    reads = Reads(single, "hot_messages")
    await reads.start()
    assert len(await find(large, "rare")) == 1
    assert "ix_hot_messages_tsv_public" in await reads.made()
    await reads.start()
    assert len(await find(large, "common")) == 50
    assert await reads.made() == {"ix_hot_messages_public_ts"}
    await reads.start()
    assert len(await find(large, "rare", room=UUID(int=2))) == 1
    assert "ix_hot_messages_tsv_private" in await reads.made()


async def test_a_search_for_rare_words_looks_at_the_newest_of_a_small_scope_and_not_at_all_of_it(
    single: "asyncpg.Pool[asyncpg.Record]", store: PostgresHotStore
) -> None:
    room = uuid4()
    for start in range(0, 8_000, 1000):
        entries = [entry(seq + 1, ["common", f"word{seq % 1000}"], ts=NOW + seq) for seq in range(start, start + 1000)]
        await store.messages.append([run(*entries, room=room)], now=NOW)
    asking = PostgresHotStore(single, "")
    asking.epoch = 1
    looked_at = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'ix_hot_messages_public_ts'"
    await single.execute("SELECT pg_stat_force_next_flush()")
    before = await single.fetchval(looked_at)
    assert len(await find(asking, "word7", "common")) == 8
    await single.execute("SELECT pg_stat_force_next_flush()")
    assert await single.fetchval(looked_at) - before < 5_000  # twice the newest 2,000


async def test_an_append_and_a_sweep_read_no_table_as_a_whole(
    single: "asyncpg.Pool[asyncpg.Record]", large: PostgresHotStore
) -> None:
    reads = Reads(single, "hot_messages")
    await reads.start()
    change = Change(entry(1).id, b"")
    later = NOW + HOT_WINDOW + 1000
    room = UUID(int=1)
    await large.messages.append([run(entry(12_001, ["a"], ts=later, change=change), room=room)], now=later)
    assert "whole" not in await reads.made()


async def test_no_charge_reads_a_table_as_a_whole(single: "asyncpg.Pool[asyncpg.Record]", database_url: str) -> None:
    store = PostgresHotStore(single, database_url)
    await single.execute("TRUNCATE hot_limit_hits")
    charges = [Charge([Quota(f"post:{number}", 2, 1000), Quota("bytes:all", 90, 1000)]) for number in range(50)]
    reads = Reads(single, "hot_limit_hits")
    for number in range(20):
        await store.limits.take(charges, now=NOW + number)
        if number == 10:
            await reads.start()
    await store.limits.peek([quota for charge in charges for quota in charge.quotas], now=NOW)
    assert "whole" not in await reads.made()


async def test_what_is_losable_waits_for_no_disk(store: PostgresHotStore, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    flushes = "SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal' AND backend_type = 'client backend'"
    room = uuid4()
    before = await pool.fetchval(flushes)
    for number in range(100):
        await store.limits.take([Charge([Quota("post:1", 1000, 1000)])], now=NOW + number)
        await store.messages.append([run(entry(number + 1, ["a"]), room=room)], now=NOW)
        await store.values.set("a:b", b"c", expires=NOW)
        await store.bus.publish(["a"])
    await pool.execute("SELECT pg_stat_force_next_flush()")
    assert await pool.fetchval(flushes) - before < 10


# Search


@pytest.mark.parametrize("seed", range(4))
async def test_candidates_are_the_newest_messages_with_the_rarest_word(store: PostgresHotStore, seed: int) -> None:
    """Against a model that walks the rarest word's messages, newest first."""
    rng = random.Random(seed)  # noqa: S311 - the same each time
    rooms = [UUID(int=number) for number in range(1, 5)]
    held: list[tuple[int, UUID, str, Entry]] = []
    for seq in range(1, 60):
        runs = []
        for room in rooms:
            words = [word for word, share in (("a", 0.9), ("b", 0.5), ("c", 0.2), ("d", 0.05)) if rng.random() < share]
            one = entry(seq, words, ts=NOW + seq // 3)
            held.append((NOW + seq // 3, room, one.id, one))
            runs.append(run(one, room=room, public=room != rooms[3]))
        await store.messages.append(runs, now=NOW)
    held.sort(reverse=True)
    for _ in range(150):
        words = rng.sample("abcd", rng.randint(1, 3))
        asked = rng.choice([None, None, *rooms])
        query = SearchQuery(
            words, rng.choice([3, 10, 50]), asked, NOW + rng.choice([-1, 5]), rng.choice([1, 5, 40, 999])
        )
        scope = [
            one
            for at, where, _, one in held
            if at > query.after and (where != rooms[3] if asked is None else where == asked)
        ]
        counts = {word: sum(word in one.words for one in scope) for word in words}
        rarest = min(words, key=lambda word: counts[word])
        candidates = [one for one in scope if rarest in one.words]
        hits = [one.wire for one in candidates[: query.candidates] if set(words) <= set(one.words)][: query.limit]
        found = await store.messages.search(query, now=NOW)
        assert [hit.wire for hit in found.hits] == hits
        assert found.truncated == (len(hits) < query.limit and len(candidates) > query.candidates)


@pytest.mark.parametrize("word", ["it's", "back\\slash", "a'\\'b", "p:", "r", "x&y", "!(z)", "\U0001f600", "w" * 64])
async def test_a_word_means_itself(store: PostgresHotStore, word: str) -> None:
    await store.messages.append([run(entry(1, [word])), run(entry(1, ["other"]))], now=NOW)
    assert len(await find(store, word)) == 1


async def test_no_word_is_taken_for_a_scope_or_a_time(store: PostgresHotStore) -> None:
    room = uuid4()
    await store.messages.append([run(entry(1, ["a"]), room=room, public=False)], now=NOW)
    assert await find(store, f"r{room}") == []
    assert await find(store, f"h{NOW // 3_600_000}", room=room) == []


async def test_a_word_beyond_all_bounds_harms_nobody(store: PostgresHotStore) -> None:
    await store.messages.append([run(entry(1, ["\U0001f600" * 3000, "a"]))], now=NOW)
    assert len(await find(store, "a")) == 1
    assert len(await find(store, "\U0001f600" * 3000)) == 1


async def test_what_a_room_holds_leaves_public_search_when_it_becomes_private(store: PostgresHotStore) -> None:
    room = uuid4()
    await store.messages.append([run(entry(1, ["a"]), room=room)], now=NOW)
    await store.messages.append([run(entry(2, ["a"]), room=room, public=False)], now=NOW)
    assert await find(store, "a") == []
    assert len(await find(store, "a", room=room)) == 2


# Limits


class Model:
    """Sliding windows as the interface tells them, one hit after the other."""

    def __init__(self) -> None:
        self.hits: dict[str, list[tuple[int, int]]] = {}

    def take(self, charge: Charge, now: int) -> Verdict:
        allowed = all(self._used(quota, now) + quota.cost <= quota.limit for quota in charge.quotas)
        if allowed:
            for quota in charge.quotas:
                hits = self.hits.setdefault(quota.key, [])
                hits += [(max(now, hits[-1][0] if hits else 0), quota.cost)]
        return Verdict(allowed, blocked=False, levels=[self._level(quota, now) for quota in charge.quotas])

    def _counting(self, quota: Quota, now: int) -> list[tuple[int, int]]:
        hits = self.hits.get(quota.key, [])
        at = max(now, hits[-1][0]) if hits else now
        return [hit for hit in hits if hit[0] > at - quota.window]

    def _used(self, quota: Quota, now: int) -> int:
        return sum(cost for _, cost in self._counting(quota, now))

    def _level(self, quota: Quota, now: int) -> Level:
        counting = self._counting(quota, now)
        used = self._used(quota, now)
        reset = counting[0][0] + quota.window if counting else now
        remaining = max(0, quota.limit - used)
        if used + quota.cost <= quota.limit:
            return Level(remaining, reset, 0)
        if quota.cost > quota.limit:
            return Level(remaining, reset, quota.window)
        for at, cost in counting:
            used -= cost
            if used + quota.cost <= quota.limit:
                return Level(remaining, reset, at + quota.window - now)
        raise AssertionError


@pytest.mark.parametrize("seed", range(4))
async def test_limits_do_what_a_list_of_all_hits_would_do(store: PostgresHotStore, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - the same each time
    model = Model()
    windows = {f"rule:{number}": rng.choice([50, 200, 1000]) for number in range(6)}
    now = NOW
    for _ in range(120):
        now += rng.choice([0, 1, 7, 60, 300, -5])
        charges = [
            Charge(
                [
                    Quota(key, rng.choice([1, 5, 20]), windows[key], rng.choice([1, 1, 3, 6]))
                    for key in rng.sample(sorted(windows), rng.randint(0, 3))
                ]
            )
            for _ in range(rng.randint(1, 8))
        ]
        expected = [model.take(charge, now) for charge in charges]
        assert await store.limits.take(charges, now=now) == expected
        quotas = [quota for charge in charges for quota in charge.quotas]
        assert await store.limits.peek(quotas, now=now) == [model._level(quota, now) for quota in quotas]  # noqa: SLF001


async def test_a_limit_is_exact_however_many_ask_at_once(store: PostgresHotStore) -> None:
    charges = [Charge([Quota(f"post:{n % 3}", 20, 1000), Quota("bytes:all", 50, 1000)]) for n in range(9)]
    answers = await asyncio.gather(*(store.limits.take(charges, now=NOW) for _ in range(30)))
    assert sum(verdict.allowed for answer in answers for verdict in answer) == 50


async def test_hits_that_nobody_asks_for_are_swept(
    store: PostgresHotStore, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    await store.limits.take([Charge([Quota(f"post:{n}", 1, 1000)]) for n in range(1200)], now=NOW)
    await store.close()
    await store.limits.take([Charge([Quota("post:0", 1, 1000)])], now=NOW + 100_000)
    await store.close()
    assert await pool.fetchval("SELECT count(*) FROM hot_limit_hits") == 1


# Spans under concurrency


async def test_appends_of_many_writers_leave_every_room_without_a_hole(store: PostgresHotStore) -> None:
    rooms = [uuid4() for _ in range(6)]
    entries = {room: [entry(seq, ["a"], ts=NOW + seq) for seq in range(1, 61)] for room in rooms}

    async def write(seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311 - the same each time
        lasts = dict.fromkeys(rooms, 0)
        while min(lasts.values()) < 60:
            some = [room for room in rng.sample(rooms, 4) if lasts[room] < 60]
            runs = [run(*entries[room][lasts[room] : lasts[room] + rng.randint(1, 9)], room=room) for room in some]
            answer = await store.messages.append(runs, now=NOW)
            lasts.update(zip(some, answer, strict=True))

    await asyncio.gather(*(write(seed) for seed in range(5)))
    pages = await store.messages.pages([PageQuery(room, 100) for room in rooms], now=NOW)
    for room, page in zip(rooms, pages, strict=True):
        assert page is not None
        assert (page.first, page.last) == (1, 60)
        assert list(page.entries) == [one.wire for one in reversed(entries[room])]


async def test_nothing_of_an_old_epoch_reaches_a_new_one(
    store: PostgresHotStore, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    async def write(number: int) -> None:
        room = uuid4()
        for seq in range(1, 200):
            try:
                await store.messages.append([run(entry(seq, [f"a{number}"]), room=room)], now=NOW)
            except HotStoreStale:
                return

    writers = [asyncio.create_task(write(number)) for number in range(4)]
    await asyncio.sleep(0.05)
    await store.begin(2)
    await asyncio.gather(*writers)
    assert await pool.fetchval("SELECT count(*) FROM hot_messages") == 0
    assert await pool.fetchval("SELECT count(*) FROM hot_spans") == 0


async def test_a_message_is_swept_though_its_room_is_silent(
    store: PostgresHotStore, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    await store.messages.append([run(entry(1, ["a"])), run(entry(1, ["a"]), public=False)], now=NOW)
    later = NOW + HOT_WINDOW
    await store.messages.append([run(entry(1, ["b"], ts=later))], now=later)
    assert await pool.fetchval("SELECT count(*) FROM hot_messages") == 1


# Faults


async def test_a_crash_of_the_server_is_noticed_by_the_next_call(
    store: PostgresHotStore, pool: "asyncpg.Pool[asyncpg.Record]", database_url: str
) -> None:
    room = uuid4()
    await store.messages.append([run(entry(1, ["a"]), room=room)], now=NOW)
    victim = await asyncpg.connect(database_url)
    pid = await victim.fetchval("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGKILL)
    victim.terminate()
    for _ in range(200):
        await asyncio.sleep(0.05)
        with suppress(HotStoreUnavailable):
            if (await store.probe()).epoch is None:
                break
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.messages.append([run(entry(2, ["a"]), room=room)], now=NOW),
        lambda: store.messages.prepend(run(entry(1, ["a"])), now=NOW),
        lambda: store.messages.revise(room, public=True, changes=[]),
        lambda: store.messages.pages([PageQuery(room, 1)], now=NOW),
        lambda: store.messages.search(SearchQuery(["a"], 1), now=NOW),
        lambda: store.messages.forget(room),
    ]
    for call in calls:
        with pytest.raises(HotStoreStale):
            await call()
    assert (await store.limits.take([Charge([Quota("post:1", 1, 1000)])], now=NOW))[0].allowed
    assert await pool.fetchval("SELECT count(*) FROM hot_store") == 0


async def test_a_call_that_gets_no_answer_fails_in_time(store: PostgresHotStore, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute("LOCK TABLE hot_limit_hits, hot_spans IN ACCESS EXCLUSIVE MODE")
        started = asyncio.get_running_loop().time()
        for call in (
            store.limits.take([Charge([Quota("post:1", 1, 1000)])], now=NOW),
            store.messages.pages([PageQuery(uuid4(), 1)], now=NOW),
        ):
            with pytest.raises(HotStoreUnavailable):
                await call
        assert asyncio.get_running_loop().time() - started < 4
    await other.close()
    assert (await store.limits.take([Charge([Quota("post:1", 1, 1000)])], now=NOW))[0].allowed


async def test_no_failure_names_the_place_of_the_server(tmp_path: Path) -> None:
    dsn = f"postgresql://somebody:{secrets.token_hex(8)}@/nowhere?host={tmp_path}"
    pool = asyncpg.create_pool(dsn, min_size=0)
    async with pool:
        store = PostgresHotStore(pool, dsn)
        with pytest.raises(HotStoreUnavailable) as failure:
            await store.open()
        assert str(tmp_path) not in str(failure.value)
        with pytest.raises(HotStoreUnavailable):
            async with store.bus.listen(["a"]):
                pass


async def test_a_listener_that_lost_its_connection_says_so_and_listens_on(
    store: PostgresHotStore, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    long_topic = "t" * 200
    async with store.bus.listen(["a", long_topic]) as wakes:
        await store.bus.publish(["unheard", long_topic])
        assert await anext(wakes) == Wake(long_topic)
        await pool.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        assert await anext(wakes) == Wake(None)
        await store.bus.publish(["a"])
        assert await anext(wakes) == Wake("a")


async def test_a_cancelled_reader_of_the_bus_loses_nothing(store: PostgresHotStore) -> None:
    async with store.bus.listen(["a", "b"]) as wakes:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(wakes), 0.01)
        await store.bus.publish(["a", "b", "a"])
        assert {await anext(wakes), await anext(wakes)} == {Wake("a"), Wake("b")}


PLANNED = """
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'PL/pgSQL function' AND ident LIKE 'hot_messages_walk(%'
"""


@pytest.mark.usefixtures("store")
async def test_a_new_connection_has_its_plans_for_searches_made(database_url: str) -> None:
    planned = []
    for warmed in (None, warm):
        pool = await connect_pool(database_url, name="new", size=1, warm=warmed)
        planned.append(await pool.fetchval(PLANNED))
        await pool.close()
    assert planned == [0, 1]


@pytest.mark.usefixtures("store")
async def test_a_connection_is_made_while_the_store_is_being_emptied(
    pool: "asyncpg.Pool[asyncpg.Record]", database_url: str
) -> None:
    async with pool.acquire() as emptying, emptying.transaction():
        await emptying.execute("LOCK TABLE hot_messages IN ACCESS EXCLUSIVE MODE")
        made = await connect_pool(database_url, name="new", size=1, warm=warm)
        assert await made.fetchval("SELECT 1") == 1
        await made.close()
