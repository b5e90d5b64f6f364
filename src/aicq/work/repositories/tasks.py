"""Where tasks are kept, and how they are taken."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Update, func, literal_column, select, update
from sqlalchemy.sql import Select

from aicq.db.repository import Repository
from aicq.work.models import Task
from aicq.work.repositories.visibility import is_seen_within
from aicq.work.repositories.words import holds_all

# Spelled as the index has it, and not as parameters: a plan that is made once finds the index by its text.
URGENCY: ColumnElement[int] = literal_column("array_position(ARRAY['critical', 'high', 'medium', 'low'], priority)")
IS_FREE: ColumnElement[bool] = literal_column("status = 'open' AND assignee_id IS NULL")


class TaskFilter(msgspec.Struct, frozen=True):
    """Which tasks are wanted; None asks for nothing, and of labels all must be there."""

    project_id: UUID | None = None
    status: str | None = None
    type: str | None = None
    priority: str | None = None
    assignee_id: UUID | None = None
    labels: tuple[str, ...] = ()


class TaskRepository(Repository[Task]):
    """Tasks."""

    model_type = Task

    async def find(self, name: UUID | str, *, seen_by: UUID | None = None, locked: bool = False) -> Task | None:
        """The task with this id or code, if the actor sees it; locked against changes by others if it is to change."""
        is_named = Task.id == name if isinstance(name, UUID) else Task.code == name
        statement = select(Task).where(is_named, is_seen_within(Task.project_id, seen_by))
        return await self.session.scalar(statement.with_for_update(key_share=True) if locked else statement)

    async def find_by_issue(self, project_id: UUID, number: int) -> Task | None:
        """The task that is this issue on GitHub."""
        statement = select(Task).where(Task.project_id == project_id, Task.github_issue_number == number)
        return await self.session.scalar(statement)

    async def find_by_pull_request(self, project_id: UUID, number: int) -> Sequence[Task]:
        """The tasks that this pull request on GitHub is for, the oldest first."""
        statement = select(Task).where(Task.project_id == project_id, Task.github_pr_number == number)
        return (await self.session.scalars(statement.order_by(Task.id))).all()

    async def page(
        self, wanted: TaskFilter, *, limit: int, before: UUID | None = None, seen_by: UUID | None = None
    ) -> Sequence[Task]:
        """Tasks that the actor sees, the newest first; only those older than `before`."""
        seen = select(Task).where(is_seen_within(Task.project_id, seen_by))
        statement = narrowed(seen, wanted).order_by(Task.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(Task.id < before)
        return (await self.session.scalars(statement)).all()

    async def claim(self, task_id: UUID, actor_id: UUID) -> Task | None:
        """Gives a free task to an actor and begins it; None if it is not free. Of many at once, one gets it."""
        statement = update(Task).where(Task.id == task_id, IS_FREE)
        return await self.changed(begun_by(statement, actor_id))

    async def claim_next(self, project_id: UUID, actor_id: UUID) -> Task | None:
        """Gives the most pressing free task of a project to an actor, or None. Many at once get one each."""
        free = select(Task.id).where(Task.project_id == project_id, IS_FREE).order_by(URGENCY, Task.id).limit(1)
        chosen = free.with_for_update(skip_locked=True, key_share=True).scalar_subquery()
        return await self.changed(begun_by(update(Task).where(Task.id == chosen), actor_id))

    async def move(self, task_id: UUID, *, seen: str, status: str) -> Task | None:
        """Puts a task into another status, if it is still in the one that was seen."""
        statement = (
            update(Task)
            .where(Task.id == task_id, Task.status == seen)
            .values(
                status=status,
                started_at=func.coalesce(Task.started_at, func.now()) if status == "in_progress" else Task.started_at,
                closed_at=func.now() if status == "closed" else None,
            )
        )
        return await self.changed(statement)

    async def assign(self, task_id: UUID, actor_id: UUID | None, *, seen: UUID | None) -> Task | None:
        """Gives a task to another actor, or to nobody, if it is still with the one that was seen."""
        held = Task.assignee_id.is_not_distinct_from(seen)
        statement = update(Task).where(Task.id == task_id, held).values(assignee_id=actor_id)
        return await self.changed(statement)


def begun_by(statement: Update, actor_id: UUID) -> Update:
    """Gives the tasks of an update to an actor and begins them."""
    started_at = func.coalesce(Task.started_at, func.now())
    return statement.values(assignee_id=actor_id, status="in_progress", started_at=started_at)


def narrowed(statement: Select[Task], wanted: TaskFilter) -> Select[Task]:
    """Leaves only the tasks that are wanted."""
    for name in ("project_id", "status", "type", "priority", "assignee_id"):
        value = getattr(wanted, name)
        if value is not None:
            statement = statement.where(getattr(Task, name) == value)
    return statement.where(holds_all(Task.id, Task.labels, wanted.labels)) if wanted.labels else statement
