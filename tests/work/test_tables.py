"""What the tables of work take, what they refuse, and what stays when something is deleted."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.work.conftest import (
    Connection,
    add_agent,
    add_evidence,
    add_execution,
    add_project,
    add_task,
    add_user,
    count,
    insert,
    refused,
    row,
)


async def delete(database: Connection, table: str, row_id: UUID) -> None:
    await database.execute(f"DELETE FROM {table} WHERE id = $1", row_id)


@pytest.mark.parametrize("slug", ["", "-a", "a-", "a--b", "A", "a b", "a_b", "a" * 64])
async def test_a_projects_slug_is_small_letters_and_digits_joined_by_hyphens(database: Connection, slug: str) -> None:
    assert await refused(database, "projects", name="AICQ", slug=slug) == "ck_projects_slug"


async def test_a_slug_belongs_to_one_project(database: Connection, project: UUID) -> None:  # noqa: ARG001 - has the slug
    assert await refused(database, "projects", name="AICQ", slug="aicq") == "uq_projects_slug"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", ""),
        ("status", "done"),
        ("technology_stack", "{}"),
        ("metadata", "[]"),
        ("pr_merge_rate", Decimal("1.1")),
        ("pr_merge_rate", Decimal("NaN")),
        ("test_coverage_percent", Decimal("100.01")),
        ("test_coverage_percent", Decimal(-1)),
        ("test_coverage_percent", Decimal("NaN")),
    ],
)
async def test_a_project_keeps_to_its_checks(database: Connection, column: str, value: Any) -> None:
    assert await refused(database, "projects", **{"slug": "a", "name": "A", column: value}) == f"ck_projects_{column}"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("title", ""),
        ("type", "epic"),
        ("type", "Bug"),
        ("status", "done"),
        ("priority", "urgent"),
        ("labels", "{}"),
        ("github_issue_number", 0),
        ("github_pr_number", -1),
        ("ai_analysis", "[]"),
        ("ai_suggestions", "1"),
    ],
)
async def test_a_task_keeps_to_its_checks(database: Connection, project: UUID, column: str, value: Any) -> None:
    values = {"project_id": project, "title": "t", column: value}
    assert await refused(database, "tasks", **values) == f"ck_tasks_{column}"


@pytest.mark.parametrize("kind", ["bug", "feature", "refactor", "test", "documentation", "task", "chore"])
async def test_a_task_may_be_of_every_type(database: Connection, project: UUID, kind: str) -> None:
    await add_task(database, project, type=kind)


@pytest.mark.parametrize("status", ["open", "in_progress", "in_review", "blocked", "draft"])
async def test_a_task_may_be_in_every_status(database: Connection, project: UUID, status: str) -> None:
    await add_task(database, project, status=status)


async def test_a_closed_task_and_no_other_has_the_time_of_it(database: Connection, project: UUID) -> None:
    closed = {"project_id": project, "title": "t", "status": "closed"}
    assert await refused(database, "tasks", **closed) == "ck_tasks_closed_has_its_time"
    await database.execute(
        "INSERT INTO tasks (project_id, title, status, closed_at) VALUES ($1, 't', 'closed', now())", project
    )


async def test_an_issue_is_one_task_of_a_project_and_a_pull_request_may_be_for_several(
    database: Connection, project: UUID
) -> None:
    await add_task(database, project, github_issue_number=7, github_pr_number=8)
    again = {"project_id": project, "title": "t", "github_issue_number": 7}
    assert await refused(database, "tasks", **again) == "uq_tasks_project_id_github_issue_number"
    await add_task(database, project, github_pr_number=8)
    await add_task(database, await add_project(database, "other"), github_issue_number=7)


async def test_a_code_is_made_by_the_database_alone(database: Connection, project: UUID, agent: UUID) -> None:
    first, second = await add_task(database, project), await add_task(database, project)
    codes = [(await row(database, "tasks", task))["code"] for task in (first, second)]
    assert codes == [f"TASK-{(await row(database, 'tasks', task))['number']}" for task in (first, second)]
    assert len(set(codes)) == 2
    assert (await row(database, "evidence", await add_evidence(database, agent)))["code"].startswith("EV-")
    with pytest.raises(asyncpg.PostgresError, match="code"):
        await add_task(database, project, code="TASK-1")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("claim", ""),
        ("source_type", ""),
        ("source_type", "AI output"),
        ("content", "[]"),
        ("tags", "{}"),
        ("claimed_score", Decimal("1.001")),
        ("claimed_score", Decimal("-0.1")),
        ("claimed_score", Decimal("NaN")),
    ],
)
async def test_evidence_keeps_to_its_checks(database: Connection, agent: UUID, column: str, value: Any) -> None:
    values = {"author_id": agent, "claim": "c", "source_type": "test_result", column: value}
    assert await refused(database, "evidence", **values) == f"ck_evidence_{column}"


async def test_a_computed_score_tells_its_method(database: Connection, agent: UUID) -> None:
    values = {"author_id": agent, "claim": "c", "source_type": "test_result"}
    unexplained = await refused(database, "evidence", **values, computed_score=Decimal("0.5"))
    assert unexplained == "ck_evidence_computed_has_its_method"
    impossible = await refused(database, "evidence", **values, computed_score=Decimal("NaN"), scoring_method="m")
    assert impossible == "ck_evidence_computed_score"


@pytest.mark.parametrize(
    ("claimed", "computed", "unverified", "verified"),
    [
        (None, None, "0", "0"),
        ("0.9", None, "0.5", "0.9"),
        ("0.3", None, "0.3", "0.3"),
        ("0.9", "0.4", "0.4", "0.4"),
        ("0.4", "0.9", "0.5", "0.9"),
    ],
)
async def test_a_score_is_worth_a_half_at_most_until_somebody_verifies(
    database: Connection, claimed: Any, computed: Any, unverified: str, verified: str
) -> None:
    scores = {"claimed_score": claimed and Decimal(claimed), "computed_score": computed and Decimal(computed)}
    method = "measured" if computed else None
    evidence = await add_evidence(database, await add_agent(database), **scores, scoring_method=method)
    before = await row(database, "evidence", evidence)
    assert (before["credibility_score"], before["is_verified"]) == (Decimal(unverified), False)
    await database.execute("UPDATE evidence SET verified_at = now() WHERE id = $1", evidence)
    after = await row(database, "evidence", evidence)
    assert (after["credibility_score"], after["is_verified"]) == (Decimal(verified), True)


async def test_nobody_verifies_their_own_evidence(database: Connection, agent: UUID) -> None:
    evidence = await add_evidence(database, agent)
    with pytest.raises(asyncpg.CheckViolationError, match="nobody_verifies_their_own"):
        await database.execute(
            "UPDATE evidence SET verified_by = author_id, verified_at = now() WHERE id = $1", evidence
        )


async def test_two_pieces_of_evidence_hang_together_in_one_way(database: Connection, agent: UUID) -> None:
    low, high = sorted([await add_evidence(database, agent), await add_evidence(database, agent)])
    await insert(database, "evidence_links", low_id=low, high_id=high, kind="related")
    again = {"low_id": low, "high_id": high, "kind": "contradicting"}
    assert await refused(database, "evidence_links", **again) == "pk_evidence_links"
    turned = {"low_id": high, "high_id": low, "kind": "related"}
    assert await refused(database, "evidence_links", **turned) == "ck_evidence_links_a_pair_stands_once"
    itself = {"low_id": low, "high_id": low, "kind": "related"}
    assert await refused(database, "evidence_links", **itself) == "ck_evidence_links_a_pair_stands_once"
    other = {"low_id": low, "high_id": high, "kind": "supports"}
    assert await refused(database, "evidence_links", **other) == "ck_evidence_links_kind"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "done"),
        ("input_tokens", -1),
        ("output_tokens", -1),
        ("cache_read_tokens", -1),
        ("cache_write_tokens", -1),
        ("reasoning_tokens", -1),
        ("input", "[]"),
        ("result", "null"),
        ("price", "1"),
    ],
)
async def test_an_execution_keeps_to_its_checks(database: Connection, agent: UUID, column: str, value: Any) -> None:
    assert await refused(database, "agent_executions", agent_id=agent, **{column: value}) == (
        f"ck_agent_executions_{column}"
    )


@pytest.mark.parametrize("cost", [Decimal(-1), Decimal("NaN"), Decimal("999999999.5")])
async def test_a_cost_is_a_number_and_not_below_nothing(database: Connection, agent: UUID, cost: Decimal) -> None:
    refusal = await refused(database, "agent_executions", agent_id=agent, cost_usd=cost, cost_source="reported")
    assert refusal == "ck_agent_executions_cost_usd"


async def test_a_cost_tells_where_it_is_from(database: Connection, agent: UUID) -> None:
    refusal = await refused(database, "agent_executions", agent_id=agent, cost_usd=Decimal(1))
    assert refusal == "ck_agent_executions_cost_has_its_source"
    refusal = await refused(database, "agent_executions", agent_id=agent, cost_usd=Decimal(1), cost_source="guessed")
    assert refusal == "ck_agent_executions_cost_source"


@pytest.mark.parametrize(
    ("status", "time", "constraint"),
    [
        ("pending", "started_at", "pending_has_not_started"),
        ("running", "created_at", "running_has_started"),
        ("pending", "finished_at", "the_finished_have_their_time"),
        ("success", "started_at", "the_finished_have_their_time"),
    ],
)
async def test_an_executions_times_fit_its_status(
    database: Connection, agent: UUID, status: str, time: str, constraint: str
) -> None:
    added = f"INSERT INTO agent_executions (agent_id, status, {time}) VALUES ($1, $2, now())"
    with pytest.raises(asyncpg.CheckViolationError, match=constraint):
        await database.execute(added, agent, status)


async def test_an_execution_does_not_end_before_it_began(database: Connection, agent: UUID) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="finish_follows_start"):
        await database.execute(
            "INSERT INTO agent_executions (agent_id, status, started_at, finished_at)"
            " VALUES ($1, 'success', now(), now() - interval '1 s')",
            agent,
        )


async def test_a_cost_is_kept_to_the_last_of_nine_places(database: Connection, agent: UUID) -> None:
    cost = Decimal("123456789.123456789")
    execution = await add_execution(database, agent, cost_usd=cost, cost_source="reported")
    assert (await row(database, "agent_executions", execution))["cost_usd"] == cost


async def test_attachments_feed_and_comments_keep_to_their_checks(
    database: Connection, agent: UUID, task: UUID
) -> None:
    file = {"task_id": task, "uploaded_by": agent, "file_name": "a", "byte_size": 1, "storage_path": "a"}
    for column, value in (("file_name", ""), ("storage_path", ""), ("byte_size", -1)):
        assert await refused(database, "task_attachments", **file | {column: value}) == f"ck_task_attachments_{column}"
    told = {"activity_type": "task_created", "summary": "s"}
    assert await refused(database, "activity_feed", **told | {"activity_type": "T"}) == "ck_activity_feed_activity_type"
    assert await refused(database, "activity_feed", **told, details="[]") == "ck_activity_feed_details"
    said = {"task_id": task, "author_id": agent, "body": "b"}
    assert await refused(database, "task_comments", **said | {"body": ""}) == "ck_task_comments_body"
    assert await refused(database, "task_comments", **said, github_comment_id=0) == (
        "ck_task_comments_github_comment_id"
    )


async def test_what_names_a_task_is_of_that_tasks_project(database: Connection, agent: UUID, task: UUID) -> None:
    other = await add_project(database, "other")
    project = (await row(database, "tasks", task))["project_id"]
    evidence = await add_evidence(database, agent, task_id=task, project_id=other)
    execution = await add_execution(database, agent, task_id=task)
    told = await insert(database, "activity_feed", task_id=task, activity_type="a", summary="s")
    for table, row_id in (("evidence", evidence), ("agent_executions", execution), ("activity_feed", told)):
        assert (await row(database, table, row_id))["project_id"] == project


async def test_a_change_moves_updated_at_and_an_update_of_nothing_does_not(
    database: Connection, agent: UUID, project: UUID, task: UUID
) -> None:
    comment = await insert(database, "task_comments", task_id=task, author_id=agent, body="b")
    evidence = await add_evidence(database, agent)
    for table, row_id, column, value in (
        ("projects", project, "name", "N"),
        ("tasks", task, "title", "T"),
        ("task_comments", comment, "body", "B"),
        ("evidence", evidence, "claim", "C"),
    ):
        before = (await row(database, table, row_id))["updated_at"]
        await database.execute(f"UPDATE {table} SET {column} = {column} WHERE id = $1", row_id)
        assert (await row(database, table, row_id))["updated_at"] == before
        await database.execute(f"UPDATE {table} SET {column} = $2 WHERE id = $1", row_id, value)
        assert (await row(database, table, row_id))["updated_at"] > before


async def everything_about(database: Connection, agent: UUID, task: UUID) -> dict[str, UUID]:
    """A row of each table that points at a task."""
    evidence = await add_evidence(database, agent, task_id=task)
    file = {"file_name": "a", "byte_size": 1, "storage_path": "a", "evidence_id": evidence}
    return {
        "task_comments": await insert(database, "task_comments", task_id=task, author_id=agent, body="b"),
        "task_attachments": await insert(database, "task_attachments", task_id=task, uploaded_by=agent, **file),
        "evidence": evidence,
        "agent_executions": await add_execution(database, agent, task_id=task, evidence_id=evidence),
        "activity_feed": await insert(database, "activity_feed", task_id=task, activity_type="a", summary="s"),
    }


async def test_a_deleted_task_takes_what_was_said_with_it_and_leaves_the_ledger(
    database: Connection, agent: UUID, project: UUID, task: UUID
) -> None:
    made = await everything_about(database, agent, task)
    await delete(database, "tasks", task)
    assert await count(database, "task_comments") == await count(database, "task_attachments") == 0
    for table in ("evidence", "agent_executions", "activity_feed"):
        kept = await row(database, table, made[table])
        assert (kept["task_id"], kept["project_id"]) == (None, project)


async def test_a_deleted_project_takes_its_tasks_and_its_feed_with_it_and_leaves_the_ledger(
    database: Connection, agent: UUID, project: UUID, task: UUID
) -> None:
    made = await everything_about(database, agent, task)
    await delete(database, "projects", project)
    for table in ("tasks", "task_comments", "task_attachments", "activity_feed"):
        assert await count(database, table) == 0
    for table in ("evidence", "agent_executions"):
        kept = await row(database, table, made[table])
        assert (kept["task_id"], kept["project_id"]) == (None, None)


async def test_a_deleted_team_takes_its_projects_with_it(database: Connection, user: UUID) -> None:
    team = await insert(database, "teams", name="Red", slug="red", owner_id=user)
    await add_project(database, team_id=team)
    await delete(database, "teams", team)
    assert await count(database, "projects") == 0


async def test_deleted_evidence_takes_its_links_and_leaves_what_stood_on_it(
    database: Connection, agent: UUID, task: UUID
) -> None:
    made = await everything_about(database, agent, task)
    low, high = sorted([made["evidence"], await add_evidence(database, agent)])
    await insert(database, "evidence_links", low_id=low, high_id=high, kind="related")
    await delete(database, "evidence", made["evidence"])
    assert await count(database, "evidence_links") == 0
    assert await count(database, "evidence") == 1
    file = await row(database, "task_attachments", made["task_attachments"])
    assert (file["evidence_id"], file["is_evidence"]) == (None, False)
    assert (await row(database, "agent_executions", made["agent_executions"]))["evidence_id"] is None


@pytest.mark.parametrize("kind", ["agents", "users"])
async def test_the_ledger_goes_on_naming_who_was_deleted(database: Connection, kind: str) -> None:
    actor = await (add_agent(database) if kind == "agents" else add_user(database))
    project = await add_project(database, owner_id=actor)
    task = await add_task(database, project, created_by=actor)
    made = await everything_about(database, actor, task)
    await delete(database, kind, actor)
    assert (await row(database, "projects", project))["owner_id"] == actor
    assert (await row(database, "tasks", task))["created_by"] == actor
    for table, column in (
        ("task_comments", "author_id"),
        ("task_attachments", "uploaded_by"),
        ("evidence", "author_id"),
        ("agent_executions", "agent_id"),
    ):
        assert (await row(database, table, made[table]))[column] == actor
    assert await database.fetchval("SELECT deleted_at IS NOT NULL FROM actors WHERE id = $1", actor)


async def test_what_a_deleted_actor_was_at_is_free_again_and_what_it_ran_has_failed(
    database: Connection, agent: UUID, project: UUID
) -> None:
    begun = await add_task(database, project, assignee_id=agent, status="in_progress")
    blocked = await add_task(database, project, assignee_id=agent, status="blocked")
    done = await database.fetchval(
        "INSERT INTO tasks (project_id, title, assignee_id, status, closed_at)"
        " VALUES ($1, 't', $2, 'closed', now()) RETURNING id",
        project,
        agent,
    )
    pending = await add_execution(database, agent)
    await delete(database, "agents", agent)
    rows = [await row(database, "tasks", task) for task in (begun, blocked, done)]
    assert [(r["status"], r["assignee_id"]) for r in rows] == [("open", None), ("blocked", None), ("closed", agent)]
    ended = await row(database, "agent_executions", pending)
    assert (ended["status"], ended["error"]) == ("failure", "the agent was deleted")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("projects", "owner_id"),
        ("tasks", "created_by"),
        ("tasks", "assignee_id"),
        ("evidence", "scored_by"),
        ("evidence", "verified_by"),
        ("evidence_links", "created_by"),
        ("activity_feed", "actor_id"),
    ],
)
async def test_without_its_anchor_an_actor_is_nobody(
    database: Connection, agent: UUID, task: UUID, table: str, column: str
) -> None:
    made = await everything_about(database, agent, task)
    low, high = sorted([made["evidence"], await add_evidence(database, agent)])
    await insert(database, "evidence_links", low_id=low, high_id=high, kind="related")
    gone = await add_user(database)
    more = ", verified_at = now()" if column == "verified_by" else ""
    await database.execute(f"UPDATE {table} SET {column} = $1{more}", gone)
    await delete(database, "actors", gone)
    assert await database.fetchval(f"SELECT count({column}) FROM {table}") == 0


@pytest.mark.parametrize("table", ["task_comments", "task_attachments", "evidence", "agent_executions"])
async def test_no_anchor_goes_while_the_ledger_names_it(
    database: Connection, agent: UUID, task: UUID, table: str
) -> None:
    made = await everything_about(database, agent, task)
    for other in made:
        if other != table:
            await delete(database, other, made[other])
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match=table):
        await delete(database, "actors", agent)


async def test_nobody_points_at_what_is_not_there(database: Connection, agent: UUID, project: UUID) -> None:
    nobody = uuid4()
    assert await refused(database, "projects", slug="b", name="b", owner_id=nobody) == "fk_projects_owner_id_actors"
    assert await refused(database, "tasks", project_id=nobody, title="t") == "fk_tasks_project_id_projects"
    task = {"project_id": project, "title": "t"}
    assert await refused(database, "tasks", **task, assignee_id=nobody) == "fk_tasks_assignee_id_actors"
    assert await refused(database, "agent_executions", agent_id=nobody) == "fk_agent_executions_agent_id_actors"
    evidence = {"author_id": agent, "claim": "c", "source_type": "test_result", "task_id": nobody}
    assert await refused(database, "evidence", **evidence) == "fk_evidence_task_id_tasks"
