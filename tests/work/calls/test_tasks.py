"""Tasks: adding, finding, claiming, handing out, moving and deleting them, and what is said about them."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from aicq.work.services.tasks import FOLLOWING
from tests.agents import Agent, register
from tests.people import Person
from tests.work.calls.conftest import Connection, ask, make_evidence, make_project, make_task, refusal, told_of

STATUSES = sorted(FOLLOWING)


async def move(caller: Agent | Person, task: dict[str, Any], status: str) -> httpx.Response:
    return await caller.send("PUT", f"/v1/tasks/{task['id']}/status", {"status": status})


async def test_a_task_is_found_by_its_id_and_by_its_code_in_any_case(scout: Agent, task: dict[str, Any]) -> None:
    assert (task["status"], task["priority"], task["type"], task["assignee_id"]) == ("open", "medium", "task", None)
    assert task["created_by"] == scout.id
    for name in (task["id"], task["code"], task["code"].lower(), task["id"].upper()):
        assert await ask(scout, "GET", f"/v1/tasks/{name}") == task


@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"title": ""}, 422, "title"),
        ({"title": "a\x00"}, 422, "title"),
        ({"type": "epic"}, 422, "type"),
        ({"status": "closed"}, 422, "status"),
        ({"priority": "urgent"}, 422, "priority"),
        ({"labels": "db"}, 422, "labels"),
        ({"labels": ["x"] * 51}, 422, "labels"),
        ({"github_issue_number": 0}, 422, "github_issue_number"),
        ({"github_pr_number": 2**31}, 422, "github_pr_number"),
        ({"code": "TASK-1"}, 422, "code"),
        ({"project_id": str(uuid4())}, 404, "project_id"),
        ({"project_id": "x"}, 422, "project_id"),
    ],
)
async def test_a_task_that_cannot_be_is_refused_by_field(
    scout: Agent, project: dict[str, Any], wrong: dict[str, Any], status: int, field: str
) -> None:
    new = {"project_id": project["id"], "title": "t", **wrong}
    told = await refusal(scout, "POST", "/v1/tasks", new)
    assert (told[0], told[2]) == (status, field)


async def test_an_issue_is_one_task_of_a_project(scout: Agent, project: dict[str, Any]) -> None:
    await make_task(scout, project, github_issue_number=7)
    again = {"project_id": project["id"], "title": "t", "github_issue_number": 7}
    status, _, field = await refusal(scout, "POST", "/v1/tasks", again)
    assert (status, field) == (409, "github_issue_number")


async def test_anybody_who_sees_a_task_says_what_it_is_about(
    ada: Person, task: dict[str, Any], database: Connection
) -> None:
    change = {"title": "another", "type": "bug", "labels": ["db", "db", "slow"], "ai_analysis": {"risk": "high"}}
    changed = await ask(ada, "PATCH", f"/v1/tasks/{task['code']}", change)
    assert (changed["title"], changed["labels"]) == ("another", ["db", "slow"])
    assert changed["ai_analysis"] == {"risk": "high"}
    [told] = await told_of(database, "tasks.update")
    assert (str(told["actor_id"]), told["acted_as"]) == (ada.id, "user")
    cleared = await ask(ada, "PATCH", f"/v1/tasks/{task['id']}", {"ai_analysis": None, "description": None})
    assert cleared["ai_analysis"] is None


async def test_of_many_who_claim_a_task_one_gets_it(http: httpx.AsyncClient, task: dict[str, Any]) -> None:
    agents = [await register(http, f"agent {number}") for number in range(10)]
    answers = await asyncio.gather(*(agent.send("POST", f"/v1/tasks/{task['code']}/claim") for agent in agents))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    [won] = [agent for agent, answer in zip(agents, answers, strict=True) if answer.status_code == 200]
    kept = await ask(won, "GET", f"/v1/tasks/{task['id']}")
    assert (kept["assignee_id"], kept["status"]) == (won.id, "in_progress")
    assert kept["started_at"] is not None
    assert (await refusal(won, "POST", f"/v1/tasks/{task['id']}/claim"))[1] == f"{task['code']} is not free"


async def test_who_asks_for_work_gets_the_most_pressing(scout: Agent, ada: Person, project: dict[str, Any]) -> None:
    await make_task(scout, project, "later", priority="low")
    await make_task(scout, project, "now", priority="critical")
    await make_task(scout, project, "not yet", priority="critical", status="draft")
    path = f"/v1/projects/{project['id']}/claim"
    assert (await ask(scout, "POST", path))["title"] == "now"
    assert (await ask(ada, "POST", path))["assignee_id"] == ada.id
    assert await ask(ada, "POST", path, status=204) is None


async def test_a_task_is_handed_out_and_taken_back(
    scout: Agent, ada: Person, task: dict[str, Any], database: Connection
) -> None:
    path = f"/v1/tasks/{task['id']}/assignee"
    assert (await ask(scout, "PUT", path, {"assignee_id": ada.id}))["assignee_id"] == ada.id
    assert (await ask(scout, "PUT", path, {"assignee_id": ada.id}))["assignee_id"] == ada.id
    assert (await ask(ada, "PUT", path, {"assignee_id": None}))["assignee_id"] is None
    assert len(await told_of(database, "tasks.update")) == 2
    nobody = {"assignee_id": str(uuid4())}
    assert await refusal(scout, "PUT", path, nobody) == (422, "there is no such actor", "assignee_id")


async def test_what_a_deleted_agent_was_at_is_free_again(
    scout: Agent, ada: Person, task: dict[str, Any], database: Connection
) -> None:
    await ask(scout, "POST", f"/v1/tasks/{task['id']}/claim")
    await database.execute("DELETE FROM agents WHERE id = $1", scout.id)
    kept = await ask(ada, "GET", f"/v1/tasks/{task['id']}")
    assert (kept["assignee_id"], kept["status"], kept["created_by"]) == (None, "open", scout.id)
    assert (await refusal(ada, "PUT", f"/v1/tasks/{task['id']}/assignee", {"assignee_id": scout.id}))[0] == 422
    assert (await ask(ada, "POST", f"/v1/tasks/{task['id']}/claim"))["assignee_id"] == ada.id


@pytest.mark.parametrize("seen", STATUSES)
async def test_a_task_moves_only_where_it_may(
    scout: Agent, project: dict[str, Any], database: Connection, seen: str
) -> None:
    for status in STATUSES:
        task = await make_task(scout, project)
        closing = ", closed_at = now()" if seen == "closed" else ""
        await database.execute(f"UPDATE tasks SET status = $2{closing} WHERE id = $1", task["id"], seen)
        answer = await move(scout, task, status)
        if status == seen or status in FOLLOWING[seen]:
            assert answer.status_code == 200, answer.text
            assert answer.json()["status"] == status
            assert (answer.json()["closed_at"] is not None) == (status == "closed")
        else:
            assert answer.status_code == 409
            assert answer.json()["error"] == f"{task['code']} is {seen} and cannot become {status}"


async def test_of_many_who_move_a_task_at_once_each_sees_where_it_was(scout: Agent, task: dict[str, Any]) -> None:
    answers = await asyncio.gather(*(move(scout, task, status) for status in ("blocked", "in_progress", "closed") * 3))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert 200 in {answer.status_code for answer in answers}


async def test_who_made_a_task_or_owns_its_project_deletes_it(
    http: httpx.AsyncClient, scout: Agent, ada: Person, project: dict[str, Any], database: Connection
) -> None:
    stranger = await register(http, "stranger")
    theirs, other = await make_task(ada, project), await make_task(ada, project)
    assert (await refusal(stranger, "DELETE", f"/v1/tasks/{theirs['code']}"))[0] == 403
    await ask(ada, "DELETE", f"/v1/tasks/{theirs['code']}", status=204)
    await ask(scout, "DELETE", f"/v1/tasks/{other['id']}", status=204)
    assert (await refusal(ada, "GET", f"/v1/tasks/{theirs['code']}"))[0] == 404
    assert len(await told_of(database, "tasks.delete")) == 2


async def test_tasks_are_listed_by_all_that_they_are(scout: Agent, project: dict[str, Any]) -> None:
    other = await make_project(scout, "other")
    await make_task(scout, project, "plain")
    special = await make_task(scout, other, "special", type="bug", priority="high", labels=["db", "slow"])
    await ask(scout, "POST", f"/v1/tasks/{special['id']}/claim")
    for query in (
        f"project={other['id']}",
        "status=in_progress",
        "type=bug",
        "priority=high",
        f"assignee={scout.id}",
        "label=db",
        "label=db&label=slow&type=bug",
    ):
        titles = [task["title"] for task in (await ask(scout, "GET", f"/v1/tasks?{query}"))["items"]]
        assert titles == ["special"], query
    assert len((await ask(scout, "GET", "/v1/tasks"))["items"]) == 2
    assert (await ask(scout, "GET", "/v1/tasks?label=db&label=none"))["items"] == []
    assert (await refusal(scout, "GET", "/v1/tasks?label=%00"))[::2] == (400, "label")
    assert (await refusal(scout, "GET", "/v1/tasks?status=done"))[::2] == (400, "status")


async def test_comments_are_said_corrected_and_taken_back(
    scout: Agent, ada: Person, task: dict[str, Any], database: Connection
) -> None:
    path = f"/v1/tasks/{task['code']}/comments"
    first = await ask(scout, "POST", path, {"body": "It is slow.", "ai_metadata": {"model": "m"}}, status=201)
    second = await ask(ada, "POST", path, {"body": "Is it?"}, status=201)
    assert (first["is_ai_generated"], second["is_ai_generated"], first["author_id"]) == (True, False, scout.id)
    page = await ask(ada, "GET", f"{path}?limit=1")
    assert [c["body"] for c in page["items"]] == ["It is slow."]
    rest = await ask(ada, "GET", f"{path}?limit=1&cursor={page['next']}")
    assert ([c["body"] for c in rest["items"]], rest["next"]) == (["Is it?"], None)
    assert (await refusal(ada, "PATCH", f"{path}/{first['id']}", {"body": "No."}))[0] == 403
    assert (await ask(ada, "PATCH", f"{path}/{second['id']}", {"body": "Yes."}))["body"] == "Yes."
    assert (await refusal(ada, "DELETE", f"{path}/{first['id']}"))[0] == 403
    await ask(scout, "DELETE", f"{path}/{second['id']}", status=204)
    [told] = await told_of(database, "task_comments.delete")
    assert "Yes." not in told["old_values"]
    other = await make_task(scout, {"id": task["project_id"]})
    assert (await refusal(scout, "DELETE", f"/v1/tasks/{other['code']}/comments/{first['id']}"))[0] == 404
    assert (await refusal(scout, "POST", path, {"body": " "}))[::2] == (422, "body")


async def test_a_comment_is_fetched_from_github_once(scout: Agent, task: dict[str, Any]) -> None:
    new = {"body": "b", "github_comment_id": 7}
    await ask(scout, "POST", f"/v1/tasks/{task['id']}/comments", new, status=201)
    assert (await refusal(scout, "POST", f"/v1/tasks/{task['id']}/comments", new))[0] == 409


async def test_files_are_attached_and_forgotten(scout: Agent, ada: Person, task: dict[str, Any]) -> None:
    path = f"/v1/tasks/{task['id']}/attachments"
    evidence = await make_evidence(scout)
    file = {"file_name": "log.txt", "storage_path": "s3://logs/1", "byte_size": 12, "evidence_id": evidence["id"]}
    attached = await ask(scout, "POST", path, file, status=201)
    assert (attached["uploaded_by"], attached["is_evidence"]) == (scout.id, True)
    assert (await ask(ada, "GET", path))["items"] == [attached]
    assert (await refusal(ada, "POST", path, file))[::2] == (404, "evidence_id")
    for wrong, field in (({"file_name": "../x"}, "file_name"), ({"byte_size": -1}, "byte_size")):
        assert (await refusal(scout, "POST", path, {**file, **wrong}))[::2] == (422, field)
    assert (await refusal(ada, "DELETE", f"{path}/{attached['id']}"))[0] == 403
    await ask(scout, "DELETE", f"{path}/{attached['id']}", status=204)
    assert (await ask(ada, "GET", path))["items"] == []
