"""Agents about themselves: tokens for signatures, profiles, other keys, and the end."""

import base64
from typing import TypeAlias
from uuid import UUID

import asyncpg
import httpx
import pytest
from nacl.signing import SigningKey

from aicq.db.plugin import Database
from aicq.identity.services.directory import TRUSTED_FOR, AgentDirectory
from aicq.settings import Settings
from tests.agents import Agent, error_of, public_key, read, register
from tests.people import sign_up

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def take_token(agent: Agent) -> str:
    answer = await agent.send("POST", "/v1/auth/token")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def call(http: httpx.AsyncClient, token: str, method: str = "GET", **more: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return await http.request(method, "/v1/agents/me", headers=headers, **more)  # type: ignore[arg-type] # json alone


def proof(agent: Agent, key: SigningKey) -> dict[str, str]:
    """What an agent shows to take another key."""
    text = f"aicq-key-v1\n{agent.id}\n{public_key(key)}".encode()
    return {"public_key": public_key(key), "proof": base64.b64encode(key.sign(text).signature).decode()}


async def change_key(agent: Agent, key: SigningKey | None = None) -> SigningKey:
    key = key or SigningKey.generate()
    answer = await agent.send("PUT", "/v1/agents/me/key", proof(agent, key))
    assert answer.status_code == 200, answer.text
    return key


async def test_an_agent_takes_a_token_for_a_signature(
    http: httpx.AsyncClient, another_worker: httpx.AsyncClient
) -> None:
    scout = await register(http, "scout")
    token = await take_token(scout)
    for worker in (http, another_worker):
        answer = await call(worker, token)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["id"], answer.json()["name"]) == (scout.id, "scout")


async def test_a_signature_buys_one_token(http: httpx.AsyncClient) -> None:
    scout = await register(http)
    headers = scout.headers()
    assert (await http.post("/v1/auth/token", headers=headers)).status_code == 200
    again = await http.post("/v1/auth/token", headers=headers)
    assert (again.status_code, error_of(again)) == (401, "nonce already used")


async def test_a_signed_request_of_the_platform_is_accepted_once(http: httpx.AsyncClient) -> None:
    scout = await register(http)
    headers = scout.headers()
    assert (await http.get("/v1/agents/me", headers=headers)).status_code == 200
    assert (await http.get("/v1/agents/me", headers=headers)).status_code == 401


async def test_an_agent_that_is_not_active_is_out_at_once(http: httpx.AsyncClient, database: Connection) -> None:
    scout = await register(http)
    token = await take_token(scout)
    await database.execute("UPDATE agents SET status = 'paused'")
    assert (await call(http, token)).status_code == 401
    assert (await scout.send("POST", "/v1/auth/token")).status_code == 403
    assert (await scout.send("GET", "/v1/agents/me")).status_code == 403


async def test_a_persons_token_is_no_agents(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    assert (await ada.send("GET", "/v1/agents/me")).status_code == 404


async def test_an_agent_changes_its_profile(http: httpx.AsyncClient) -> None:
    scout = await register(http)
    change = {
        "name": "Scout",
        "tagline": "Finds things.",
        "avatar_emoji": "🔭",
        "capabilities": {"search": True},
        "tags": ["search", "news"],
        "personality": {"tone": "dry", "traits": {"curious": 0.9}},
    }
    answer = await scout.send("PATCH", "/v1/agents/me", change)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert {name: shown[name] for name in change if name != "personality"} == {
        name: value for name, value in change.items() if name != "personality"
    }
    assert (shown["personality"]["tone"], shown["personality"]["verbosity"]) == ("dry", "balanced")
    assert (await http.get(f"/who/{scout.id}")).json()["name"] == "Scout"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"status": "archived"}, "status"),
        ({"team_id": None}, "team_id"),
        ({"name": ""}, "name"),
        ({"email": "x"}, "email"),
        ({"personality": {"traits": {"curious": 2}}}, "personality.traits[...]"),
        ({"tags": [""]}, "tags[0]"),
    ],
)
async def test_what_an_agent_may_not_be_is_told_with_its_field(
    http: httpx.AsyncClient, wrong: dict[str, object], field: str
) -> None:
    scout = await register(http)
    answer = await scout.send("PATCH", "/v1/agents/me", wrong)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_another_key_is_the_agents_from_now_on(
    http: httpx.AsyncClient, another_worker: httpx.AsyncClient
) -> None:
    scout = await register(http)
    there = Agent(another_worker, scout.key, scout.id)
    assert (await there.post("with the old key")).status_code == 201
    new_key = await change_key(scout)
    assert (await http.get(f"/who/{scout.id}")).json()["public_key"] == public_key(new_key)
    for worker in (http, another_worker):
        assert (await Agent(worker, new_key, scout.id).post("with the new key")).status_code == 201
        refused = await Agent(worker, scout.key, scout.id).post("with the old key")
        assert (refused.status_code, error_of(refused)) == (401, "invalid signature")


async def test_tokens_end_with_the_key_on_every_worker(
    http: httpx.AsyncClient, another_worker: httpx.AsyncClient
) -> None:
    scout = await register(http)
    token = await take_token(scout)
    await change_key(scout)
    assert (await call(http, token)).status_code == 401
    assert (await call(another_worker, token)).status_code == 401


async def test_a_key_that_was_changed_takes_no_token_and_no_key(
    http: httpx.AsyncClient, another_worker: httpx.AsyncClient
) -> None:
    scout = await register(http)
    there = Agent(another_worker, scout.key, scout.id)
    await there.post("hi")  # so that this worker remembers the key
    await change_key(scout)
    assert (await there.send("POST", "/v1/auth/token")).status_code == 401
    assert (await there.send("PUT", "/v1/agents/me/key", proof(there, SigningKey.generate()))).status_code == 401
    assert (await there.send("DELETE", "/v1/agents/me", {"id": scout.id})).status_code == 401


async def test_a_key_is_taken_only_by_who_holds_it(http: httpx.AsyncClient) -> None:
    scout, other = await register(http), SigningKey.generate()
    forged = {"public_key": public_key(other), "proof": proof(scout, SigningKey.generate())["proof"]}
    answer = await scout.send("PUT", "/v1/agents/me/key", forged)
    assert (answer.status_code, answer.json()["field"]) == (422, "proof")
    wrong = await scout.send("PUT", "/v1/agents/me/key", {"public_key": "x", "proof": ""})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "public_key")


async def test_a_key_belongs_to_one_agent(http: httpx.AsyncClient) -> None:
    scout, other = await register(http), await register(http)
    answer = await scout.send("PUT", "/v1/agents/me/key", proof(scout, other.key))
    assert (answer.status_code, answer.json()["field"]) == (409, "public_key")


async def test_a_token_alone_changes_no_key_and_deletes_nothing(http: httpx.AsyncClient) -> None:
    scout = await register(http)
    token = await take_token(scout)
    assert (await call(http, token, "DELETE", json={"id": scout.id})).status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    body = proof(scout, SigningKey.generate())
    assert (await http.put("/v1/agents/me/key", headers=headers, json=body)).status_code == 401


async def test_a_deleted_agent_is_gone_and_what_it_wrote_stays(http: httpx.AsyncClient, database: Connection) -> None:
    scout = await register(http)
    token = await take_token(scout)
    await scout.post("so long")
    assert (await scout.send("DELETE", "/v1/agents/me", {"id": "another"})).status_code == 422
    assert (await scout.send("DELETE", "/v1/agents/me", {"id": scout.id})).status_code == 204
    assert (await call(http, token)).status_code == 401
    assert (await http.get(f"/who/{scout.id}")).status_code == 404
    assert (await scout.post("hello?")).status_code in {401, 403}
    [message] = (await read(http))["messages"]
    assert (message["from"], message["body"]) == (scout.id, "so long")
    assert await database.fetchval("SELECT deleted_at IS NOT NULL FROM actors WHERE id = $1::text::uuid", scout.id)
    again = await register(http, key=scout.key)
    assert again.id != scout.id


async def test_what_agents_do_to_themselves_is_in_the_audit_log(http: httpx.AsyncClient, database: Connection) -> None:
    scout = await register(http)
    await take_token(scout)
    await scout.send("PATCH", "/v1/agents/me", {"name": "Scout"})
    new = Agent(http, await change_key(scout), scout.id)
    await new.send("DELETE", "/v1/agents/me", {"id": scout.id})
    actions = [
        row["action"]
        for row in await database.fetch("SELECT action FROM audit_logs WHERE actor_id IS NOT NULL ORDER BY seq")
    ]
    assert actions == ["agents.register", "agents.log_in", "agents.change", "agents.change_key", "agents.delete"]


class Clock:
    """Seconds that go forward when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_key_is_looked_at_again_after_a_second(settings: Settings, database: Connection) -> None:
    old, new = public_key(SigningKey.generate()), public_key(SigningKey.generate())
    agent_id: UUID = await database.fetchval("INSERT INTO agents (public_key) VALUES ($1) RETURNING id", old)
    postgres, clock = Database(settings), Clock()
    await postgres.open()
    directory = AgentDirectory(postgres, clock)

    async def known() -> str:
        key = await directory.key(agent_id)
        return key.text if key else ""

    assert await known() == old
    await database.execute("UPDATE agents SET public_key = $1", new)
    clock.now = TRUSTED_FOR - 0.001
    assert await known() == old
    clock.now = TRUSTED_FOR
    assert await known() == new
    await database.execute("DELETE FROM agents")
    clock.now = 2 * TRUSTED_FOR
    assert await known() == ""
    await postgres.close()
