"""Every index of the tables of work serves the query that it names, on tables of 20,000 rows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.work.models import (
    Activity,
    Evidence,
    EvidenceLink,
    Execution,
    ExecutionTotals,
    Project,
    Task,
    TaskAttachment,
    TaskComment,
)
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
    ProjectFilter,
    ProjectRepository,
    TaskFilter,
    TaskRepository,
)
from tests.db.observed import ROWS, indexes_that_are_no_keys, observed
from tests.servers import Databases

MODELS = (
    Activity,
    Evidence,
    EvidenceLink,
    Execution,
    ExecutionTotals,
    Project,
    Task,
    TaskAttachment,
    TaskComment,
)

# Ids that tell a row's number, so that a test can name the row it wants.
FILL = f"""
CREATE FUNCTION n(kind int, number bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
    $$ SELECT (lpad(to_hex(kind), 8, '0') || lpad(to_hex(number), 24, '0'))::uuid $$;
INSERT INTO agents (id, name) SELECT n(1, i), 'a' || i FROM generate_series(1, 200) i;
INSERT INTO teams (id, name, slug, owner_id) SELECT n(2, i), 't', 't' || i, n(1, 1) FROM generate_series(1, 200) i;
INSERT INTO projects (id, slug, name, owner_id, team_id, repository_url, status)
    SELECT n(3, i), 'p' || i, 'p', n(1, i % 200 + 1), n(2, i % 200 + 1), 'https://x.io/' || i,
        CASE WHEN i % 200 = 0 THEN 'paused' ELSE 'active' END
    FROM generate_series(1, {ROWS}) i;
INSERT INTO tasks (
    id, project_id, title, type, status, priority, labels, created_by, assignee_id, github_issue_number,
    github_pr_number, closed_at
) SELECT n(4, i), n(3, i % 100 + 1), 't', CASE WHEN i % 200 = 0 THEN 'bug' ELSE 'task' END,
    CASE WHEN i % 200 = 6 THEN 'blocked' WHEN i % 3 > 0 THEN 'open' ELSE 'closed' END,
    CASE WHEN i % 200 = 0 THEN 'critical' ELSE 'low' END, jsonb_build_array('l' || i % 500),
    n(1, i % 200 + 1), CASE WHEN i % 2 = 0 THEN n(1, i % 200 + 1) END, i, i,
    CASE WHEN i % 200 <> 6 AND i % 3 = 0 THEN now() END
    FROM generate_series(1, {ROWS}) i;
INSERT INTO task_comments (id, task_id, author_id, body, github_comment_id, created_at)
    SELECT n(5, i), n(4, i % 2000 + 1), n(1, i % 200 + 1), 'b', i, now() - ({ROWS} - i) * interval '1 min'
    FROM generate_series(1, {ROWS}) i;
INSERT INTO evidence (
    id, project_id, author_id, claim, source_type, tags, claimed_score, computed_score, scoring_method, scored_by,
    verified_by, verified_at
) SELECT n(6, i), n(3, i % 100 + 1), n(1, i % 100 + 1), 'c', 's' || i % 50, jsonb_build_array('t' || i % 500),
    (i % 1000)::numeric / 1000, (i % 1000)::numeric / 1000, 'm', n(1, i % 200 + 1),
    CASE WHEN i % 100 > 0 THEN n(1, i % 90 + 110) END, CASE WHEN i % 100 > 0 THEN now() END
    FROM generate_series(1, {ROWS}) i;
UPDATE evidence SET task_id = n(4, ('x' || right(id::text, 8))::bit(32)::int) WHERE project_id = n(3, 1);
INSERT INTO evidence_links (low_id, high_id, kind, created_by)
    SELECT n(6, i), n(6, i + 1), 'related', n(1, i % 200 + 1) FROM generate_series(1, {ROWS} - 1) i;
INSERT INTO task_attachments (id, task_id, uploaded_by, file_name, byte_size, storage_path, evidence_id)
    SELECT n(7, i), n(4, i % 2000 + 1), n(1, i % 200 + 1), 'f', 1, 's', n(6, i) FROM generate_series(1, {ROWS}) i;
INSERT INTO agent_executions (id, agent_id, task_id, evidence_id, status, started_at, created_at, idempotency_key)
    SELECT n(8, i), n(1, i % 200 + 1), n(4, i), n(6, i),
        CASE WHEN i % 1000 = 0 THEN 'running' ELSE 'pending' END, CASE WHEN i % 1000 = 0 THEN now() END,
        now() - ({ROWS} - i) * interval '1 min', i FROM generate_series(1, {ROWS}) i;
INSERT INTO activity_feed (id, project_id, task_id, actor_id, activity_type, summary, is_public, created_at)
    SELECT n(9, i), NULL, n(4, i), n(1, i % 200 + 1), 'a', 's', i % 200 = 0, now() - ({ROWS} - i) * interval '1 min'
    FROM generate_series(1, {ROWS}) i;
ANALYZE
"""


def n(kind: int, number: int) -> UUID:
    """The id of a row that `FILL` made."""
    return UUID(int=kind << 96 | number)


AGENT, TEAM, PROJECT, TASK, EVIDENCE = n(1, 7), n(2, 7), n(3, 7), n(4, 7), n(6, 7)
LATELY = datetime.now(UTC) - timedelta(hours=1)

Call = Callable[[AsyncSession], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "ix_projects_owner_id": lambda s: ProjectRepository(s).page(ProjectFilter(owner_id=AGENT), limit=50),
    "ix_projects_team_id": lambda s: ProjectRepository(s).page(ProjectFilter(team_id=TEAM), limit=50),
    "ix_projects_status": lambda s: ProjectRepository(s).page(ProjectFilter(status="paused"), limit=50),
    "ix_projects_repository_url": lambda s: ProjectRepository(s).find_by_repository("https://x.io/7"),
    "ix_tasks_project_id": lambda s: TaskRepository(s).page(TaskFilter(project_id=PROJECT), limit=50),
    "ix_tasks_project_id_status": lambda s: TaskRepository(s).page(
        TaskFilter(project_id=PROJECT, status="blocked"), limit=50
    ),
    "ix_tasks_status": lambda s: TaskRepository(s).page(TaskFilter(status="blocked"), limit=50),
    "ix_tasks_priority": lambda s: TaskRepository(s).page(TaskFilter(priority="critical"), limit=50),
    "ix_tasks_type": lambda s: TaskRepository(s).page(TaskFilter(type="bug"), limit=50),
    "ix_tasks_assignee_id": lambda s: TaskRepository(s).page(TaskFilter(assignee_id=AGENT), limit=50),
    "ix_tasks_claimable": lambda s: TaskRepository(s).claim_next(PROJECT, AGENT),
    "ix_tasks_labels": lambda s: TaskRepository(s).page(TaskFilter(labels=("l7",)), limit=50),
    "uq_tasks_project_id_github_issue_number": lambda s: TaskRepository(s).find_by_issue(PROJECT, 7),
    "ix_tasks_github_pr_number": lambda s: TaskRepository(s).find_by_pull_request(PROJECT, 7),
    "ix_task_comments_task_id": lambda s: CommentRepository(s).page(CommentFilter(task_id=TASK), limit=50),
    "ix_task_comments_author_id": lambda s: CommentRepository(s).page(CommentFilter(author_id=AGENT), limit=50),
    "ix_task_comments_created_at": lambda s: CommentRepository(s).page(CommentFilter(since=LATELY), limit=50),
    "ix_task_attachments_task_id": lambda s: AttachmentRepository(s).page(TASK, limit=50),
    "ix_task_attachments_evidence_id": lambda s: AttachmentRepository(s).of_evidence([EVIDENCE]),
    "ix_evidence_task_id": lambda s: EvidenceRepository(s).page(EvidenceFilter(task_id=TASK), limit=50),
    "ix_evidence_project_id": lambda s: EvidenceRepository(s).page(EvidenceFilter(project_id=PROJECT), limit=50),
    "ix_evidence_source_type": lambda s: EvidenceRepository(s).page(EvidenceFilter(source_type="s7"), limit=50),
    "ix_evidence_credibility_score": lambda s: EvidenceRepository(s).most_credible(at_least=Decimal("0.9"), limit=50),
    "ix_evidence_unverified": lambda s: EvidenceRepository(s).page(EvidenceFilter(is_verified=False), limit=50),
    "ix_evidence_tags": lambda s: EvidenceRepository(s).page(EvidenceFilter(tags=("t7",)), limit=50),
    "ix_evidence_links_high_id": lambda s: EvidenceRepository(s).links([EVIDENCE]),
    "ix_agent_executions_agent_id": lambda s: ExecutionRepository(s).page(ExecutionFilter(agent_id=AGENT), limit=50),
    "ix_agent_executions_task_id": lambda s: ExecutionRepository(s).page(ExecutionFilter(task_id=TASK), limit=50),
    "ix_agent_executions_project_id": lambda s: ExecutionRepository(s).page(
        ExecutionFilter(project_id=PROJECT), limit=50
    ),
    "ix_agent_executions_status": lambda s: ExecutionRepository(s).page(ExecutionFilter(status="running"), limit=50),
    "ix_agent_executions_created_at": lambda s: ExecutionRepository(s).spent_between(
        LATELY, LATELY + timedelta(minutes=20)
    ),
    "uq_agent_executions_agent_id_idempotency_key": lambda s: ExecutionRepository(s).find_by_key(AGENT, "6"),
    "ix_activity_feed_project_id": lambda s: ActivityRepository(s).page(ActivityFilter(project_id=PROJECT), limit=50),
    "ix_activity_feed_task_id": lambda s: ActivityRepository(s).page(ActivityFilter(task_id=TASK), limit=50),
    "ix_activity_feed_actor_id": lambda s: ActivityRepository(s).page(ActivityFilter(actor_id=AGENT), limit=50),
    "ix_activity_feed_public": lambda s: ActivityRepository(s).page(ActivityFilter(only_public=True), limit=50),
    "ix_activity_feed_created_at": lambda s: ActivityRepository(s).page(ActivityFilter(since=LATELY), limit=50),
}

# What Postgres asks by itself when the row that is pointed at goes.
DELETES = {
    "ix_tasks_created_by": "UPDATE ONLY tasks SET created_by = NULL WHERE :id = created_by",
    "ix_task_attachments_uploaded_by": "SELECT FROM ONLY task_attachments x WHERE :id = uploaded_by FOR KEY SHARE OF x",
    "ix_evidence_author_id": "SELECT FROM ONLY evidence x WHERE :id = author_id FOR KEY SHARE OF x",
    "ix_evidence_scored_by": "UPDATE ONLY evidence SET scored_by = NULL WHERE :id = scored_by",
    "ix_evidence_verified_by": "UPDATE ONLY evidence SET verified_by = NULL WHERE :id = verified_by",
    "ix_evidence_links_created_by": "UPDATE ONLY evidence_links SET created_by = NULL WHERE :id = created_by",
    "ix_agent_executions_evidence_id": "UPDATE ONLY agent_executions SET evidence_id = NULL WHERE :id = evidence_id",
}

# Nobody looks a comment up by it: the index refuses a second one.
GUARDS = {"uq_task_comments_github_comment_id"}


@pytest.fixture(scope="module")
async def database_url(
    databases: Databases,
    anyio_backend: object,  # noqa: ARG001 - runs asynchronous fixtures
) -> AsyncIterator[str]:
    """A database with 20,000 rows in each table."""
    name = await databases.make()
    connection = await asyncpg.connect(databases.url(name))
    async with asyncio.timeout(110):
        await connection.execute(FILL)
    await connection.close()
    yield databases.url(name)
    await databases.drop(name)


@pytest.mark.parametrize("index", CALLS)
async def test_a_query_uses_its_index(database_url: str, index: str) -> None:
    async with observed(database_url) as watched:
        assert index in await watched.indexes(CALLS[index](watched.session))


@pytest.mark.parametrize("index", DELETES)
async def test_a_delete_of_what_is_pointed_at_uses_its_index(database_url: str, index: str) -> None:
    gone = EVIDENCE if "evidence_id" in index else AGENT
    async with observed(database_url) as watched:
        assert index in await watched.indexes(watched.run(DELETES[index], id=gone))


def test_every_index_is_asked_about() -> None:
    assert indexes_that_are_no_keys(*MODELS) == CALLS.keys() | DELETES.keys() | GUARDS
