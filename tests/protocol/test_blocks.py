"""Addresses that go on beyond their limits are blocked, if the operator wants it so."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import asyncpg
import httpx
import pytest
import redis
from litestar import Litestar
from tests.agents import GLOBAL, error_of, register
from tests.conftest import running

from aicq.hot.plugin import HotStorePlugin
from aicq.settings import Settings

pytestmark = pytest.mark.anyio

ENABLED = {
    "AUTO_BLOCK_ENABLED": "true",
    "RATE_LIMITS": "who=1/3600,failures=1/3600",
    "TRUSTED_PROXIES": "127.0.0.1",
    "RATE_LIMIT_WHITELIST": "198.51.100.0/24",
}
"""Calls come by a proxy, which says from where."""

FLOOD = "203.0.113.9"
OTHER = "203.0.113.8"
DAY = timedelta(days=1)

EMPTY_HOT_TABLES = """
DO $$ DECLARE
    names text := (SELECT string_agg(relname, ',') FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r');
BEGIN EXECUTE 'TRUNCATE ' || names; END $$
"""


@pytest.fixture
def environment() -> Mapping[str, str]:
    return ENABLED


async def ask(http: httpx.AsyncClient, address: str) -> int:
    return (await http.get("/who/nobody", headers={"X-Forwarded-For": address})).status_code


async def flood(http: httpx.AsyncClient, *addresses: str, times: int = 10) -> None:
    """Is answered once, and then refused so many times."""
    for _ in range(times + 1):
        for address in addresses:
            await ask(http, address)


async def held(database: asyncpg.Connection) -> dict[str, timedelta]:
    """Who is blocked, and for how long."""
    rows = await database.fetch("SELECT address, expires_at - created_at AS length FROM blocks ORDER BY address")
    return {str(row["address"]): row["length"] for row in rows}


async def test_the_tenth_refusal_within_an_hour_blocks_an_address_for_a_day(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    await flood(http, FLOOD, times=9)
    assert (await held(database), await ask(http, FLOOD)) == ({}, 429)
    assert await held(database) == {FLOOD: DAY}
    for path in ("/who/nobody", "/channels", f"/room/{GLOBAL}", "/find?q=x"):
        refused = await http.get(path, headers={"X-Forwarded-For": FLOOD})
        assert (refused.status_code, error_of(refused)) == (403, "temporarily blocked")
    assert await ask(http, OTHER) == 400


async def test_the_block_holds_on_every_worker_and_is_counted(
    http: httpx.AsyncClient, another_worker: httpx.AsyncClient
) -> None:
    def blocked(metrics: str) -> float:
        return float(metrics.partition("\naicq_blocked_requests_total ")[2].partition("\n")[0])

    before = blocked((await http.get("/metrics")).text)
    await flood(http, FLOOD)
    assert await ask(another_worker, FLOOD) == 403
    assert blocked((await http.get("/metrics")).text) == before + 1


async def test_many_refusals_at_once_in_two_workers_block_once(
    http: httpx.AsyncClient, another_worker: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    statuses = await asyncio.gather(*(ask((http, another_worker)[n % 2], FLOOD) for n in range(60)))
    assert set(statuses) <= {400, 403, 429}
    assert await held(database) == {FLOOD: DAY}
    assert await ask(http, FLOOD) == await ask(another_worker, FLOOD) == 403


async def test_signed_requests_and_guesses_are_refused_and_counted_alike(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    agent, mallory = await register(http), await register(http)
    mallory.id = agent.id
    from_there = {"X-Forwarded-For": FLOOD}

    async def forge() -> int:
        body = {"body": "hi"}
        return (await mallory.send("POST", f"/room/{GLOBAL}", body, headers=from_there)).status_code

    assert [await forge() for _ in range(11)] == [401] + [429] * 10
    assert await held(database) == {FLOOD: DAY}
    posted = await agent.send("POST", f"/room/{GLOBAL}", {"body": "hi"}, headers={"X-Forwarded-For": OTHER})
    assert posted.status_code == 201
    await flood(http, OTHER)
    for sender in (agent, mallory):
        answer = await sender.send("POST", f"/room/{GLOBAL}", {"body": "hi"}, headers={"X-Forwarded-For": OTHER})
        assert (answer.status_code, error_of(answer)) == (403, "temporarily blocked")


async def test_the_addresses_of_one_ipv6_network_are_counted_and_blocked_together(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    for number in range(11):
        assert await ask(http, f"[2001:db8:0:1::{number}]:4711") == (429 if number else 400)
    assert await held(database) == {"2001:db8:0:1::/64": DAY}
    assert await ask(http, "2001:db8:0:1:ffff::") == 403
    assert await ask(http, "2001:db8:0:2::") == 400


async def test_whitelisted_addresses_and_trusted_proxies_are_never_blocked(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    await flood(http, "198.51.100.7", "unknown", "127.0.0.1", times=30)
    assert await held(database) == {}
    assert [await ask(http, each) for each in ("198.51.100.7", "unknown")] == [400, 429]


async def test_each_further_block_lasts_twice_as_long_as_the_one_before_a_week_at_the_most(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    hour = timedelta(hours=1)
    cases = {  # how long the one before was, how long it has been over, how long the next is to be
        "203.0.113.1": (DAY, hour, 2 * DAY),
        "203.0.113.2": (2 * DAY, 29 * DAY, 4 * DAY),
        "203.0.113.3": (4 * DAY, hour, 7 * DAY),
        "203.0.113.4": (7 * DAY, hour, 7 * DAY),
        "203.0.113.5": (90 * DAY, hour, 7 * DAY),
        "203.0.113.6": (timedelta(minutes=5), hour, DAY),
        "203.0.113.7": (7 * DAY, 31 * DAY, DAY),
    }
    past = "INSERT INTO blocks (address, reason, created_at, expires_at) VALUES ($1, 'old', $2, $3)"
    now: datetime = await database.fetchval("SELECT now()")
    for address, (length, over, _) in cases.items():
        await database.execute(past, address, now - over - length, now - over)
    await flood(http, *cases)
    assert await held(database) == {address: expected for address, (_, _, expected) in cases.items()}
    reasons = await database.fetchval("SELECT array_agg(DISTINCT reason) FROM blocks")
    assert reasons == ["refused by limits 10 times within an hour"]


async def test_a_block_for_good_is_left_as_it_is(
    http: httpx.AsyncClient, another_worker: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    await flood(http, FLOOD, times=9)
    await database.execute("INSERT INTO blocks (address, reason) VALUES ($1, 'enough')", FLOOD)
    await ask(http, FLOOD)
    assert list(map(tuple, await database.fetch("SELECT reason, expires_at FROM blocks"))) == [("enough", None)]
    assert await ask(another_worker, FLOOD) == 403


async def test_a_block_survives_the_loss_of_the_hot_store(
    http: httpx.AsyncClient, app: Litestar, database: asyncpg.Connection, settings: Settings
) -> None:
    await flood(http, FLOOD)
    keeper = app.plugins.get(HotStorePlugin).keeper
    epoch = await database.fetchval("SELECT epoch FROM hot_store")
    if settings.redis_url:
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushdb()
    else:
        await database.execute(EMPTY_HOT_TABLES)
    keeper.notice()
    async with asyncio.timeout(20):
        while not (keeper.complete and await database.fetchval("SELECT epoch FROM hot_store") > epoch):  # noqa: ASYNC110 - a server sets no event
            await asyncio.sleep(0.01)
    assert [await ask(http, FLOOD), await ask(http, OTHER)] == [403, 400]


async def test_blocks_that_stand_when_the_service_starts_hold(app: Litestar, database: asyncpg.Connection) -> None:
    added = "INSERT INTO blocks (address, reason, expires_at) VALUES ($1, 'by hand', $2)"
    now: datetime = await database.fetchval("SELECT now()")
    for address, expires in ((FLOOD, now + DAY), (OTHER, now - DAY), ("192.0.2.1", None), ("2001:db8::1", now + DAY)):
        await database.execute(added, address, expires)
    async with running(app) as http:
        asked = [await ask(http, each) for each in (FLOOD, OTHER, "192.0.2.1", "2001:db8::2", "192.0.2.2")]
    assert asked == [403, 400, 403, 403, 400]


async def test_where_the_block_cannot_be_stored_the_refusal_is_answered_all_the_same(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    await database.execute("ALTER TABLE blocks RENAME TO blocks_away")
    await flood(http, FLOOD, times=12)
    assert await ask(http, FLOOD) == 429


async def test_an_address_that_has_failed_too_often_is_heard_again_once_its_limit_is_reset(
    http: httpx.AsyncClient, app: Litestar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicq.http.admission.LOOK_AGAIN", 0.0)
    agent, mallory = await register(http), await register(http)
    mallory.id = agent.id
    assert [(await mallory.post("hi")).status_code for _ in range(3)] == [401, 429, 429]
    assert (await agent.post("hi")).status_code == 429
    await app.plugins.get(HotStorePlugin).store.limits.reset(["failures:127.0.0.1"])
    assert (await agent.post("hi")).status_code == 201


class TestUnlessTheOperatorWantsIt:
    @pytest.fixture
    def environment(self) -> Mapping[str, str]:
        return {**ENABLED, "AUTO_BLOCK_ENABLED": ""}

    async def test_nobody_is_blocked(self, http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
        await flood(http, FLOOD, times=30)
        assert (await held(database), await ask(http, FLOOD)) == ({}, 429)
