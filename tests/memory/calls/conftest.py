"""An app with a team: the person who owns it, an agent of it, and somebody who has nothing to do with it."""

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from aicq.memory.plugin import MemoryPlugin
from tests.agents import Agent, register
from tests.conftest import RAISED_LIMITS
from tests.memory.conftest import Connection
from tests.people import Person, sign_up
from tests.work.calls.conftest import Caller, ask, make_team


class House(msgspec.Struct, frozen=True):
    """A team and who there is around it."""

    team: str
    ada: Person
    scout: Agent
    eve: Person

    async def keep(self, content: str = "Ada likes tea", *, by: Caller | None = None, **more: Any) -> dict[str, Any]:
        new = {"team_id": self.team, "memory_type": "semantic", "content": content, **more}
        kept: dict[str, Any] = await ask(by or self.scout, "POST", "/v1/memories", new, status=201)
        return kept

    async def change(self, memory: dict[str, Any], by: Caller | None = None, **values: Any) -> dict[str, Any]:
        who, path = by or self.scout, f"/v1/memories/{memory['id']}"
        answer = await revise(who, path, values, tag=f'"{memory["version"]}"')
        assert answer.status_code == 200, answer.text
        changed: dict[str, Any] = answer.json()
        return changed

    async def recall(self, query: str | None = None, *, by: Caller | None = None, **more: Any) -> dict[str, Any]:
        asked = {"team_id": self.team, **({"query": query} if query else {}), **more}
        told: dict[str, Any] = await ask(by or self.scout, "POST", "/v1/memories/recall", asked)
        return told

    async def found(self, query: str, **more: Any) -> list[str]:
        return [result["memory"]["content"] for result in (await self.recall(query, **more))["results"]]

    async def begin(self, **more: Any) -> dict[str, Any]:
        new = {"team_id": self.team, **more}
        begun: dict[str, Any] = await ask(self.scout, "POST", "/v1/conversations", new, status=201)
        return begun


async def revise(caller: Caller, path: str, values: dict[str, Any], *, tag: str | None) -> httpx.Response:
    """Changes a memory, with this `If-Match`."""
    headers = {} if tag is None else {"If-Match": tag}
    if isinstance(caller, Agent):
        return await caller.send("PATCH", path, values, headers=headers)
    headers |= {"Authorization": f"Bearer {caller.access_token}"}
    return await caller.http.patch(path, json=values, headers=headers)


@pytest.fixture
def hot_kind() -> str:
    """Memories are kept in Postgres; what the hot store counts is tested elsewhere."""
    return "postgres"


@pytest.fixture
def environment() -> Mapping[str, str]:
    return {**RAISED_LIMITS, "AICQ_SECRET_KEY": "a secret key for tests"}


@pytest.fixture
async def house(http: httpx.AsyncClient, database: Connection) -> House:
    ada, scout, eve = await sign_up(http), await register(http, "scout"), await sign_up(http, "eve")
    team = await make_team(ada)
    await database.execute("UPDATE agents SET team_id = $1 WHERE id = $2", team, scout.id)
    await make_team(eve, "blue")
    return House(team, ada, scout, eve)


@pytest.fixture
def memory(app: Litestar, http: httpx.AsyncClient) -> MemoryPlugin:  # noqa: ARG001 - starts the app
    return app.plugins.get(MemoryPlugin)
