"""What the repositories of work find, what they change, and that many at once get what they should."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from aicq.work.models import Task
from aicq.work.repositories import (
    ActivityFilter,
    ActivityRepository,
    AttachmentRepository,
    CommentFilter,
    CommentRepository,
    EvidenceFilter,
    EvidenceRepository,
    ExecutionFilter,
    ExecutionRepository,
    Finish,
    Links,
    Progress,
    ProjectFilter,
    ProjectRepository,
    TaskFilter,
    TaskRepository,
)
from tests.db.observed import observed
from tests.work.conftest import (
    Connection,
    add_agent,
    add_evidence,
    add_execution,
    add_project,
    add_task,
    count,
    insert,
    row,
)

T = TypeVar("T")


async def at_once(engine: AsyncEngine, *calls: Callable[[AsyncSession], Awaitable[T]]) -> list[T]:
    """Makes calls at once, each in a transaction of its own."""

    async def make(call: Callable[[AsyncSession], Awaitable[T]]) -> T:
        async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
            return await call(session)

    return await asyncio.gather(*map(make, calls))


def ids(rows: object) -> list[UUID]:
    return [found.id for found in rows]  # type: ignore[attr-defined]


async def test_a_project_is_found_by_id_slug_and_repository(database: Connection, session: AsyncSession) -> None:
    project = await add_project(database, repository_url="https://x.io/aicq")
    projects = ProjectRepository(session)
    assert [p and p.id for p in (await projects.find(project), await projects.find_by_slug("aicq"))] == [project] * 2
    assert ids(await projects.find_by_repository("https://x.io/aicq")) == [project]
    assert (await projects.find(uuid4()), await projects.find_by_slug("none")) == (None, None)
    assert await projects.find_by_repository("none") == []


async def test_projects_are_listed_by_owner_team_and_status(
    database: Connection, session: AsyncSession, agent: UUID, user: UUID
) -> None:
    team = await insert(database, "teams", name="Red", slug="red", owner_id=user)
    owned = await add_project(database, "a", owner_id=agent)
    shared = await add_project(database, "b", team_id=team)
    paused = await add_project(database, "c", status="paused")
    page = ProjectRepository(session).page
    assert ids(await page(ProjectFilter(owner_id=agent), limit=9)) == [owned]
    assert ids(await page(ProjectFilter(team_id=team), limit=9)) == [shared]
    assert ids(await page(ProjectFilter(status="paused"), limit=9)) == [paused]
    assert len(await page(ProjectFilter(), limit=2)) == 2


async def test_progress_counts_tasks_and_what_they_cost(
    database: Connection, session: AsyncSession, agent: UUID, project: UUID
) -> None:
    for status in ("open", "in_progress", "in_review", "blocked", "draft"):
        await add_task(database, project, status=status)
    task = await add_task(database, project)
    await database.execute("UPDATE tasks SET status = 'closed', closed_at = now() WHERE id = $1", task)
    for cost in (Decimal("0.1"), Decimal("0.2")):
        await add_execution(
            database, agent, task_id=task, cost_usd=cost, cost_source="reported", input_tokens=3, output_tokens=4
        )
    await add_execution(database, agent, project_id=project)
    await database.execute(
        "INSERT INTO agent_executions (agent_id, project_id, status, finished_at) VALUES ($1, $2, 'failure', now())",
        agent,
        project,
    )
    empty = await add_project(database, "empty")
    assert await ProjectRepository(session).progress([project, empty]) == {
        project: Progress(
            project,
            tasks=5,
            closed=1,
            in_progress=2,
            blocked=1,
            executions=4,
            input_tokens=6,
            output_tokens=8,
            cost_usd=Decimal("0.3"),
            unpriced=1,
        ),
        empty: Progress(empty),
    }


async def test_a_task_is_found_by_id_code_issue_and_pull_request(
    database: Connection, session: AsyncSession, project: UUID
) -> None:
    task = await add_task(database, project, github_issue_number=7, github_pr_number=8)
    code = (await row(database, "tasks", task))["code"]
    tasks = TaskRepository(session)
    found = [await tasks.find(task), await tasks.find(code), await tasks.find_by_issue(project, 7)]
    assert [t and t.id for t in found] == [task] * 3
    assert ids(await tasks.find_by_pull_request(project, 8)) == [task]
    assert [await tasks.find(uuid4()), await tasks.find("TASK-0"), await tasks.find_by_issue(project, 8)] == [None] * 3
    assert await tasks.find_by_pull_request(uuid4(), 8) == []


async def test_tasks_are_listed_by_all_that_they_are(
    database: Connection, session: AsyncSession, agent: UUID, project: UUID
) -> None:
    other = await add_project(database, "other")
    plain = await add_task(database, project)
    special = await add_task(
        database,
        other,
        status="blocked",
        type="bug",
        priority="high",
        assignee_id=agent,
        labels='["db", "slow"]',
    )
    page = TaskRepository(session).page
    for wanted in (
        TaskFilter(project_id=other),
        TaskFilter(status="blocked"),
        TaskFilter(type="bug"),
        TaskFilter(priority="high"),
        TaskFilter(assignee_id=agent),
        TaskFilter(labels=("db",)),
        TaskFilter(labels=("slow", "db"), type="bug"),
    ):
        assert ids(await page(wanted, limit=9)) == [special], wanted
    assert ids(await page(TaskFilter(labels=("db",), type="task"), limit=9)) == []
    assert ids(await page(TaskFilter(labels=("d",)), limit=9)) == []
    assert set(ids(await page(TaskFilter(), limit=9))) == {plain, special}


async def test_pages_follow_each_other_and_leave_nothing_out(
    database: Connection, session: AsyncSession, project: UUID
) -> None:
    tasks = sorted([await add_task(database, project) for _ in range(7)], reverse=True)
    page = TaskRepository(session).page
    seen: list[UUID] = []
    while found := await page(TaskFilter(project_id=project), limit=3, before=seen[-1] if seen else None):
        seen += ids(found)
    assert seen == tasks


async def test_of_many_who_claim_a_task_one_gets_it(engine: AsyncEngine, database: Connection, task: UUID) -> None:
    agents = [await add_agent(database, f"agent {number}") for number in range(20)]
    claims: list[Callable[[AsyncSession], Awaitable[Task | None]]] = [
        lambda s, a=agent: TaskRepository(s).claim(task, a)  # type: ignore[misc]
        for agent in agents
    ]
    claimed = [found for found in await at_once(engine, *claims) if found is not None]
    assert len(claimed) == 1
    kept = await row(database, "tasks", task)
    assert (kept["assignee_id"], kept["status"]) == (claimed[0].assignee_id, "in_progress")
    assert kept["started_at"] is not None


async def test_many_who_ask_for_the_next_task_get_one_each_the_most_pressing_first(
    engine: AsyncEngine, database: Connection, project: UUID
) -> None:
    agents = [await add_agent(database, f"agent {number}") for number in range(12)]
    for priority in ("low", "critical", "medium", "high", "medium", "critical", "low", "high"):
        await add_task(database, project, priority=priority)
    first = await at_once(engine, lambda s: TaskRepository(s).claim_next(project, agents[0]))
    assert first[0] is not None
    assert first[0].priority == "critical"
    claims: list[Callable[[AsyncSession], Awaitable[Task | None]]] = [
        lambda s, a=agent: TaskRepository(s).claim_next(project, a)  # type: ignore[misc]
        for agent in agents[1:]
    ]
    claimed = [found for found in await at_once(engine, *claims) if found is not None]
    assert len({found.id for found in claimed}) == len({found.assignee_id for found in claimed}) == 7


async def test_who_asks_for_the_next_task_does_not_wait_for_who_takes_another(
    session: AsyncSession, database: Connection, agent: UUID, project: UUID
) -> None:
    pressing = await add_task(database, project, priority="critical")
    other = await add_task(database, project)
    async with database.transaction(), asyncio.timeout(10):
        await database.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", pressing)
        claimed = await TaskRepository(session).claim_next(project, agent)
    assert claimed is not None
    assert claimed.id == other


async def test_a_task_that_has_moved_meanwhile_is_left_where_it_is(session: AsyncSession, task: UUID) -> None:
    tasks = TaskRepository(session)
    closed = await tasks.move(task, seen="open", status="closed")
    assert closed is not None
    assert closed.closed_at is not None
    assert await tasks.move(task, seen="open", status="blocked") is None
    opened = await tasks.move(task, seen="closed", status="open")
    assert opened is not None
    assert opened.closed_at is None


async def test_a_task_that_somebody_else_got_meanwhile_stays_with_them(
    session: AsyncSession, agent: UUID, user: UUID, task: UUID
) -> None:
    tasks = TaskRepository(session)
    assigned = await tasks.assign(task, agent, seen=None)
    assert assigned is not None
    assert assigned.assignee_id == agent
    assert await tasks.assign(task, user, seen=None) is None
    freed = await tasks.assign(task, None, seen=agent)
    assert freed is not None
    assert freed.assignee_id is None


async def test_tasks_added_at_once_have_codes_of_their_own(engine: AsyncEngine, project: UUID) -> None:
    async def add(session: AsyncSession) -> None:
        await TaskRepository(session).add(Task(project_id=project, title="t"))

    await at_once(engine, *[add] * 40)
    async with AsyncSession(engine) as session:
        tasks = await TaskRepository(session).page(TaskFilter(project_id=project), limit=50)
    assert len({task.code for task in tasks}) == 40


async def test_comments_and_files_are_read_in_their_order(
    database: Connection, session: AsyncSession, agent: UUID, user: UUID, task: UUID
) -> None:
    comments = sorted(
        [await insert(database, "task_comments", task_id=task, author_id=agent, body="b") for _ in range(3)]
    )
    file = {"task_id": task, "uploaded_by": user, "file_name": "f", "byte_size": 1, "storage_path": "s"}
    evidence = await add_evidence(database, agent)
    files = sorted([await insert(database, "task_attachments", **file, evidence_id=evidence) for _ in range(2)])
    found = CommentRepository(session)
    assert ids(await found.page(CommentFilter(task_id=task), limit=2)) == comments[:2]
    assert ids(await found.page(CommentFilter(task_id=task), limit=2, after=comments[1])) == comments[2:]
    assert ids(await found.page(CommentFilter(author_id=agent), limit=9)) == comments
    later = datetime.now(UTC) + timedelta(hours=1)
    assert await found.page(CommentFilter(since=later), limit=9) == []
    assert await found.page(CommentFilter(author_id=user), limit=9) == []
    attachments = AttachmentRepository(session)
    assert ids(await attachments.page(task, limit=9)) == files
    assert ids(await attachments.page(task, limit=9, after=files[0])) == files[1:]
    assert ids(await attachments.of_evidence([evidence])) == files


async def test_evidence_is_listed_by_all_that_it_is(
    database: Connection, session: AsyncSession, agent: UUID, task: UUID
) -> None:
    plain = await add_evidence(database, agent)
    special = await add_evidence(database, agent, task_id=task, source_type="code_analysis", tags='["db"]')
    await database.execute("UPDATE evidence SET verified_at = now() WHERE id = $1", special)
    kept = await row(database, "evidence", special)
    evidence = EvidenceRepository(session)
    for wanted in (
        EvidenceFilter(task_id=task),
        EvidenceFilter(project_id=kept["project_id"]),
        EvidenceFilter(source_type="code_analysis"),
        EvidenceFilter(is_verified=True),
        EvidenceFilter(tags=("db",)),
    ):
        assert ids(await evidence.page(wanted, limit=9)) == [special], wanted
    assert ids(await evidence.page(EvidenceFilter(is_verified=False), limit=9)) == [plain]
    found = await evidence.find(kept["code"])
    assert found is not None
    assert found.id == special
    assert (await evidence.find(uuid4()), await evidence.find("EV-0")) == (None, None)


async def test_the_most_credible_evidence_comes_first(database: Connection, session: AsyncSession, agent: UUID) -> None:
    made = [await add_evidence(database, agent, claimed_score=Decimal(score)) for score in ("0.1", "0.4", "0.3")]
    best = await EvidenceRepository(session).most_credible(at_least=Decimal("0.3"), limit=9)
    assert ids(best) == [made[1], made[2]]


async def test_evidence_is_scored_verified_and_doubted_again(
    database: Connection, session: AsyncSession, agent: UUID, user: UUID
) -> None:
    made = await add_evidence(database, agent, claimed_score=Decimal("0.9"))
    evidence = EvidenceRepository(session)
    scored = await evidence.score(made, Decimal("0.7"), method="coverage", scorer=user)
    assert scored is not None
    assert (scored.credibility_score, scored.scored_by, scored.is_verified) == (Decimal("0.5"), user, False)
    verified = await evidence.verify(made, user)
    assert verified is not None
    assert (verified.credibility_score, verified.verified_by, verified.is_verified) == (Decimal("0.7"), user, True)
    assert await evidence.verify(made, user) is None
    doubted = await evidence.doubt(made)
    assert doubted is not None
    assert (doubted.credibility_score, doubted.verified_by, doubted.is_verified) == (Decimal("0.5"), None, False)
    assert await evidence.score(uuid4(), Decimal(1), method="m", scorer=None) is None


async def test_links_read_the_same_from_both_ends(database: Connection, session: AsyncSession, agent: UUID) -> None:
    one, two, three = [await add_evidence(database, agent) for _ in range(3)]
    evidence = EvidenceRepository(session)
    await evidence.link(two, one, kind="related", by=agent)
    await evidence.link(one, three, kind="related", by=agent)
    await evidence.link(three, one, kind="contradicting", by=agent)
    assert await evidence.links([one, two, three]) == {
        one: Links([two], [three]),
        two: Links([one], []),
        three: Links([], [one]),
    }
    assert await evidence.unlink(three, one)
    assert not await evidence.unlink(three, one)
    assert await evidence.links([three]) == {three: Links([], [])}


async def test_an_execution_is_begun_once_under_a_key(engine: AsyncEngine, database: Connection, agent: UUID) -> None:
    begun = await at_once(
        engine,
        *[lambda s: ExecutionRepository(s).start({"agent_id": agent, "idempotency_key": "k"})] * 10,
    )
    assert len([execution for execution in begun if execution is not None]) == 1
    assert await count(database, "agent_executions") == 1
    async with AsyncSession(engine) as session:
        assert await ExecutionRepository(session).find_by_key(agent, "k") is not None
        assert await ExecutionRepository(session).find_by_key(agent, "other") is None


async def test_of_many_who_end_an_execution_one_does(engine: AsyncEngine, database: Connection, agent: UUID) -> None:
    execution = await add_execution(database, agent)
    ended = await at_once(
        engine,
        *[lambda s: ExecutionRepository(s).finish(execution, Finish("success"))] * 5,
        *[lambda s: ExecutionRepository(s).finish(execution, Finish("failure", error="e"))] * 5,
    )
    assert len([found for found in ended if found is not None]) == 1


async def test_an_execution_goes_forward_only(session: AsyncSession, database: Connection, agent: UUID) -> None:
    execution = await add_execution(database, agent)
    executions = ExecutionRepository(session)
    assert await executions.run(execution) is not None
    assert await executions.run(execution) is None
    ended = await executions.finish(execution, Finish("timeout"))
    assert ended is not None
    assert (ended.status, ended.duration_ms) == ("timeout", 0)
    assert await executions.finish(execution, Finish("success")) is None
    assert (await executions.find(execution)) is ended


async def test_executions_are_listed_by_all_that_they_are(
    database: Connection, session: AsyncSession, agent: UUID, task: UUID
) -> None:
    await add_execution(database, await add_agent(database))
    execution = await add_execution(database, agent, task_id=task)
    await database.execute(
        "UPDATE agent_executions SET status = 'running', started_at = now() WHERE id = $1", execution
    )
    project = (await row(database, "tasks", task))["project_id"]
    for wanted in (
        ExecutionFilter(agent_id=agent),
        ExecutionFilter(project_id=project),
        ExecutionFilter(task_id=task),
        ExecutionFilter(status="running"),
    ):
        assert ids(await ExecutionRepository(session).page(wanted, limit=9)) == [execution], wanted


async def test_what_a_period_cost_is_exact(database: Connection, session: AsyncSession, agent: UUID) -> None:
    other = await add_agent(database)
    spent = [Decimal("0.000000001"), Decimal("0.1"), Decimal("0.2"), Decimal("123456789.987654321")]
    for cost in spent:
        await add_execution(database, agent, cost_usd=cost, cost_source="computed", input_tokens=1, output_tokens=2)
    await add_execution(database, other)
    now = datetime.now(UTC)
    found = await ExecutionRepository(session).spent_between(now - timedelta(hours=1), now + timedelta(hours=1))
    assert [(s.agent_id, s.executions, s.cost_usd, s.input_tokens, s.unpriced) for s in found] == [
        (agent, 4, sum(spent), 4, 0),
        (other, 1, Decimal(0), 0, 0),
    ]
    assert await ExecutionRepository(session).spent_between(now + timedelta(hours=1), now + timedelta(hours=2)) == []


async def test_totals_and_an_agents_figures_are_exact_however_many_end_executions_at_once(
    engine: AsyncEngine, database: Connection
) -> None:
    agents = [await add_agent(database, f"agent {number}") for number in range(3)]
    made = [await add_execution(database, agents[number % 3]) for number in range(90)]
    cost = Decimal("0.000000007")

    def ending(number: int) -> Callable[[AsyncSession], Awaitable[object]]:
        how = Finish("success" if number % 2 else "failure", cost_usd=cost, cost_source="reported", input_tokens=number)

        async def end(session: AsyncSession) -> None:
            await ExecutionRepository(session).run(made[number])
            await ExecutionRepository(session).finish(made[number], how)

        return end

    await at_once(engine, *map(ending, range(90)))
    await database.execute("DELETE FROM agent_executions WHERE id = $1", made[0])
    async with AsyncSession(engine) as session:
        totals = await ExecutionRepository(session).totals(agents)
    for agent in agents:
        true = await database.fetchrow(
            "SELECT count(*), count(*) FILTER (WHERE status = 'success') AS successes, sum(cost_usd) AS cost_usd,"
            " sum(input_tokens) AS input_tokens, sum(duration_ms) AS duration_ms, avg(duration_ms) AS average"
            " FROM agent_executions WHERE agent_id = $1",
            agent,
        )
        assert true is not None
        kept = totals[agent]
        assert (kept.executions, kept.successes, kept.failures, kept.cost_usd, kept.input_tokens, kept.duration_ms) == (
            true["count"],
            true["successes"],
            true["count"] - true["successes"],
            true["cost_usd"],
            true["input_tokens"],
            true["duration_ms"],
        )
        figures = await row(database, "agents", agent)
        assert figures["success_rate"] == pytest.approx(true["successes"] / true["count"])
        assert figures["avg_execution_time_ms"] == pytest.approx(float(true["average"]))


async def test_one_statement_over_executions_of_many_agents_is_counted_for_each(database: Connection) -> None:
    agents = [await add_agent(database, f"agent {number}") for number in range(3)]
    await database.execute(
        "INSERT INTO agent_executions (agent_id, status, finished_at, started_at)"
        " SELECT a, 'success', now(), now() - interval '1 s' FROM unnest($1::uuid[]) a, generate_series(1, 5)",
        agents,
    )
    await database.execute(
        "UPDATE agent_executions SET status = 'failure', agent_id = $2 WHERE agent_id = $1", agents[0], agents[1]
    )
    rows = await database.fetch(
        "SELECT executions, successes, failures, success_rate, avg_execution_time_ms FROM execution_totals"
        " JOIN agents ON id = agent_id ORDER BY name"
    )
    assert [tuple(found) for found in rows] == [(0, 0, 0, None, None), (10, 5, 5, 0.5, 1000), (5, 5, 0, 1, 1000)]


async def test_the_feed_is_listed_by_all_that_it_is(
    database: Connection, session: AsyncSession, agent: UUID, task: UUID
) -> None:
    plain = await insert(database, "activity_feed", activity_type="a", summary="s")
    special = await insert(
        database, "activity_feed", activity_type="a", summary="s", task_id=task, actor_id=agent, is_public=True
    )
    project = (await row(database, "tasks", task))["project_id"]
    page = ActivityRepository(session).page
    for wanted in (
        ActivityFilter(project_id=project),
        ActivityFilter(task_id=task),
        ActivityFilter(actor_id=agent),
        ActivityFilter(only_public=True),
    ):
        assert ids(await page(wanted, limit=9)) == [special], wanted
    assert set(ids(await page(ActivityFilter(), limit=9))) == {plain, special}
    assert await page(ActivityFilter(since=datetime.now(UTC) + timedelta(hours=1)), limit=9) == []


@pytest.mark.parametrize("rows", [1, 30])
async def test_reading_thirty_takes_as_many_statements_as_reading_one(
    database_url: str, database: Connection, agent: UUID, rows: int
) -> None:
    for number in range(rows):
        project = await add_project(database, f"p{number}")
        task = await add_task(database, project)
        evidence = await add_evidence(database, agent, task_id=task)
        await add_execution(database, agent, task_id=task)
        file = {"task_id": task, "uploaded_by": agent, "file_name": "f", "byte_size": 1, "storage_path": "s"}
        await insert(database, "task_attachments", **file, evidence_id=evidence)
        await insert(database, "task_comments", task_id=task, author_id=agent, body="b")
        await insert(database, "activity_feed", task_id=task, activity_type="a", summary="s")

    async def read_all(session: AsyncSession) -> None:
        projects = await ProjectRepository(session).page(ProjectFilter(), limit=50)
        assert len(await ProjectRepository(session).progress(ids(projects))) == rows
        found = await EvidenceRepository(session).page(EvidenceFilter(), limit=50)
        assert len(await EvidenceRepository(session).links(ids(found))) == rows
        assert len(await AttachmentRepository(session).of_evidence(ids(found))) == rows
        executions = await ExecutionRepository(session).page(ExecutionFilter(), limit=50)
        assert len(await ExecutionRepository(session).totals([e.agent_id for e in executions])) == 1
        assert len(await TaskRepository(session).page(TaskFilter(), limit=50)) == rows
        assert len(await CommentRepository(session).page(CommentFilter(), limit=50)) == rows
        assert len(await ActivityRepository(session).page(ActivityFilter(), limit=50)) == rows

    async with observed(database_url) as watched:
        assert await watched.count(read_all(watched.session)) == 10
