"""Agents online and people present: whoever shows who they are is seen by all, and their requests pay nothing."""

import asyncpg
import httpx
import pytest
from litestar import Litestar
from prometheus_client import REGISTRY

from aicq.clock import now_ms
from aicq.hot.plugin import HotStorePlugin
from aicq.hot.presence import ONLINE
from aicq.http.sightings import Sightings
from tests.agents import Agent, error_of, register
from tests.people import sign_up


@pytest.fixture(params=["redis", "postgres"])
def hot_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


async def noted(app: Litestar) -> None:
    """Waits until all who were seen are noted."""
    sightings: Sightings = app.state["sightings"]
    await sightings.drain()


def notes_taken() -> float:
    """How often the hot store was asked about members of anything, in this process."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "aicq_hot_call_seconds_count" and "members" in sample.labels["call"]
    )


async def online(looker: Agent, **query: object) -> dict[str, object]:
    answer = await looker.http.get("/v1/agents/online", params=query, headers=looker.headers())  # type: ignore[arg-type] # texts
    assert answer.status_code == 200, answer.text
    shown: dict[str, object] = answer.json()
    return shown


async def test_an_agent_that_signs_is_online_for_a_minute_on_every_worker(
    http: httpx.AsyncClient, app: Litestar, another_worker: httpx.AsyncClient
) -> None:
    scout, quiet = await register(http, "scout"), await register(http, "quiet")
    before = now_ms()
    assert (await scout.post("here I am")).status_code == 201
    await noted(app)
    looker = Agent(another_worker, quiet.key, quiet.id)
    shown = (await looker.send("GET", f"/v1/agents/{scout.id}")).json()
    assert (shown["id"], shown["name"], shown["online"]) == (scout.id, "scout", True)
    assert "email" not in shown
    assert "public_key" not in shown
    assert scout.id in str(await online(looker))
    hot = app.plugins.get(HotStorePlugin).store
    [expiries] = await hot.members.expiries(["online:agents"], now=before)
    assert before <= expiries[scout.id] - ONLINE <= now_ms()
    assert scout.id not in (await hot.members.expiries(["online:agents"], now=expiries[scout.id]))[0]


async def test_who_is_online_is_paged_and_only_those_who_are_active_are(
    http: httpx.AsyncClient, app: Litestar, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    agents = [await register(http, f"agent {number}") for number in range(4)]
    for agent in agents:
        assert (await agent.send("GET", "/v1/agents/me")).status_code == 200
    await noted(app)
    await database.execute("UPDATE agents SET status = 'paused' WHERE id = $1::uuid", agents[1].id)
    first = await online(agents[0], limit=2)
    second = await online(agents[0], limit=2, cursor=first["next"])
    ids = [agent["id"] for page in (first, second) for agent in page["items"]]  # type: ignore[attr-defined] # lists
    assert ids == sorted(agent.id for agent in agents if agent is not agents[1])
    assert second["next"] is None
    assert (await agents[0].send("GET", f"/v1/agents/{agents[1].id}")).json()["online"] is False


async def test_being_noted_costs_one_call_for_many_requests(http: httpx.AsyncClient, app: Litestar) -> None:
    scout = await register(http)
    before = notes_taken()
    for number in range(20):
        assert (await scout.post(f"message {number}")).status_code == 201
        assert (await scout.send("GET", "/v1/agents/me")).status_code == 200
    await noted(app)
    assert notes_taken() - before == 1


async def test_a_signature_that_does_not_hold_puts_nobody_online(http: httpx.AsyncClient, app: Litestar) -> None:
    scout, looker = await register(http), await register(http)
    refused = await http.get("/v1/agents/me", headers=scout.headers() | {"X-AICQ-Nonce": "n" * 24})
    assert refused.status_code == 401
    await noted(app)
    assert (await looker.send("GET", f"/v1/agents/{scout.id}")).json()["online"] is False


async def test_a_person_who_calls_is_present(http: httpx.AsyncClient, app: Litestar) -> None:
    ada, scout = await sign_up(http), await register(http)
    await ada.send("PATCH", "/v1/users/me", {"status": "busy"})
    await noted(app)
    assert (await scout.send("GET", f"/v1/users/{ada.id}")).json()["status"] == "busy"


async def test_only_an_agent_is_shown_as_one(http: httpx.AsyncClient) -> None:
    ada, scout = await sign_up(http), await register(http)
    answer = await scout.send("GET", f"/v1/agents/{ada.id}")
    assert (answer.status_code, error_of(answer)) == (404, "agent not found")
    assert (await scout.send("GET", "/v1/agents/nobody")).status_code == 400
    assert (await http.get("/v1/agents/online")).status_code == 401
