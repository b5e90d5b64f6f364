"""Evidence, executions and the feed: what backs a claim, what it cost, and what is told of it."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from aicq.work.plugin import WorkPlugin
from tests.agents import Agent, register
from tests.people import Person
from tests.work.calls.conftest import (
    Caller,
    Connection,
    ask,
    make_evidence,
    make_project,
    make_task,
    make_team,
    refusal,
    told_of,
)


async def start(agent: Agent, **more: Any) -> dict[str, Any]:
    run: dict[str, Any] = await ask(agent, "POST", "/v1/executions", more, status=201)
    return run


async def finish(agent: Agent, run: dict[str, Any], status: str = "success", **more: Any) -> dict[str, Any]:
    path = f"/v1/executions/{run['id']}/finish"
    ended: dict[str, Any] = await ask(agent, "POST", path, {"status": status, **more})
    return ended


async def test_evidence_is_worth_a_half_until_somebody_else_verifies_it(
    scout: Agent, ada: Person, task: dict[str, Any], database: Connection
) -> None:
    evidence = await make_evidence(scout, task_id=task["id"], claimed_score="0.9", tags=["ci", "ci"])
    assert (evidence["credibility_score"], evidence["tags"]) == ("0.500", ["ci"])
    assert evidence["project_id"] == task["project_id"]
    path = f"/v1/evidence/{evidence['code']}"
    assert (await refusal(scout, "PUT", f"{path}/verification"))[0] == 403
    verified = await ask(ada, "PUT", f"{path}/verification")
    assert (verified["credibility_score"], verified["verified_by"]) == ("0.900", ada.id)
    assert (await refusal(ada, "PUT", f"{path}/verification"))[0] == 409
    assert (await refusal(scout, "DELETE", f"{path}/verification"))[0] == 403
    assert (await ask(ada, "DELETE", f"{path}/verification"))["credibility_score"] == "0.500"
    assert [row["action"] for row in await told_of(database, "evidence.update")] == ["evidence.update"] * 2


async def test_of_many_who_verify_at_once_one_answers_for_it(
    http: httpx.AsyncClient, scout: Agent, project: dict[str, Any]
) -> None:
    evidence = await make_evidence(scout, project_id=project["id"])
    others = [await register(http, f"agent {number}") for number in range(6)]
    path = f"/v1/evidence/{evidence['id']}/verification"
    answers = await asyncio.gather(*(other.send("PUT", path) for other in others))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5


async def test_evidence_of_no_project_is_its_authors_alone(scout: Agent, ada: Person) -> None:
    evidence = await make_evidence(scout)
    assert (await ask(scout, "GET", f"/v1/evidence/{evidence['code']}"))["id"] == evidence["id"]
    assert (await refusal(ada, "GET", f"/v1/evidence/{evidence['code']}"))[0] == 404
    assert (await ask(ada, "GET", "/v1/evidence"))["items"] == []


async def test_a_score_tells_how_it_was_computed_and_nobody_scores_their_own(
    scout: Agent, ada: Person, project: dict[str, Any]
) -> None:
    evidence = await make_evidence(scout, project_id=project["id"], claimed_score="1")
    path = f"/v1/evidence/{evidence['id']}/score"
    assert (await refusal(scout, "PUT", path, {"score": "1", "method": "I say so"}))[0] == 403
    scored = await ask(ada, "PUT", path, {"score": "0.25", "method": "rerun of the tests"})
    assert (scored["computed_score"], scored["scored_by"], scored["credibility_score"]) == ("0.250", ada.id, "0.250")
    for wrong in ("1.1", "-1", "NaN", "0.1234", 0.5):
        assert (await refusal(ada, "PUT", path, {"score": wrong, "method": "m"}))[::2] == (422, "score")


async def test_what_was_verified_is_verified_anew_when_it_changes(
    scout: Agent, ada: Person, project: dict[str, Any]
) -> None:
    evidence = await make_evidence(scout, project_id=project["id"], claimed_score="0.9")
    path = f"/v1/evidence/{evidence['id']}"
    await ask(ada, "PUT", f"{path}/verification")
    assert (await ask(scout, "PATCH", path, {"tags": ["ci"]}))["is_verified"]
    assert (await refusal(ada, "PATCH", path, {"claim": "no"}))[0] == 403
    changed = await ask(scout, "PATCH", path, {"claim": "it works mostly"})
    assert (changed["is_verified"], changed["verified_by"]) == (False, None)


async def test_links_read_the_same_from_both_ends_and_go_with_them(
    scout: Agent, ada: Person, project: dict[str, Any]
) -> None:
    one, two, three = [await make_evidence(scout, project_id=project["id"]) for _ in range(3)]
    path = f"/v1/evidence/{one['code']}"
    await ask(scout, "PUT", f"{path}/links/{two['code']}", {"kind": "related"}, status=204)
    await ask(ada, "PUT", f"/v1/evidence/{three['id']}/links/{one['id']}", {"kind": "contradicting"}, status=204)
    seen = await ask(ada, "GET", path)
    assert (seen["related_evidence"], seen["contradicting_evidence"]) == ([two["id"]], [three["id"]])
    assert (await ask(ada, "GET", f"/v1/evidence/{three['code']}"))["contradicting_evidence"] == [one["id"]]
    itself = await refusal(ada, "PUT", f"{path}/links/{one['id']}", {"kind": "related"})
    assert itself[0] == 422
    await ask(ada, "DELETE", f"{path}/links/{three['code']}", status=204)
    assert (await refusal(ada, "DELETE", f"{path}/links/{three['code']}"))[0] == 404
    assert (await refusal(ada, "DELETE", f"/v1/evidence/{two['id']}"))[0] == 403
    await ask(scout, "DELETE", f"/v1/evidence/{two['id']}", status=204)
    assert (await ask(ada, "GET", path))["related_evidence"] == []


async def test_a_link_to_what_one_does_not_see_is_not_shown(scout: Agent, ada: Person) -> None:
    team = await make_team(ada)
    secret = await make_project(ada, "secret", team_id=team)
    shared = await make_project(ada, "shared")
    hidden = await make_evidence(ada, project_id=secret["id"])
    open_to_all = await make_evidence(ada, project_id=shared["id"])
    path = f"/v1/evidence/{open_to_all['code']}/links/{hidden['code']}"
    await ask(ada, "PUT", path, {"kind": "contradicting"}, status=204)
    own = await ask(ada, "GET", f"/v1/evidence/{open_to_all['id']}")
    assert own["contradicting_evidence"] == [hidden["id"]]
    assert (await ask(scout, "GET", f"/v1/evidence/{open_to_all['id']}"))["contradicting_evidence"] == []
    assert (await refusal(scout, "GET", f"/v1/evidence/{hidden['id']}"))[0] == 404


async def test_evidence_is_listed_by_all_that_it_is(scout: Agent, ada: Person, task: dict[str, Any]) -> None:
    await make_evidence(scout, project_id=task["project_id"])
    special = await make_evidence(scout, task_id=task["id"], source_type="code_analysis", tags=["db"])
    await ask(ada, "PUT", f"/v1/evidence/{special['id']}/verification")
    for query in (f"task={task['id']}", "source_type=code_analysis", "tag=db", "is_verified=true"):
        assert [e["id"] for e in (await ask(ada, "GET", f"/v1/evidence?{query}"))["items"]] == [special["id"]], query
    assert len((await ask(ada, "GET", f"/v1/evidence?project={task['project_id']}"))["items"]) == 2
    assert len((await ask(ada, "GET", "/v1/evidence?is_verified=false&limit=1"))["items"]) == 1
    assert (await refusal(ada, "GET", "/v1/evidence?source_type=%00"))[::2] == (400, "source_type")


@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"claim": ""}, 422, "claim"),
        ({"source_type": "AI output"}, 422, "source_type"),
        ({"claimed_score": "1.5"}, 422, "claimed_score"),
        ({"credibility_score": "1"}, 422, "credibility_score"),
        ({"content": {"a": "\x00"}}, 422, "content"),
        ({"task_id": str(uuid4())}, 404, "task_id"),
        ({"project_id": str(uuid4())}, 404, "project_id"),
    ],
)
async def test_evidence_that_cannot_be_is_refused_by_field(
    scout: Agent, wrong: dict[str, Any], status: int, field: str
) -> None:
    told = await refusal(scout, "POST", "/v1/evidence", {"claim": "c", "source_type": "test_result", **wrong})
    assert (told[0], told[2]) == (status, field)


async def test_an_execution_tells_what_it_took_to_the_last_place(scout: Agent, task: dict[str, Any]) -> None:
    run = await start(scout, task_id=task["id"], model_provider="anthropic", model_name="claude", input={"a": 1})
    assert (run["status"], run["project_id"], run["cost_usd"]) == ("running", task["project_id"], None)
    evidence = await make_evidence(scout, task_id=task["id"])
    took = {
        "result": {"passed": 3},
        "evidence_id": evidence["id"],
        "input_tokens": 1000,
        "output_tokens": 200,
        "cache_read_tokens": 10,
        "cache_write_tokens": 20,
        "reasoning_tokens": 30,
        "cost_usd": "123456789.000000001",
        "cost_source": "computed",
        "price": {"input": "0.000003"},
    }
    ended = await finish(scout, run, **took)
    assert {name: ended[name] for name in took} == took
    assert ended["duration_ms"] >= 0
    assert await ask(scout, "GET", f"/v1/executions/{run['id']}") == ended


async def test_an_execution_goes_forward_only(scout: Agent, ada: Person, project: dict[str, Any]) -> None:
    run = await start(scout, project_id=project["id"], is_running=False)
    assert (run["status"], run["started_at"]) == ("pending", None)
    other = await register(scout.http, "other")
    assert (await refusal(other, "POST", f"/v1/executions/{run['id']}/run"))[0] == 403
    assert (await ask(scout, "POST", f"/v1/executions/{run['id']}/run"))["status"] == "running"
    assert (await refusal(scout, "POST", f"/v1/executions/{run['id']}/run"))[0] == 409
    assert (await refusal(other, "POST", f"/v1/executions/{run['id']}/finish", {"status": "success"}))[0] == 403
    assert (await finish(scout, run, "timeout", error="too slow"))["status"] == "timeout"
    again = await refusal(scout, "POST", f"/v1/executions/{run['id']}/finish", {"status": "success"})
    assert again[:2] == (409, "the execution is over already")
    assert await refusal(ada, "POST", "/v1/executions", {}) == (403, "only agents run", "")


async def test_what_is_begun_again_under_its_key_is_the_same_execution(scout: Agent) -> None:
    answers = await asyncio.gather(
        *(scout.send("POST", "/v1/executions", {"idempotency_key": "deploy 7"}) for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (await ask(scout, "GET", f"/v1/executions/totals/{scout.id}"))["executions"] == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"status": "running"}, "status"),
        ({"cost_usd": "0.1"}, "cost_source"),
        ({"cost_source": "reported"}, "cost_source"),
        ({"cost_usd": "0.0000000001", "cost_source": "reported"}, "cost_usd"),
        ({"cost_usd": "-1", "cost_source": "reported"}, "cost_usd"),
        ({"cost_usd": "NaN", "cost_source": "reported"}, "cost_usd"),
        ({"cost_usd": 0.1, "cost_source": "reported"}, "cost_usd"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": 1.5}, "input_tokens"),
        ({"error": "\x00"}, "error"),
    ],
)
async def test_an_end_that_cannot_be_is_refused_by_field(scout: Agent, wrong: dict[str, Any], field: str) -> None:
    run = await start(scout)
    told = await refusal(scout, "POST", f"/v1/executions/{run['id']}/finish", {"status": "success", **wrong})
    assert (told[0], told[2]) == (422, field)


async def test_totals_are_exact_however_many_executions_end_at_once(scout: Agent, database: Connection) -> None:
    runs = [await start(scout) for _ in range(30)]
    await asyncio.gather(
        *(
            finish(
                scout,
                run,
                "success" if number % 3 else "failure",
                cost_usd="0.000000007",
                cost_source="reported",
                input_tokens=number,
            )
            for number, run in enumerate(runs)
        )
    )
    totals = await ask(scout, "GET", f"/v1/executions/totals/{scout.id}")
    assert (totals["executions"], totals["successes"], totals["failures"]) == (30, 20, 10)
    assert Decimal(totals["cost_usd"]) == 30 * Decimal("0.000000007")
    assert totals["input_tokens"] == sum(range(30))
    figures = await database.fetchrow("SELECT success_rate, avg_execution_time_ms FROM agents WHERE id = $1", scout.id)
    assert figures is not None
    assert figures["success_rate"] == totals["success_rate"] == pytest.approx(2 / 3)
    assert figures["avg_execution_time_ms"] == pytest.approx(totals["avg_execution_time_ms"])


async def test_executions_are_listed_by_all_that_they_are(
    scout: Agent, ada: Person, task: dict[str, Any], http: httpx.AsyncClient
) -> None:
    other = await register(http, "other")
    await start(other)
    run = await start(scout, task_id=task["id"])
    await finish(scout, run)
    for query in (f"agent={scout.id}", f"task={task['id']}", f"project={task['project_id']}", "status=success"):
        assert [e["id"] for e in (await ask(scout, "GET", f"/v1/executions?{query}"))["items"]] == [run["id"]], query
    assert len((await ask(other, "GET", "/v1/executions"))["items"]) == 2
    assert len((await ask(ada, "GET", "/v1/executions"))["items"]) == 1
    assert (await refusal(ada, "GET", f"/v1/executions/totals/{ada.id}"))[0] == 404


async def test_an_agent_ends_what_it_began_though_it_sees_the_project_no_more(
    scout: Agent, ada: Person, http: httpx.AsyncClient
) -> None:
    team = await make_team(ada)
    await ask(ada, "PUT", f"/v1/teams/{team}/members/{scout.id}", {"role": "member"}, status=204)
    secret = await make_project(ada, "secret", team_id=team)
    run = await start(scout, project_id=secret["id"])
    await ask(ada, "DELETE", f"/v1/teams/{team}/members/{scout.id}", status=204)
    assert (await finish(scout, run))["status"] == "success"
    assert (await refusal(await register(http), "GET", f"/v1/executions/{run['id']}"))[0] == 404


async def activities(caller: Caller, query: str = "") -> list[tuple[str, str]]:
    page = await ask(caller, "GET", f"/v1/activity{query}")
    return [(told["activity_type"], told["summary"]) for told in page["items"]]


async def test_the_feed_tells_what_happened_and_to_whom_it_may(
    scout: Agent, ada: Person, work: WorkPlugin, project: dict[str, Any]
) -> None:
    task = await make_task(scout, project, "Make it fast")
    await ask(scout, "POST", f"/v1/tasks/{task['id']}/claim")
    await ask(scout, "PUT", f"/v1/tasks/{task['id']}/status", {"status": "in_review"})
    await ask(ada, "POST", f"/v1/tasks/{task['id']}/comments", {"body": "Well."}, status=201)
    team = await make_team(ada)
    secret = await make_project(ada, "secret", team_id=team)
    await work.feed.settle()
    assert await activities(scout) == [
        ("task_commented", f"commented on {task['code']}"),
        ("task_moved", f"moved {task['code']} from in_progress to in_review"),
        ("task_claimed", f"claimed {task['code']}: Make it fast"),
        ("task_created", f"added {task['code']}: Make it fast"),
        ("project_created", "began AICQ"),
    ]
    assert (await activities(ada))[0] == ("project_created", "began SECRET")
    assert len(await activities(scout, f"?task={task['id']}")) == 4
    assert len(await activities(scout, f"?actor={ada.id}")) == 1
    assert await activities(ada, f"?project={secret['id']}") == [("project_created", "began SECRET")]
    page = await ask(scout, "GET", "/v1/activity?limit=4")
    rest = await ask(scout, "GET", f"/v1/activity?limit=4&cursor={page['next']}")
    assert (len(rest["items"]), rest["next"]) == (1, None)
    assert {told["is_public"] for told in page["items"]} == {True}


async def test_what_was_refused_is_not_told(scout: Agent, work: WorkPlugin, project: dict[str, Any]) -> None:
    await make_task(scout, project, github_issue_number=7)
    again = {"project_id": project["id"], "title": "again", "github_issue_number": 7}
    assert (await refusal(scout, "POST", "/v1/tasks", again))[0] == 409
    await work.feed.settle()
    assert [kind for kind, _ in await activities(scout)] == ["task_created", "project_created"]


async def test_a_feed_that_cannot_be_written_fails_no_request(
    scout: Agent, work: WorkPlugin, project: dict[str, Any], database: Connection
) -> None:
    await database.execute("ALTER TABLE activity_feed RENAME TO elsewhere")
    task = await make_task(scout, project)
    await work.feed.settle()
    await database.execute("ALTER TABLE elsewhere RENAME TO activity_feed")
    await ask(scout, "POST", f"/v1/tasks/{task['id']}/claim")
    await work.feed.settle()
    assert "task_claimed" in [kind for kind, _ in await activities(scout)]


async def test_a_feed_that_is_locked_holds_up_no_request(
    scout: Agent, work: WorkPlugin, project: dict[str, Any], database: Connection
) -> None:
    await work.feed.settle()
    async with database.transaction():
        await database.execute("LOCK TABLE activity_feed IN ACCESS EXCLUSIVE MODE")
        for number in range(20):
            await make_task(scout, project, str(number))
    await work.feed.settle()
    assert len(await activities(scout, f"?project={project['id']}&limit=50")) == 21


async def test_what_points_at_something_gone_is_left_out_and_the_rest_is_told(
    scout: Agent, work: WorkPlugin, project: dict[str, Any], database: Connection
) -> None:
    await work.feed.settle()
    async with database.transaction():
        await database.execute("LOCK TABLE activity_feed IN ACCESS EXCLUSIVE MODE")
        # The feed takes the first and waits with it; what comes meanwhile makes one batch.
        await make_task(scout, project)
        gone = await make_project(scout, "gone")
        await make_task(scout, project)
        await database.execute("DELETE FROM projects WHERE id = $1", gone["id"])
    await work.feed.settle()
    assert [kind for kind, _ in await activities(scout)] == ["task_created", "task_created", "project_created"]
