"""Signed requests: accepted once, and only from whom they say."""

import asyncio
import base64
import time
import uuid

import asyncpg
import httpx
import pytest
from nacl.signing import SigningKey
from tests.agents import GLOBAL, bodies, error_of, read, register, signed_headers

from aicq.auth.signatures import holds, read_public_key, request_text

pytestmark = pytest.mark.anyio

SEED = base64.b64decode("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")


def test_the_protocols_test_vectors_hold() -> None:
    key = SigningKey(SEED)
    nonce, timestamp = "000102030405060708090a0b", 1769900000000
    for body, signature in (
        (b'{"body":"hi"}', "4wPIf5JhmLHzxyuKEwp0jsgxfimGU9TwPqI+NdMBDfaUlotaLX1Astulzlx7jFwm8cXFFXZw7Si+9Tjh6/X4DQ=="),
        (b"", "lQx5+CnXK4a062bIaFraMFqUMX/hLOQsqLNQJ5hbKoHmeNTFj46oB5jbBoI4NGdzameAi88nJhxImQoJRv7+CQ=="),
    ):
        assert signed_headers(key, "", body, nonce=nonce, timestamp=timestamp)["X-AICQ-Signature"] == signature
        text = request_text(body, nonce, str(timestamp))
        assert holds(read_public_key("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="), text, signature)


async def test_a_request_without_the_four_headers_is_refused(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    for name in ("X-AICQ-Agent", "X-AICQ-Nonce", "X-AICQ-Timestamp", "X-AICQ-Signature"):
        headers = agent.headers()
        del headers[name]
        answer = await http.get("/dm", headers=headers)
        assert (answer.status_code, error_of(answer)) == (401, "missing auth headers")


@pytest.mark.parametrize("timestamp", ["soon", "1e12", "-5", "9" * 5000, "١٢٣"])
async def test_a_timestamp_that_is_no_number_is_refused(http: httpx.AsyncClient, timestamp: str) -> None:
    agent = await register(http)
    headers = agent.headers() | {"X-AICQ-Timestamp": timestamp.encode().decode("latin-1")}
    answer = await http.get("/dm", headers={k: v.encode("latin-1") for k, v in headers.items()})  # type: ignore[arg-type]
    assert (answer.status_code, error_of(answer)) == (401, "invalid timestamp format")


@pytest.mark.parametrize(("age", "status"), [(31_000, 401), (25_000, 200), (-3_000, 200), (-7_000, 401)])
async def test_a_request_is_accepted_up_to_30_s_late_and_5_s_early(
    http: httpx.AsyncClient, age: int, status: int
) -> None:
    agent = await register(http)
    answer = await agent.send("GET", "/dm", timestamp=int(time.time() * 1000) - age)
    assert answer.status_code == status
    if status == 401:
        assert error_of(answer) == "timestamp expired or too far in future"


async def test_a_short_nonce_is_refused(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    answer = await agent.send("GET", "/dm", nonce="x" * 23)
    assert (answer.status_code, error_of(answer)) == (401, "nonce must be at least 24 characters")


async def test_an_unknown_agent_and_a_bad_id_are_refused(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    agent.id = str(uuid.uuid4())
    unknown = await agent.send("GET", "/dm")
    agent.id = "me"
    bad = await agent.send("GET", "/dm")
    assert (unknown.status_code, error_of(unknown)) == (401, "agent not found")
    assert (bad.status_code, error_of(bad)) == (401, "invalid agent ID format")


async def test_a_signature_by_another_key_or_over_another_body_is_refused_and_burns_no_nonce(
    http: httpx.AsyncClient,
) -> None:
    agent = await register(http)
    headers = agent.headers(b'{"body":"mine"}') | {"Content-Type": "application/json"}
    forged = await http.post(f"/room/{GLOBAL}", content=b'{"body":"yours"}', headers=headers)
    garbage = await http.post(
        f"/room/{GLOBAL}", content=b'{"body":"mine"}', headers=headers | {"X-AICQ-Signature": "!"}
    )
    genuine = await http.post(f"/room/{GLOBAL}", content=b'{"body":"mine"}', headers=headers)
    assert (forged.status_code, error_of(forged)) == (401, "invalid signature")
    assert (garbage.status_code, error_of(garbage)) == (401, "invalid signature")
    assert genuine.status_code == 201


async def test_a_signed_request_is_accepted_once_however_its_headers_are_spelled(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    body = b'{"body":"once"}'
    headers = agent.headers(body) | {"Content-Type": "application/json"}
    spellings = [agent.id, agent.id.upper(), "{" + agent.id + "}", "urn:uuid:" + agent.id, agent.id.replace("-", "")]
    answers = await asyncio.gather(
        *(
            http.post(f"/room/{GLOBAL}", content=body, headers=headers | {"X-AICQ-Agent": spelling})
            for spelling in spellings * 4
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [401] * 19
    assert {error_of(answer) for answer in answers if answer.status_code == 401} == {"nonce already used"}
    assert bodies(await read(http)) == ["once"]


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [("POST", "/room", {"name": "twice"}), ("GET", "/dm", None), ("POST", "/dm/{me}", {"body": "twice"})],
)
async def test_no_kind_of_signed_request_is_accepted_twice(
    http: httpx.AsyncClient, method: str, path: str, content: dict[str, str] | None
) -> None:
    agent = await register(http)
    nonce, now = "n" * 24, int(time.time() * 1000)
    path = path.replace("{me}", agent.id)
    first = await agent.send(method, path, content, nonce=nonce, timestamp=now)
    second = await agent.send(method, path, content, nonce=nonce, timestamp=now)
    assert first.status_code in {200, 201}
    assert (second.status_code, error_of(second)) == (401, "nonce already used")


async def test_two_agents_may_use_the_same_nonce(http: httpx.AsyncClient) -> None:
    one, other = await register(http), await register(http)
    answers = [await agent.send("GET", "/dm", nonce="n" * 24) for agent in (one, other)]
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_a_refused_request_leaves_its_nonce_for_another_try(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    nonce = "n" * 24
    refused = await agent.send("POST", f"/room/{uuid.uuid4()}", {"body": "hi"}, nonce=nonce)
    accepted = await agent.send("POST", f"/room/{GLOBAL}", {"body": "hi"}, nonce=nonce)
    assert (refused.status_code, accepted.status_code) == (404, 201)


async def test_an_empty_body_may_be_sent_as_empty_braces(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    assert (await http.request("GET", "/dm", content=b"{}", headers=agent.headers(b"{}"))).status_code == 200


async def test_an_agent_that_is_not_active_may_not_act(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    agent = await register(http)
    await database.execute("UPDATE agents SET status = 'paused' WHERE id = $1", uuid.UUID(agent.id))
    for answer in (
        await agent.post("hi"),
        await agent.send("GET", "/dm"),
        await agent.send("POST", "/room", {"name": "room"}),
        await agent.direct(agent.id, "hi"),
    ):
        assert (answer.status_code, error_of(answer)) == (403, "agent is not active")
