"""What admins can do about work beyond the writing of rows."""

from typing import Any

import httpx
import pytest

from tests.admin.samples import World
from tests.agents import error_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def hot_kind() -> str:
    """The hot store plays no part here."""
    return "postgres"


async def change(world: World, table: str, row: dict[str, Any], **values: Any) -> httpx.Response:
    return await world.admin.patch(f"/admin/{table}/{row['id']}", json=values, headers={"If-Match": "*"})


async def test_the_times_of_an_execution_follow_its_status_and_what_is_over_stays_over(world: World) -> None:
    execution = await world.make("agent_executions")
    assert (execution["started_at"], execution["finished_at"]) == (None, None)
    running = (await change(world, "agent_executions", execution, status="running")).json()
    assert (running["started_at"] is not None, running["finished_at"]) == (True, None)
    ended = (await change(world, "agent_executions", execution, status="success")).json()
    assert ended["duration_ms"] >= 0
    refused = await change(world, "agent_executions", execution, status="failure")
    assert (refused.status_code, error_of(refused)) == (409, "what is success cannot become failure")
    totals = (await world.admin.get(f"/admin/execution_totals/{execution['agent_id']}")).json()
    assert (totals["executions"], totals["successes"], totals["cost_usd"]) == (1, 1, "0.000000001")
    agent = (await world.admin.get(f"/admin/agents/{execution['agent_id']}")).json()
    assert agent["success_rate"] == 1


async def test_an_execution_may_be_told_of_when_it_is_over(world: World) -> None:
    execution = await world.make("agent_executions", status="failure", error="no answer")
    assert execution["finished_at"] is not None


async def test_a_closed_task_has_the_time_of_it_until_it_is_opened_again(world: World) -> None:
    task = await world.make("tasks", status="closed")
    assert task["closed_at"] is not None
    assert (await change(world, "tasks", task, status="open")).json()["closed_at"] is None


async def test_a_verification_has_its_time_and_nobody_verifies_their_own(world: World) -> None:
    evidence = await world.make("evidence")
    refused = await change(world, "evidence", evidence, verified_by=evidence["author_id"])
    assert (refused.status_code, error_of(refused)) == (422, "nobody verifies their own")
    verified = (await change(world, "evidence", evidence, verified_by=await world.id_of("agents"))).json()
    assert (verified["is_verified"], verified["credibility_score"]) == (True, "0.900")
    doubted = (await change(world, "evidence", evidence, verified_by=None)).json()
    assert (doubted["verified_at"], doubted["credibility_score"]) == (None, "0.500")


async def test_a_link_is_the_same_whichever_end_is_named_first(world: World) -> None:
    ends = sorted([await world.id_of("evidence"), await world.id_of("evidence")])
    link = await world.make("evidence_links", low_id=ends[1], high_id=ends[0])
    assert [link["low_id"], link["high_id"]] == ends
    new = {"low_id": ends[0], "high_id": ends[0], "kind": "related"}
    refused = await world.admin.post("/admin/evidence_links", json=new)
    assert (refused.status_code, refused.json()["field"]) == (422, "high_id")


async def test_a_deleted_project_leaves_the_ledger(world: World) -> None:
    execution = await world.make("agent_executions")
    deleted = await world.admin.delete(f"/admin/projects/{execution['project_id']}")
    assert deleted.status_code == 204
    left = (await world.admin.get(f"/admin/agent_executions/{execution['id']}")).json()
    assert (left["project_id"], left["task_id"], left["cost_usd"]) == (None, None, execution["cost_usd"])
    assert (await world.admin.get("/admin/tasks")).json()["items"] == []
