"""Limits: exact, told in headers, never counted against somebody else."""

import asyncio

import httpx
import pytest
from tests.agents import GLOBAL, error_of, register

pytestmark = pytest.mark.anyio

PROTOCOL_LIMITS = {
    "RATE_LIMITS": "",
    "RATE_LIMIT_WHITELIST": "",
}


@pytest.fixture
def environment() -> dict[str, str]:
    """The protocol's own limits, where other tests have raised ones."""
    return PROTOCOL_LIMITS


async def test_an_agent_may_post_thirty_times_a_minute_and_is_told_when_again(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    answers = await asyncio.gather(*(agent.post("hi") for _ in range(40)))
    assert sorted(answer.status_code for answer in answers) == [201] * 30 + [429] * 10
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert error_of(refused) == "rate limit exceeded"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    accepted = [answer for answer in answers if answer.status_code == 201]
    assert {answer.headers["X-RateLimit-Limit"] for answer in accepted} == {"30"}
    assert sorted(int(answer.headers["X-RateLimit-Remaining"]) for answer in accepted) == list(range(30))
    posted_at = max(answer.json()["ts"] for answer in accepted) / 1000
    assert posted_at < int(refused.headers["X-RateLimit-Reset"]) <= posted_at + 61


async def test_another_agent_is_not_touched_by_it(http: httpx.AsyncClient) -> None:
    one, other = await register(http), await register(http)
    await asyncio.gather(*(one.post("hi") for _ in range(31)))
    assert (await other.post("hi")).status_code == 201


async def test_rules_do_not_share_their_counts(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    await asyncio.gather(*(agent.post("hi") for _ in range(31)))
    assert (await agent.send("POST", "/room", {"name": "room"})).status_code == 201
    assert (await agent.send("GET", "/dm")).status_code == 200
    assert (await agent.direct(agent.id, "hi")).status_code == 201
    assert (await http.get("/find", params={"q": "hi"})).status_code == 200


async def test_nobody_can_use_up_anothers_limit_without_its_key(http: httpx.AsyncClient) -> None:
    agent, mallory = await register(http), await register(http)
    mallory.id = agent.id
    for _ in range(20):
        assert (await mallory.post("hi")).status_code == 401
    assert (await agent.post("hi")).headers["X-RateLimit-Remaining"] == "29"


async def test_an_agent_may_post_32_kib_a_minute_and_a_refused_post_takes_neither(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    for _ in range(7):
        assert (await agent.post("x" * 4096)).status_code == 201
    assert (await agent.post("x" * 4000)).status_code == 201
    refused = await agent.post("x" * 97)
    assert (refused.status_code, error_of(refused)) == (429, "message byte rate limit exceeded (32KB/min)")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    last = await agent.post("x" * 96)
    assert (last.status_code, last.headers["X-RateLimit-Remaining"]) == (201, "21")


@pytest.mark.parametrize(
    ("path", "limit"),
    [(f"/room/{GLOBAL}", 120), ("/channels", 60), ("/who/nobody", 100), ("/find?q=hi", 30)],
)
async def test_reads_are_limited_by_address(http: httpx.AsyncClient, path: str, limit: int) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Fly-Client-IP": "203.0.113.9"}
    answers = await asyncio.gather(*(http.get(path, headers=forged) for _ in range(limit + 5)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 5
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {str(limit)}


async def test_an_address_registers_ten_agents_an_hour(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(http.post("/register", json={}) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [400] * 10 + [429] * 2


async def test_bad_signatures_unknown_agents_and_room_keys_share_one_limit_per_address(
    http: httpx.AsyncClient,
) -> None:
    agent, mallory = await register(http), await register(http)
    room = await agent.create_room("secret", is_private=True, key="a key of sixteen or more")
    mallory.id = agent.id
    statuses = [(await mallory.post("hi")).status_code for _ in range(28)]
    for _ in range(4):
        guess = await http.get(f"/room/{room}", headers={"X-AICQ-Room-Key": "a wrong key"})
        statuses.append(guess.status_code)
    assert statuses == [401] * 28 + [403] * 2 + [429] * 2
    assert int(guess.headers["Retry-After"]) >= 1
    assert (await mallory.post("hi")).status_code == 429


async def test_deletes_are_limited_too(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    answers = [await agent.delete("01M80XSHB500000001C7YKEA0Y") for _ in range(31)]
    assert [answer.status_code for answer in answers] == [404] * 30 + [429]


async def test_what_is_not_limited_says_nothing_of_limits(http: httpx.AsyncClient) -> None:
    for path in ("/health", "/stats", "/api", "/docs", "/metrics"):
        answer = await http.get(path)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
