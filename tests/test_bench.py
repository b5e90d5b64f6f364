"""The benchmark: one short run of everything, and the parts whose mistakes would make its figures lie."""

import asyncio
import base64
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import granian.server
import pytest
from litestar.testing import TestClient

from aicq import serve
from aicq.bench import floor, servers
from aicq.bench.large import KINDS
from aicq.bench.load import run_slice
from aicq.bench.report import Compared, Report, Timed, as_json, as_table
from aicq.bench.rows import ON_DEMAND, ROWS, STORES
from aicq.bench.run import Plan, measure
from aicq.bench.servers import Target
from aicq.bench.stores import Store, opened
from aicq.bench.traffic import WORDS, Agent, posts, read, sentences
from aicq.bench.visits import times_between
from aicq.errors import StartError
from aicq.hot.words import index_words
from aicq.settings import load as load_settings


@pytest.fixture(scope="module")
def short_run() -> str:
    command = [sys.executable, "-m", "aicq", "bench", "--once", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_a_short_run_measures_every_row_on_both_stores(short_run: str) -> None:
    found = json.loads(short_run)

    assert [row["row"] for row in found["rows"]] == [row.name for row in ROWS]
    for row in found["rows"]:
        assert set(row["ratios"]) == set(STORES)
        assert all(rate > 0 for rate in [*row["floor"], *row["rates"]["postgres"], *row["rates"]["redis"]])


@pytest.mark.timeout(300)
def test_a_short_run_times_calls_of_the_hot_store_under_load_and_deliveries_to_those_who_follow(short_run: str) -> None:
    calls = json.loads(short_run)["calls"]

    counts = {call["call"]: call["count"] for call in calls}
    assert counts.keys() > {"append", "publish", "take", "messages_append", "bus_publish", "limits"}
    assert counts["append"].keys() == {"postgres"}
    assert counts["messages_append"].keys() == {"redis"}
    goals = {call["call"]: call["goal_ms"] for call in calls}
    assert goals["a post to each of 1,000 followers"] == {"postgres": 250, "redis": 250}
    assert goals["a post told by aicq agent watch"] == {"postgres": 50, "redis": 50}
    assert all(count > 0 for each in counts.values() for count in each.values())


@pytest.mark.timeout(300)
def test_a_short_run_compares_posts_in_a_storm_with_those_before_it(short_run: str) -> None:
    calls = {call["call"]: call for call in json.loads(short_run)["calls"]}

    quiet, amid = calls["a post with 1,000 followers"], calls["a post while 1,000 come back"]
    assert quiet["goal_ms"] == quiet["reached"] == {}
    assert amid["goal_ms"] == pytest.approx({store: 2 * quiet["p99_ms"][store] for store in STORES}, abs=0.002)


@pytest.mark.timeout(300)
def test_a_short_run_finds_what_was_acknowledged_in_the_log(short_run: str) -> None:
    assert all(json.loads(short_run)["acknowledged"][store] > 0 for store in STORES)


@pytest.mark.timeout(300)
def test_what_takes_minutes_is_measured_when_it_is_asked_for() -> None:
    command = [sys.executable, "-m", "aicq", "bench", "--once", "--json", "--rows", ",".join(ON_DEMAND)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    assert {call["call"] for call in found["calls"]} == {f"search of 2,000, {kind}" for kind in KINDS}
    assert [row["work"][-12:] for row in found["rows"]] == ["log of 1,000", "log of 5,000"]
    assert found["rows"][1]["goal"] > 0
    assert "bytes on Redis" in found["notes"][0]


def test_an_unknown_row_is_told_with_those_that_exist() -> None:
    with pytest.raises(StartError, match=r"no rows post-2; there are post-1, .*, hot"):
        measure(Plan(rows=["post-2"]), print)


# The table


def compared(rates: dict[str, list[float]]) -> Report:
    row = Compared("post-1", "signed POST, 1 client", 0.2, [1000.0, 2000.0, 900.0], rates)
    return Report(["a machine"], [row], [], dict.fromkeys(rates, 7))


def test_the_table_compares_medians() -> None:
    table = as_table(compared({"postgres": [250.0, 1.0, 240.0], "redis": [100.0, 190.0, 199.0]}))

    row = next(line for line in table.splitlines() if line.startswith("signed POST"))
    assert re.split(r"\s{2,}", row) == [
        *("signed POST, 1 client", "1,000", "240", "0.24", "190", "0.19", "0.20", "yes no")
    ]
    assert "7 on Postgres, 7 on Redis" in table


def test_the_table_leaves_out_a_store_that_was_not_measured() -> None:
    row = next(line for line in as_table(compared({"redis": [300.0]})).splitlines() if line.startswith("signed"))

    assert row.split()[-7:] == ["1,000", "–", "–", "300", "0.30", "0.20", "yes"]  # noqa: RUF001 - as it is printed


def test_a_percentile_is_what_so_many_percent_do_not_exceed() -> None:
    timed = Timed.alike("take", {"redis": [float(n) for n in range(200, 0, -1)]})

    assert (timed.percentile("redis", 50), timed.percentile("redis", 99)) == (100.0, 198.0)


def test_a_call_reaches_its_goal_by_its_slowest_hundredth() -> None:
    calls = [Timed.alike("take", {"redis": [1.0] * 980 + [11.0] * 20, "postgres": [1.0] * 995 + [11.0] * 5})]

    [call] = json.loads(as_json(Report([], [], calls, {})))["calls"]

    assert call["reached"] == {"redis": False, "postgres": True}


def test_the_table_shows_a_goal_for_each_store_where_they_differ_and_none_where_there_is_none() -> None:
    times = {"postgres": [10.0], "redis": [20.0]}
    timed = [Timed("before", times, {}), Timed("amid", times, {"postgres": 9.0, "redis": 21.0})]
    table = as_table(Report([], [], timed, {})).splitlines()
    before, amid = (next(line for line in table if line.startswith(row.call)) for row in timed)

    assert re.split(r"\s{2,}", before)[-2:] == ["–", "–"]  # noqa: RUF001 - as it is printed
    assert re.split(r"\s{2,}", amid)[-2:] == ["9 21", "no yes"]


def test_calls_count_by_what_the_product_has_told_of_them_meanwhile() -> None:
    beyond = float("inf")
    before = {"take": {0.001: 5.0, 0.01: 9.0, beyond: 9.0}}
    after = {"take": {0.001: 7.0, 0.01: 12.0, beyond: 13.0}, "search": {0.001: 0.0, 0.01: 1.0, beyond: 1.0}}

    times = times_between(before, after)

    assert times["take"] == pytest.approx([0.25, 0.75, 5.5, 10.0])
    assert times["search"] == pytest.approx([5.5])


# The traffic


def test_every_message_has_25_words_that_are_indexed() -> None:
    assert all(len(text.split()) == WORDS for text in sentences())
    assert len(index_words(sentences()[0])) == len(set(sentences()[0].split()))


def test_all_servers_are_sent_the_same_texts() -> None:
    bodies = [[request.partition(b"\r\n\r\n")[2] for request in posts(Agent(), "room", 3)] for _ in range(2)]

    assert bodies[0] == bodies[1]
    assert len(set(bodies[0])) == 3


# The load


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads a head and sends the next of the answers, in two pieces; its port, and the heads."""
    heads: list[bytes] = []
    left = iter(answers)
    talks: list[asyncio.Task[None] | None] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                answer = next(left, b"")
                if not answer:
                    break
                for part in (answer[:20], answer[20:]):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.001)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()
        await asyncio.gather(*filter(None, talks))


def answer(status: str, body: bytes = b"[]") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


async def test_a_slice_counts_every_answer_and_sends_nothing_before_the_last() -> None:
    async with answering(*[answer("200 OK")] * 9) as (port, heads):
        requests = [iter([read("/a")] * 5), iter([read("/b")] * 4)]
        measured = await run_slice(port, requests, status=200, warm=0, seconds=5)

    assert measured.ran_dry
    assert measured.answered == len(heads)
    assert measured.answered in {8, 9}  # one client runs dry and ends the slice for both, after their last answers


async def test_a_slice_without_an_end_ends_on_time() -> None:
    async with answering(*[answer("200 OK")] * 10_000) as (port, heads):
        measured = await run_slice(port, [iter([read("/")] * 10_000)], status=200, warm=0.05, seconds=0.1)

    assert not measured.ran_dry
    assert 0 < measured.rate < measured.answered / 0.1
    assert measured.answered == len(heads)


async def test_an_answer_with_another_status_makes_the_figures_void() -> None:
    async with answering(answer("201 Created"), answer("429 Too Many", b'{"error":"enough"}')) as (port, _):
        with pytest.raises(StartError, match=re.escape('429 {"error":"enough"}')):
            await run_slice(port, [iter([read("/")] * 3)], status=201, warm=0, seconds=5)


async def test_a_lost_connection_makes_the_figures_void() -> None:
    async with answering(answer("201 Created")) as (port, _):
        with pytest.raises(StartError, match="connection was lost"):
            await run_slice(port, [iter([read("/")] * 3)], status=201, warm=0, seconds=5)


# The floor


def test_the_floor_checks_signatures() -> None:
    agent, other = Agent(), Agent()
    other.id = agent.id
    with TestClient(floor.create_floor({agent.id: agent.public_key}, b"page")) as client:
        for sender, status in ((agent, 201), (other, 401)):
            head, _, body = sender.signed("/room/x", b'{"body":"hello"}').partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
            assert client.post("/room/x", content=body, headers=headers).status_code == status
        assert client.get("/room/x").content == b"page"


def test_the_floor_is_served_with_the_options_of_the_product(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options: list[dict[str, Any]] = []

    class Fake:
        interrupt_signal = True

        def __init__(self, _target: str, **given: Any) -> None:
            options.append(given)

        def on_startup(self, function: object) -> object:
            return function

        def serve(self, **_given: object) -> None:
            pass

    monkeypatch.setattr(granian.server, "Server", Fake)
    monkeypatch.setattr(floor, "Server", Fake)
    settings = load_settings({"PORT": "8080", "AICQ_DATA_DIR": str(tmp_path)})

    serve._run_workers(settings, "127.0.0.1", [])  # noqa: SLF001 - the one place that knows them
    floor.serve(8080, tmp_path)

    product, bare = options
    assert bare == product


# What the product is compared with


async def test_a_message_that_is_not_in_the_log_makes_the_figures_void(database_url: str) -> None:
    target = Target("postgres", 0, database_url=database_url)
    await asyncio.to_thread(servers.check_log, target)
    target.acknowledged = 1

    with pytest.raises(StartError, match="acknowledged 1 posts, and its log holds 0"):
        await asyncio.to_thread(servers.check_log, target)


async def test_a_store_without_an_epoch_is_not_measured(redis_url: str) -> None:
    with pytest.raises(StartError, match="epoch"):
        async with opened(Store("redis", redis_url)):
            pass


async def test_a_database_of_our_own_is_gone_afterwards(database_url: str) -> None:
    def names() -> tuple[str, list[str]]:
        with servers.own_database(database_url) as url:
            name = servers.fetch(url, "SELECT current_database()")[0][0]
        return name, [row[0] for row in servers.fetch(database_url, "SELECT datname FROM pg_database")]

    own, left = await asyncio.to_thread(names)

    assert own.startswith("aicq_bench_")
    assert own not in left


def test_agents_sign_as_the_protocol_wants() -> None:
    head = Agent().signed("/room/x", b"{}").decode()

    assert len(re.findall(r"^X-AICQ-(?:Agent|Nonce|Timestamp|Signature): \S+\r$", head, re.MULTILINE)) == 4
    assert len(base64.b64decode(head.split("X-AICQ-Signature: ")[1].split("\r\n")[0])) == 64
