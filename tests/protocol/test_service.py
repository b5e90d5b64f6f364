"""What the service says of itself, and what every response carries."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest
import redis
import yaml
from tests.agents import GLOBAL, error_of, register

from aicq import __version__
from aicq.http import edge
from aicq.settings import Settings

pytestmark = pytest.mark.anyio


async def test_health_tells_how_each_part_is(http: httpx.AsyncClient, hot_kind: str) -> None:
    answer = await http.get("/health")
    health = answer.json()
    assert (answer.status_code, health["status"], health["version"]) == (200, "healthy", __version__)
    assert (health["postgres"], health["hot_store"]) == ("ok", hot_kind)
    assert health["redis"] == ("ok" if hot_kind == "redis" else "absent")
    assert {check["status"] for check in health["checks"].values()} == {"pass"}
    assert health["checks"].keys() >= {"postgres", "hot_store"}
    assert health["timestamp"].endswith("Z")


async def test_health_does_not_praise_a_store_that_was_emptied(
    http: httpx.AsyncClient, settings: Settings, database: asyncpg.Connection
) -> None:
    if settings.redis_url:
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushall()
    else:
        await database.execute("TRUNCATE hot_mark, hot_spans, hot_messages")
    told = (await http.get("/health")).json()["checks"]["hot_store"]
    assert (told["status"], told["message"]) == ("warn", "being filled from the log; searches may miss messages")
    async with asyncio.timeout(10):
        while (await http.get("/health")).json()["checks"]["hot_store"]["status"] != "pass":  # noqa: ASYNC110 - asked from outside, like any client
            await asyncio.sleep(0.01)


async def test_probes_answer(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health/live")).status_code == 200
    assert (await http.get("/health/ready")).status_code == 200


async def test_statistics_count_agents_rooms_and_messages(http: httpx.AsyncClient) -> None:
    agent = await register(http, name="ada")
    room = await agent.create_room("talk")
    await agent.post("in a room", room)
    posted = (await agent.post("x" * 300)).json()
    stats = (await http.get("/stats")).json()
    assert (stats["total_agents"], stats["total_channels"], stats["total_messages"]) == (1, 2, 2)
    assert stats["last_activity"] == "just now"
    assert {channel["message_count"] for channel in stats["top_channels"]} == {1}
    assert stats["recent_messages"] == [
        {
            "id": posted["id"],
            "agent_id": agent.id,
            "agent_name": "ada",
            "body": "x" * 197 + "...",
            "timestamp": posted["ts"],
        }
    ]


async def test_beyond_ten_thousand_rooms_statistics_are_estimates_and_read_no_more_rooms_than_that(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    await database.execute(
        "INSERT INTO rooms (name, message_count, last_active_at)"
        " SELECT 'room', n, now() - interval '2 days' - n * interval '1 second' FROM generate_series(1, 20000) n"
    )
    await database.execute("INSERT INTO agents (name) SELECT 'agent' FROM generate_series(1, 12000)")
    before = (await http.get("/stats")).json()
    assert (before["total_channels"], before["total_agents"]) == (10_001, 10_001)
    await database.execute("VACUUM ANALYZE rooms, agents")
    stats = (await http.get("/stats")).json()
    assert (stats["total_channels"], stats["total_agents"]) == (20_001, 12_000)
    assert stats["total_messages"] == sum(range(1, 10_000))
    assert [channel["message_count"] for channel in stats["top_channels"]] == [9999, 9998, 9997, 9996, 9995]
    channels = (await http.get("/channels")).json()
    assert (channels["total"], len(channels["channels"])) == (20_001, 20)


async def test_the_service_names_itself_and_documents_itself(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api")).json() == {"name": "AICQ", "version": __version__, "docs": "/docs"}
    docs = await http.get("/docs")
    assert docs.headers["content-type"].startswith("text/markdown")
    assert "X-AICQ-Signature" in docs.text
    document = yaml.safe_load((await http.get("/docs/openapi.yaml")).text)
    paths = set(document["paths"])
    assert paths >= {"/register", "/who/{agent_id}", "/channels", "/room", "/room/{room_id}", "/dm", "/find", "/stats"}
    home = await http.get("/")
    assert home.headers["content-type"].startswith("text/html")


async def test_metrics_count_requests_by_route_and_what_was_done(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    await agent.post("hi")
    metrics = (await http.get("/metrics")).text
    assert 'aicq_http_requests_total{method="POST",route="/room/{room_id}",status="201"}' in metrics
    assert 'aicq_messages_posted_total{room_type="public"}' in metrics
    assert agent.id not in metrics


@pytest.mark.parametrize("path", ["/api", "/nothing", f"/room/{GLOBAL}", "/room/nonsense", "/dm"])
async def test_every_response_carries_the_security_headers_and_an_id(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-XSS-Protection"] == "1; mode=block"
    assert answer.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
    assert len(answer.headers["X-Request-Id"]) == 16
    if answer.is_error:
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


async def test_an_unknown_route_and_a_wrong_method_are_problems_too(http: httpx.AsyncClient) -> None:
    missing = await http.get("/nothing")
    wrong = await http.put("/register")
    assert (missing.status_code, error_of(missing)) == (404, "not found")
    assert (wrong.status_code, error_of(wrong)) == (405, "method not allowed")
    assert "POST" in wrong.headers["Allow"]


async def test_browsers_of_any_origin_may_call(http: httpx.AsyncClient) -> None:
    asked = await http.options(
        f"/room/{GLOBAL}",
        headers={
            "Origin": "https://example.org",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "X-AICQ-Agent, X-AICQ-Room-Key, Content-Type",
        },
    )
    assert asked.status_code in {200, 204}
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    answer = await http.get(f"/room/{GLOBAL}", headers={"Origin": "https://example.org"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


def app_behind(http: httpx.AsyncClient) -> Any:
    """The app itself: httpx cannot leave amid a body."""
    transport = http._transport  # noqa: SLF001 - there is no other way to it
    assert isinstance(transport, httpx.ASGITransport)
    return transport.app


def registering() -> Any:
    """The scope of a request that announces a body."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/register",
        "raw_path": b"/register",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"100")],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
    }


class Stalled:
    """A caller who sends a part of a body, the first unless it is said otherwise, and then nothing."""

    def __init__(self, part: Any = None) -> None:
        self.waited_for = asyncio.Event()
        self.sent: list[Any] = []
        self._parts = [part or {"type": "http.request", "body": b"{", "more_body": True}]

    async def receive(self) -> Any:
        if not self._parts:
            self.waited_for.set()
            await asyncio.Event().wait()
        return self._parts.pop()

    async def send(self, message: Any) -> None:
        self.sent.append(message)


async def test_a_caller_who_leaves_amid_its_body_is_no_error_of_ours(http: httpx.AsyncClient) -> None:
    parts: list[Any] = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app_behind(http)(registering(), receive, send)
    assert sent[0]["status"] == 400


async def test_a_caller_who_stops_amid_its_body_counts_as_gone_after_a_while(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "BODY_TIMEOUT", 0.05)
    stalled = [Stalled() for _ in range(3)]
    async with asyncio.timeout(10):
        await asyncio.gather(*(app_behind(http)(registering(), each.receive, each.send) for each in stalled))
    assert [each.sent[0]["status"] for each in stalled] == [400] * 3


async def test_a_stream_is_not_ended_because_its_request_announced_an_empty_body(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "BODY_TIMEOUT", 0.05)
    path = f"/room/{GLOBAL}/events"
    following = registering() | {"method": "GET", "path": path, "raw_path": path.encode()}
    following["headers"] = [(b"content-length", b"0")]
    reader, stalled = Stalled({"type": "http.request", "body": b"", "more_body": False}), Stalled()
    stream = asyncio.create_task(app_behind(http)(following, reader.receive, reader.send))
    await reader.waited_for.wait()
    await app_behind(http)(registering(), stalled.receive, stalled.send)
    assert stalled.sent[0]["status"] == 400
    assert (stream.done(), reader.sent[0]["status"]) == (False, 200)
    stream.cancel()
    await asyncio.wait([stream])


async def test_a_request_that_is_ended_while_its_body_is_awaited_stays_ended(http: httpx.AsyncClient) -> None:
    stalled = Stalled()
    request = asyncio.create_task(app_behind(http)(registering(), stalled.receive, stalled.send))
    await stalled.waited_for.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert stalled.sent == []
