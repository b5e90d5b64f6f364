"""Projects: who founds, sees, changes and deletes them, and how far they are."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.agents import Agent, register
from tests.people import Person, sign_up
from tests.work.calls.conftest import Connection, ask, make_project, make_task, make_team, refusal, told_of


async def test_who_founds_a_project_owns_it(scout: Agent) -> None:
    project = await make_project(scout, description="the place", technology_stack=["python"], metadata={"a": 1})
    assert (project["owner_id"], project["status"], project["metadata"]) == (scout.id, "active", {"a": 1})
    assert project["progress"]["tasks"] == 0
    assert await ask(scout, "GET", f"/v1/projects/{project['id']}") == project


async def test_a_slug_belongs_to_one_project(ada: Person, project: dict[str, Any]) -> None:
    again = {"slug": project["slug"], "name": "Other"}
    assert await refusal(ada, "POST", "/v1/projects", again) == (409, "slug is taken already", "slug")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"slug": "A b"}, "slug"),
        ({"slug": "a\n"}, "slug"),
        ({"name": " "}, "name"),
        ({"name": "x" * 301}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"metadata": {"a": ["\x00"]}}, "metadata"),
        ({"repository_url": "ftp://x"}, "repository_url"),
        ({"technology_stack": [""]}, "technology_stack[0]"),
        ({"metadata": []}, "metadata"),
        ({"team_id": "x"}, "team_id"),
        ({"team_id": str(uuid4())}, "team_id"),
        ({"owner_id": str(uuid4())}, "owner_id"),
    ],
)
async def test_a_project_that_cannot_be_is_refused_by_field(scout: Agent, wrong: dict[str, Any], field: str) -> None:
    status, _, named = await refusal(scout, "POST", "/v1/projects", {"slug": "a", "name": "A", **wrong})
    assert (status, named) == (422, field)


async def test_nobody_works_without_saying_who_they_are(http: httpx.AsyncClient) -> None:
    for path in ("/v1/projects", "/v1/tasks", "/v1/evidence", "/v1/executions", "/v1/activity"):
        assert (await http.get(path)).status_code == 401


async def test_a_signed_request_is_accepted_once(scout: Agent) -> None:
    nonce = "n" * 24
    assert (await scout.send("GET", "/v1/projects", nonce=nonce)).status_code == 200
    again = await scout.send("GET", "/v1/projects", nonce=nonce)
    assert (again.status_code, again.json()["error"]) == (401, "nonce already used")


async def test_who_is_paused_does_nothing(scout: Agent, database: Connection) -> None:
    await database.execute("UPDATE agents SET status = 'paused'")
    assert (await scout.send("GET", "/v1/tasks")).status_code == 403


async def test_the_owner_changes_a_project_and_hands_it_over(
    scout: Agent, ada: Person, project: dict[str, Any], database: Connection
) -> None:
    path = f"/v1/projects/{project['id']}"
    change = {"status": "paused", "pr_merge_rate": "0.5", "test_coverage_percent": "87.25", "metadata": {"b": 2}}
    changed = await ask(scout, "PATCH", path, change)
    assert {name: changed[name] for name in change} == change | {"pr_merge_rate": "0.5000"}
    assert changed["updated_at"] > project["updated_at"]
    assert (await refusal(ada, "PATCH", path, {"name": "Mine"}))[0] == 403
    assert (await ask(scout, "PATCH", path, {"owner_id": ada.id}))["owner_id"] == ada.id
    assert (await refusal(scout, "PATCH", path, {"name": "Mine"}))[0] == 403
    assert await refusal(ada, "PATCH", path, {"owner_id": str(uuid4())}) == (422, "the owner is nobody", "owner_id")
    first, second = await told_of(database, "projects.update")
    assert "paused" in first["new_values"]
    assert scout.id in second["old_values"]


async def test_a_change_of_nothing_tells_nobody(scout: Agent, project: dict[str, Any], database: Connection) -> None:
    path = f"/v1/projects/{project['id']}"
    assert (await ask(scout, "PATCH", path, {"name": project["name"]})) == project
    assert await told_of(database, "projects.update") == []


async def test_the_owner_deletes_a_project_with_its_tasks(
    scout: Agent, ada: Person, task: dict[str, Any], database: Connection
) -> None:
    path = f"/v1/projects/{task['project_id']}"
    assert (await refusal(ada, "DELETE", path))[0] == 403
    await ask(scout, "DELETE", path, status=204)
    assert (await refusal(scout, "GET", path))[0] == 404
    assert (await refusal(scout, "GET", f"/v1/tasks/{task['code']}"))[0] == 404
    [told] = await told_of(database, "projects.delete")
    assert "aicq" in told["old_values"]


async def test_a_teams_project_is_its_alone(http: httpx.AsyncClient, ada: Person, database: Connection) -> None:
    outside, inside, hired = await register(http, "outside"), await register(http, "inside"), await register(http)
    team = await make_team(ada)
    await ask(ada, "PUT", f"/v1/teams/{team}/members/{inside.id}", {"role": "member"}, status=204)
    await database.execute("UPDATE agents SET team_id = $1 WHERE id = $2", team, hired.id)
    secret = await make_project(inside, "secret", team_id=team)
    task = await make_task(ada, secret)
    for member in (ada, inside, hired):
        assert [p["slug"] for p in (await ask(member, "GET", "/v1/projects"))["items"]] == ["secret"]
        assert (await ask(member, "GET", f"/v1/tasks/{task['code']}"))["id"] == task["id"]
        assert len((await ask(member, "GET", "/v1/tasks"))["items"]) == 1
    assert (await ask(outside, "GET", "/v1/projects"))["items"] == []
    assert (await ask(outside, "GET", f"/v1/tasks?project={secret['id']}"))["items"] == []
    new = {"project_id": secret["id"], "title": "t"}
    for method, path, content in (
        ("GET", f"/v1/projects/{secret['id']}", None),
        ("PATCH", f"/v1/projects/{secret['id']}", {"name": "Mine"}),
        ("DELETE", f"/v1/projects/{secret['id']}", None),
        ("POST", f"/v1/projects/{secret['id']}/claim", None),
        ("POST", "/v1/tasks", new),
        ("GET", f"/v1/tasks/{task['id']}", None),
        ("POST", f"/v1/tasks/{task['code']}/claim", None),
        ("PUT", f"/v1/tasks/{task['id']}/status", {"status": "closed"}),
        ("DELETE", f"/v1/tasks/{task['id']}", None),
        ("POST", f"/v1/tasks/{task['id']}/comments", {"body": "hi"}),
        ("GET", f"/v1/tasks/{task['id']}/attachments", None),
        ("POST", "/v1/evidence", {"claim": "c", "source_type": "s", "task_id": task["id"]}),
        ("POST", "/v1/executions", {"project_id": secret["id"]}),
    ):
        assert (await refusal(outside, method, path, content))[0] == 404, (method, path)
    refused = await refusal(outside, "POST", "/v1/projects", {"slug": "b", "name": "B", "team_id": team})
    assert refused == (422, "the team is not yours", "team_id")
    assigned = await refusal(ada, "PUT", f"/v1/tasks/{task['id']}/assignee", {"assignee_id": outside.id})
    assert assigned == (422, "they do not see the task", "assignee_id")


async def test_a_manager_of_the_platform_sees_and_changes_all(
    http: httpx.AsyncClient, scout: Agent, ada: Person, database: Connection
) -> None:
    manager = await sign_up(http, "grace")
    team = await make_team(ada)
    secret = await make_project(ada, "secret", team_id=team)
    assert (await refusal(manager, "GET", f"/v1/projects/{secret['id']}"))[0] == 404
    await database.execute("UPDATE users SET role = 'manager' WHERE username = 'grace'")
    assert (await ask(manager, "PATCH", f"/v1/projects/{secret['id']}", {"name": "Known"}))["name"] == "Known"
    assert (await refusal(scout, "GET", f"/v1/projects/{secret['id']}"))[0] == 404


async def test_progress_tells_how_far_a_project_is(scout: Agent, project: dict[str, Any]) -> None:
    for status in ("in_progress", "blocked", "closed"):
        made = await make_task(scout, project)
        await ask(scout, "PUT", f"/v1/tasks/{made['id']}/status", {"status": status})
    run = await ask(scout, "POST", "/v1/executions", {"project_id": project["id"]}, status=201)
    end = {"status": "success", "cost_usd": "0.1", "cost_source": "reported", "input_tokens": 7}
    await ask(scout, "POST", f"/v1/executions/{run['id']}/finish", end)
    progress = (await ask(scout, "GET", f"/v1/projects/{project['id']}"))["progress"]
    assert progress == {
        "tasks": 3,
        "closed": 1,
        "in_progress": 1,
        "blocked": 1,
        "executions": 1,
        "input_tokens": 7,
        "output_tokens": 0,
        "cost_usd": "0.100000000",
        "unpriced": 0,
    }


async def test_projects_are_listed_by_owner_team_and_status_page_by_page(scout: Agent, ada: Person) -> None:
    team = await make_team(ada)
    for number in range(4):
        await make_project(scout, f"p{number}")
    await make_project(ada, "teams", team_id=team)
    seen: list[str] = []
    cursor = ""
    for _ in range(2):
        page = await ask(scout, "GET", f"/v1/projects?limit=2{cursor}")
        seen += [project["slug"] for project in page["items"]]
        cursor = f"&cursor={page['next']}"
    assert (seen, page["next"]) == (["p3", "p2", "p1", "p0"], None)
    assert len((await ask(ada, "GET", f"/v1/projects?owner={scout.id}"))["items"]) == 4
    assert [p["slug"] for p in (await ask(ada, "GET", f"/v1/projects?team={team}"))["items"]] == ["teams"]
    assert (await ask(ada, "GET", "/v1/projects?status=archived"))["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=x", "cursor"),
        ("owner=x", "owner"),
        ("status=done", "status"),
    ],
)
async def test_a_list_that_cannot_be_is_refused_by_parameter(scout: Agent, query: str, field: str) -> None:
    status, _, named = await refusal(scout, "GET", f"/v1/projects?{query}")
    assert (status, named) == (400, field)


async def test_an_id_that_is_none_is_refused(scout: Agent) -> None:
    assert (await refusal(scout, "GET", "/v1/projects/x"))[:2] == (400, "invalid project ID format")
    assert (await refusal(scout, "GET", "/v1/tasks/TASK-x"))[:2] == (400, "invalid task ID format")
    assert (await refusal(scout, "GET", "/v1/evidence/EV-"))[:2] == (400, "invalid evidence ID format")
    assert (await refusal(scout, "GET", "/v1/executions/x"))[:2] == (400, "invalid execution ID format")
    assert (await refusal(scout, "GET", f"/v1/projects/{uuid4()}"))[0] == 404
