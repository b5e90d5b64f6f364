"""An app with a database of its own for each test, who works with it, and what they work at."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest
from litestar import Litestar

from aicq.work.plugin import WorkPlugin
from tests.agents import Agent, register
from tests.conftest import RAISED_LIMITS
from tests.people import Person, sign_up
from tests.servers import Databases

Caller: TypeAlias = Person | Agent
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def ask(caller: Caller, method: str, path: str, content: Any = None, *, status: int = 200) -> Any:
    """What a call answers, which ends as it should; nothing, if there is nothing."""
    answer = await caller.send(method, path, content)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def refusal(caller: Caller, method: str, path: str, content: Any = None) -> tuple[int, str, str]:
    """How a call is refused: the status, the sentence and the field."""
    answer = await caller.send(method, path, content)
    problem = answer.json()
    return answer.status_code, problem["error"], problem.get("field", "")


async def make_project(caller: Caller, slug: str = "aicq", **more: Any) -> dict[str, Any]:
    project: dict[str, Any] = await ask(
        caller, "POST", "/v1/projects", {"slug": slug, "name": slug.upper(), **more}, status=201
    )
    return project


async def make_task(caller: Caller, project: dict[str, Any], title: str = "task", **more: Any) -> dict[str, Any]:
    new = {"project_id": project["id"], "title": title, **more}
    task: dict[str, Any] = await ask(caller, "POST", "/v1/tasks", new, status=201)
    return task


async def make_evidence(caller: Caller, **more: Any) -> dict[str, Any]:
    new = {"claim": "it works", "source_type": "test_result", **more}
    evidence: dict[str, Any] = await ask(caller, "POST", "/v1/evidence", new, status=201)
    return evidence


async def make_team(owner: Caller, slug: str = "red") -> str:
    return str((await ask(owner, "POST", "/v1/teams", {"name": "Red", "slug": slug}, status=201))["id"])


async def told_of(database: Connection, action: str) -> list[asyncpg.Record]:
    """What the audit log tells of a kind of action, the oldest first."""
    return await database.fetch("SELECT * FROM audit_logs WHERE action = $1 ORDER BY seq", action)


@pytest.fixture
def hot_kind() -> str:
    """Work is kept in Postgres; what the hot store counts is tested elsewhere."""
    return "postgres"


@pytest.fixture
def environment() -> Mapping[str, str]:
    return {**RAISED_LIMITS, "AICQ_SECRET_KEY": "a secret key for tests"}


@pytest.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    name = await databases.make()
    yield databases.url(name)
    await databases.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def scout(http: httpx.AsyncClient) -> Agent:
    return await register(http, "scout")


@pytest.fixture
async def ada(http: httpx.AsyncClient) -> Person:
    return await sign_up(http)


@pytest.fixture
async def project(scout: Agent) -> dict[str, Any]:
    """A project of the scout's."""
    return await make_project(scout)


@pytest.fixture
async def task(scout: Agent, project: dict[str, Any]) -> dict[str, Any]:
    """A task of that project, made by the scout."""
    return await make_task(scout, project)


@pytest.fixture
def work(app: Litestar, http: httpx.AsyncClient) -> WorkPlugin:  # noqa: ARG001 - starts the app
    return app.plugins.get(WorkPlugin)
