"""Where projects are kept, and how far they are."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import msgspec
from sqlalchemy import select, text

from aicq.db.repository import Repository
from aicq.work.models import Project
from aicq.work.repositories.visibility import is_seen

# Each count is of its own table alone: joined, a task would count once for each execution.
PROGRESS = text("""
SELECT p.id AS project_id, coalesce(t.tasks, 0) AS tasks, coalesce(t.closed, 0) AS closed,
    coalesce(t.in_progress, 0) AS in_progress, coalesce(t.blocked, 0) AS blocked,
    coalesce(e.executions, 0) AS executions, coalesce(e.input_tokens, 0) AS input_tokens,
    coalesce(e.output_tokens, 0) AS output_tokens, coalesce(e.cost_usd, 0) AS cost_usd,
    coalesce(e.unpriced, 0) AS unpriced
FROM unnest(CAST(:ids AS uuid[])) AS p (id)
LEFT JOIN LATERAL (
    SELECT count(*) AS tasks, count(*) FILTER (WHERE status = 'closed') AS closed,
        count(*) FILTER (WHERE status IN ('in_progress', 'in_review')) AS in_progress,
        count(*) FILTER (WHERE status = 'blocked') AS blocked
    FROM tasks WHERE project_id = p.id AND status <> 'draft'
) t ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS executions, sum(input_tokens)::bigint AS input_tokens,
        sum(output_tokens)::bigint AS output_tokens, sum(cost_usd) AS cost_usd,
        count(*) FILTER (WHERE cost_usd IS NULL AND finished_at IS NOT NULL) AS unpriced
    FROM agent_executions WHERE project_id = p.id
) e ON true
""")


class ProjectFilter(msgspec.Struct, frozen=True):
    """Which projects are wanted; None asks for nothing."""

    owner_id: UUID | None = None
    team_id: UUID | None = None
    status: str | None = None


class Progress(msgspec.Struct, frozen=True):
    """How far a project is, and what it has cost.

    Args:
        project_id: The project.
        tasks: How many there are, drafts left out.
        closed: How many of them are done.
        in_progress: How many somebody works on or reviews.
        blocked: How many wait for something.
        executions: How often agents ran for it.
        input_tokens: What their models read.
        output_tokens: What their models wrote.
        cost_usd: What that cost in US dollars, as far as it is known.
        unpriced: How many executions are over whose cost nobody knows.
    """

    project_id: UUID
    tasks: int = 0
    closed: int = 0
    in_progress: int = 0
    blocked: int = 0
    executions: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0


class ProjectRepository(Repository[Project]):
    """Projects."""

    model_type = Project

    async def find(self, project_id: UUID, *, seen_by: UUID | None = None, locked: bool = False) -> Project | None:
        """The project with this id, if the actor sees it; locked against changes by others if it is to change."""
        statement = select(Project).where(Project.id == project_id, is_seen(seen_by))
        return await self.session.scalar(statement.with_for_update(key_share=True) if locked else statement)

    async def owner_of(self, project_id: UUID | None) -> UUID | None:
        """Who owns a project, if there is one and it is somebody's."""
        return await self.session.scalar(select(Project.owner_id).where(Project.id == project_id))

    async def find_by_slug(self, slug: str, *, seen_by: UUID | None = None) -> Project | None:
        """The project with this slug, if the actor sees it."""
        return await self.session.scalar(select(Project).where(Project.slug == slug, is_seen(seen_by)))

    async def find_by_repository(self, url: str) -> Sequence[Project]:
        """The projects whose code lies there, the oldest first."""
        statement = select(Project).where(Project.repository_url == url).order_by(Project.id)
        return (await self.session.scalars(statement)).all()

    async def page(
        self, wanted: ProjectFilter, *, limit: int, before: UUID | None = None, seen_by: UUID | None = None
    ) -> Sequence[Project]:
        """Projects that the actor sees, the newest first; only those older than `before`."""
        statement = select(Project).where(is_seen(seen_by)).order_by(Project.id.desc()).limit(limit)
        for name in ("owner_id", "team_id", "status"):
            value = getattr(wanted, name)
            if value is not None:
                statement = statement.where(getattr(Project, name) == value)
        if before is not None:
            statement = statement.where(Project.id < before)
        return (await self.session.scalars(statement)).all()

    async def progress(self, project_ids: Sequence[UUID]) -> dict[UUID, Progress]:
        """How far each of the projects is; one statement for all."""
        rows = await self.session.execute(PROGRESS, {"ids": list(project_ids)})
        return {row.project_id: Progress(*row) for row in rows}
