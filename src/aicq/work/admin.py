"""The tables of work under `/admin`."""

from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.errors import Conflict, Unprocessable
from aicq.http.resources.resource import Resource, Row
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

PROJECT = (
    "name",
    "description",
    "repository_url",
    "owner_id",
    "team_id",
    "status",
    "technology_stack",
    "pr_merge_rate",
    "test_coverage_percent",
    "metadata",
)
TASK = (
    "title",
    "description",
    "type",
    "status",
    "priority",
    "labels",
    "assignee_id",
    "github_issue_number",
    "github_pr_number",
    "ai_analysis",
    "ai_suggestions",
)
EVIDENCE = (
    "claim",
    "content",
    "source_type",
    "source_url",
    "tags",
    "claimed_score",
    "computed_score",
    "scoring_method",
    "scored_by",
    "verified_by",
)
EXECUTION = (
    "evidence_id",
    "model_provider",
    "model_name",
    "input",
    "result",
    "error",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
    "cost_source",
    "price",
)
OVER = frozenset({"success", "failure", "timeout"})


class Tasks(Resource):
    """Tasks. An admin may put one into any status; the time of closing follows."""

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds a task."""
        return await super().add(session, _with_closing(values))

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes a task."""
        return await super().change(session, row, _with_closing(values))


class EvidenceResource(Resource):
    """Evidence. The time of a verification follows its verifier."""

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds evidence."""
        return await super().add(session, _with_verification(values))

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes evidence."""
        return await super().change(session, row, _with_verification(values))


class Links(Resource):
    """Links of evidence; a pair is the same whichever end is named first."""

    def clean(self, values: dict[str, Any]) -> dict[str, Any]:
        """The ends in their order."""
        if "low_id" in values and values["low_id"] == values["high_id"]:
            raise Unprocessable("evidence has nothing to do with itself", field="high_id")
        ends = sorted(values[name] for name in ("low_id", "high_id") if name in values)
        return {**values, **dict(zip(("low_id", "high_id"), ends, strict=False))}


class Executions(Resource):
    """Executions. What is over stays over; the times follow the status, and the agent's totals the row."""

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds an execution."""
        return await super().add(session, _with_times(values, seen="pending"))

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes an execution."""
        if "status" in values and (row["status"] in OVER or values["status"] == "pending"):
            raise Conflict(f"what is {row['status']} cannot become {values['status']}", field="status")
        return await super().change(session, row, _with_times(values, seen=row["status"]))


def _with_closing(values: dict[str, Any]) -> dict[str, Any]:
    if "status" not in values:
        return values
    return {**values, "closed_at": func.now() if values["status"] == "closed" else None}


def _with_verification(values: dict[str, Any]) -> dict[str, Any]:
    if "verified_by" not in values:
        return values
    return {**values, "verified_at": func.now() if values["verified_by"] is not None else None}


def _with_times(values: dict[str, Any], *, seen: str) -> dict[str, Any]:
    status = values.get("status", seen)
    times: dict[str, Any] = {}
    if status == "running" and seen == "pending":
        times["started_at"] = func.now()
    elif status in OVER and seen not in OVER:
        times["finished_at"] = (
            func.greatest(func.now(), Execution.__table__.c.started_at) if seen == "running" else func.now()
        )
    return {**values, **times}


RESOURCES = [
    Resource(
        Project,
        create=("slug", *PROJECT),
        update=("slug", *PROJECT),
        delete=True,
        filters=("slug", "status", "owner_id", "team_id", "repository_url"),
        search=("name", "slug"),
    ),
    # A task stays in its project: what points at it is of that project too.
    Tasks(
        Task,
        create=("project_id", "created_by", *TASK),
        update=TASK,
        delete=True,
        filters=("project_id", "code", "status", "type", "priority", "assignee_id", "github_issue_number"),
        search=("title",),
    ),
    Resource(
        TaskComment,
        create=("task_id", "author_id", "body", "github_comment_id", "is_ai_generated", "ai_metadata"),
        update=("body", "github_comment_id", "is_ai_generated", "ai_metadata"),
        delete=True,
        filters=("task_id", "author_id", "github_comment_id"),
    ),
    Resource(
        TaskAttachment,
        create=("task_id", "uploaded_by", "file_name", "content_type", "byte_size", "storage_path", "evidence_id"),
        update=("file_name", "content_type", "byte_size", "storage_path", "evidence_id"),
        delete=True,
        filters=("task_id", "uploaded_by", "evidence_id"),
        search=("file_name",),
    ),
    EvidenceResource(
        Evidence,
        create=("project_id", "task_id", "author_id", *EVIDENCE),
        update=("project_id", "task_id", *EVIDENCE),
        delete=True,
        filters=("code", "project_id", "task_id", "author_id", "source_type", "is_verified"),
    ),
    Links(
        EvidenceLink,
        create=("low_id", "high_id", "kind", "created_by"),
        update=("kind",),
        delete=True,
        filters=("low_id", "high_id", "kind"),
    ),
    Executions(
        Execution,
        create=("agent_id", "project_id", "task_id", "idempotency_key", "status", *EXECUTION),
        update=("status", *EXECUTION),
        delete=True,
        filters=("agent_id", "project_id", "task_id", "evidence_id", "status"),
    ),
    Resource(ExecutionTotals, filters=("agent_id",)),
    Resource(
        Activity,
        create=("project_id", "task_id", "actor_id", "activity_type", "summary", "details", "is_public"),
        update=("summary", "is_public"),
        delete=True,
        filters=("project_id", "task_id", "actor_id", "activity_type", "is_public"),
    ),
]
