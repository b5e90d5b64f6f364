"""`aicq doctor` compares the hot store with the log, over both stores, and judges what it was told."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest

from aicq.db.reach import Server, find_problem
from aicq.doctor import look_at_connections, look_at_database, look_at_durability, look_at_migrations
from tests import agents
from tests.process.service import Service, run
from tests.servers import RedisServer

GOOD = Server(
    version="18.4",
    number=180004,
    encoding="UTF8",
    is_read_only=False,
    max_connections=100,
    volatile=[],
    vector_available="0.8.5",
    vector="0.8.5",
    may_create=True,
    may_extend=True,
    may_write=True,
    keeps_sessions=True,
    revision="0002",
)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def serving(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    settings = {"REDIS_URL": request.getfixturevalue("redis").url} if request.param == "redis" else {}
    service = Service(tmp_path, RATE_LIMITS="post=1000/1", **settings).start()
    yield service
    service.end()


def doctor(service: Service) -> "subprocess.CompletedProcess[str]":
    return run(service.home, "doctor", **service.settings)


async def post_and_delete(url: str) -> None:
    """Leaves four messages in the global room and the stubs of two others."""
    async with httpx.AsyncClient(base_url=url) as http:
        agent = await agents.register(http)
        for number in range(5):
            answer = await agent.post(f"number {number} of some words")
            assert answer.status_code == 201, answer.text
        assert (await agent.delete(answer.json()["id"])).status_code in {200, 204}


@pytest.mark.parametrize("serving", ["postgres", "redis"], indirect=True)
async def test_a_store_that_agrees_with_the_log_has_no_drift(serving: Service) -> None:
    await post_and_delete(serving.url)
    told = doctor(serving)
    assert "ok    drift            none, 1 rooms and 4 messages compared" in told.stdout
    assert told.returncode == 0


@pytest.mark.parametrize("serving", ["postgres"], indirect=True)
async def test_a_message_that_differs_in_postgres_is_drift(serving: Service) -> None:
    await post_and_delete(serving.url)
    await tamper(serving, "UPDATE messages SET body = 'otherwise' WHERE seq = 2")
    told = doctor(serving)
    assert "FAIL  drift            1 messages differ from the log" in told.stdout
    assert told.returncode == 1


@pytest.mark.parametrize("serving", ["redis"], indirect=True)
async def test_a_message_that_is_missing_in_redis_is_drift(serving: Service, redis: RedisServer) -> None:
    await post_and_delete(serving.url)
    with redis.client as client:
        assert client.zremrangebyrank(f"room:{agents.GLOBAL}:messages", 1, 1) == 1
    told = doctor(serving)
    assert "FAIL  drift            1 messages differ from the log" in told.stdout


async def tamper(service: Service, statement: str) -> None:
    url = (service.data / "run").as_posix()
    connection = await asyncpg.connect(f"postgresql://aicq@/aicq?host={url}")
    await connection.execute(statement)
    await connection.close()


def test_redis_that_evicts_is_refused(tmp_path: Path, redis: RedisServer) -> None:
    with redis.client as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    run(tmp_path, "migrate", "up")
    told = run(tmp_path, "doctor", REDIS_URL=redis.url)
    assert "FAIL  maxmemory-policy allkeys-lru" in told.stdout
    assert told.returncode == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, ""),
        ({"number": 140010, "version": "14.10"}, "AICQ needs Postgres 15 or newer, and this is 14.10"),
        ({"is_read_only": True}, "AICQ has to write, and this database is read-only"),
        ({"vector": "", "vector_available": ""}, "This Postgres has no vector extension"),
        ({"vector": "0.7.4"}, "AICQ needs the vector extension 0.8 or newer, and this is 0.7.4"),
        ({"vector": "", "vector_available": "0.6.2"}, "0.8 or newer, and this is 0.6.2"),
        ({"vector": "0.10.0"}, ""),
        ({"may_write": False}, "may not read and write AICQ's tables"),
        ({"keeps_sessions": False}, "have it pool by session"),
    ],
)
def test_what_a_server_tells_is_judged(change: dict[str, object], problem: str) -> None:
    server = msgspec.structs.replace(GOOD, **change)
    assert problem in find_problem(server)
    assert look_at_database(server)[0].grade == ("FAIL" if problem else "ok")


def test_a_schema_that_is_behind_is_told_and_one_that_is_ahead_fails() -> None:
    assert look_at_migrations(GOOD, ["0001", "0002"]).grade == "ok"
    assert look_at_migrations(GOOD, ["0001", "0002", "0003"]).grade == "warn"
    ahead = look_at_migrations(GOOD, ["0001"])
    assert (ahead.grade, "a newer one has been here" in ahead.told) == ("FAIL", True)


def test_a_server_that_may_lose_what_it_committed_is_told() -> None:
    assert look_at_durability(GOOD).grade == "ok"
    careless = look_at_durability(msgspec.structs.replace(GOOD, volatile=["fsync", "synchronous_commit"]))
    assert careless.grade == "warn"
    assert careless.told.startswith("fsync and synchronous_commit off")


def test_a_doctor_who_comes_before_the_first_start_finds_nothing_wrong(tmp_path: Path) -> None:
    told = run(tmp_path, "doctor")
    assert "warn  migrations       at none" in told.stdout
    assert (told.returncode, "FAIL" in told.stdout) == (0, False)


def test_redis_that_is_away_is_told_with_what_it_means(tmp_path: Path) -> None:
    told = run(tmp_path, "doctor", REDIS_URL="redis://127.0.0.1:1")
    assert "warn  hot store        postgres, because Redis cannot be used" in told.stdout
    assert "warn  redis            does not answer at REDIS_URL" in told.stdout
    assert told.returncode == 0


def test_pools_must_fit_into_what_the_server_admits() -> None:
    assert [look_at_connections(100, needed).grade for needed in (39, 95, 101)] == ["ok", "warn", "FAIL"]
