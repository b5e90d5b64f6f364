"""Tasks: adding them, saying what they are about, handing them out and moving them on."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import update

from aicq.errors import Conflict, NotFound, Unprocessable
from aicq.http.resources.fields import given
from aicq.work.models import Project, Task
from aicq.work.repositories import ProjectRepository, TaskFilter, TaskRepository
from aicq.work.repositories.actors import hold_actor
from aicq.work.schemas.tasks import NewTask, TaskChange
from aicq.work.services.acting import Acting

FOLLOWING = {
    "draft": {"open", "closed"},
    "open": {"draft", "in_progress", "blocked", "closed"},
    "in_progress": {"open", "in_review", "blocked", "closed"},
    "in_review": {"in_progress", "blocked", "closed"},
    "blocked": {"open", "in_progress", "closed"},
    "closed": {"open"},
}
"""Which statuses may follow each."""


class TaskService:
    """What an actor can do about tasks.

    Args:
        acting: Who asks, within which transaction.
    """

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._tasks = TaskRepository(acting.session)
        self._projects = ProjectRepository(acting.session)

    async def create(self, wanted: NewTask) -> Task:
        """Adds a task to a project. Postgres refuses an issue that is a task of the project already.

        Raises:
            NotFound: There is no such project that the caller sees.
        """
        await self._project(wanted.project_id)
        values = {**given(wanted), "labels": unique(wanted.labels), "created_by": self._acting.caller.id}
        task = await self._tasks.added(id=self._acting.new_id(), **values)
        await self._acting.record("create", Task, task.id, new={**values, "code": task.code})
        self._acting.tell(
            "task_created", f"added {task.code}: {task.title}", project_id=task.project_id, task_id=task.id
        )
        return task

    async def find(self, name: UUID | str, *, locked: bool = False) -> Task:
        """A task that the caller sees, by its id or its code.

        Raises:
            NotFound: There is none.
        """
        task = await self._tasks.find(name, seen_by=self._acting.seen_by, locked=locked)
        if task is None:
            raise NotFound("task not found")
        return task

    async def page(self, wanted: TaskFilter, *, limit: int, before: UUID | None) -> Sequence[Task]:
        """Tasks that the caller sees, the newest first."""
        return await self._tasks.page(wanted, limit=limit, before=before, seen_by=self._acting.seen_by)

    async def change(self, name: UUID | str, change: TaskChange) -> Task:
        """Changes what a task is about.

        Raises:
            NotFound: There is none that the caller sees.
        """
        task = await self.find(name, locked=True)
        values = given(change)
        if "labels" in values:
            values["labels"] = unique(values["labels"])
        values = {name: value for name, value in values.items() if getattr(task, name) != value}
        if not values:
            return task
        old = {name: getattr(task, name) for name in values}
        await self._tasks.changed(update(Task).where(Task.id == task.id).values(values))
        await self._told(task, "task_changed", f"changed {task.code}: {', '.join(sorted(values))}", old, values)
        return task

    async def claim(self, name: UUID | str) -> Task:
        """Gives a free task to the caller and begins it. Of many who claim it at once, one gets it.

        Raises:
            NotFound: There is none that the caller sees.
            Conflict: It is not free.
        """
        seen = await self.find(name)
        await self._hold(self._acting.caller.id)
        task = await self._tasks.claim(seen.id, self._acting.caller.id)
        if task is None:
            raise Conflict(f"{seen.code} is not free")
        return await self._claimed(task)

    async def claim_next(self, project_id: UUID) -> Task | None:
        """Gives the most pressing free task of a project to the caller; None if none is free.

        Raises:
            NotFound: There is no such project that the caller sees.
        """
        await self._project(project_id)
        await self._hold(self._acting.caller.id)
        task = await self._tasks.claim_next(project_id, self._acting.caller.id)
        return await self._claimed(task) if task is not None else None

    async def assign(self, name: UUID | str, assignee_id: UUID | None) -> Task:
        """Hands a task to an actor, or to nobody.

        Raises:
            NotFound: There is none that the caller sees.
            Unprocessable: The actor is nobody, or would not see the task.
            Conflict: Somebody else has handed it out meanwhile.
        """
        seen = await self.find(name)
        if seen.assignee_id == assignee_id:
            return seen
        if assignee_id is not None:
            await self._hold(assignee_id)
            if await self._tasks.find(seen.id, seen_by=assignee_id) is None:
                raise Unprocessable("they do not see the task", field="assignee_id")
        before = seen.assignee_id
        task = await self._tasks.assign(seen.id, assignee_id, seen=before)
        if task is None:
            raise Conflict(f"somebody else has handed {seen.code} out meanwhile")
        old, new = {"assignee_id": before}, {"assignee_id": assignee_id}
        await self._told(task, "task_assigned", f"handed {task.code} out", old, new)
        return task

    async def move(self, name: UUID | str, status: str) -> Task:
        """Puts a task into another status.

        Raises:
            NotFound: There is none that the caller sees.
            Conflict: The status does not follow the one that it is in, or somebody else has moved it meanwhile.
        """
        seen = await self.find(name)
        before = seen.status
        if before == status:
            return seen
        if status not in FOLLOWING[before]:
            raise Conflict(f"{seen.code} is {before} and cannot become {status}")
        task = await self._tasks.move(seen.id, seen=before, status=status)
        if task is None:
            raise Conflict(f"somebody else has moved {seen.code} meanwhile")
        told = f"moved {task.code} from {before} to {status}"
        await self._told(task, "task_moved", told, {"status": before}, {"status": status})
        return task

    async def delete(self, name: UUID | str) -> None:
        """Deletes a task with what was said and filed about it; evidence and executions stay.

        Raises:
            NotFound: There is none that the caller sees.
            Forbidden: The caller has neither made it nor owns its project.
        """
        task = await self.find(name, locked=True)
        project = await self._project(task.project_id)
        self._acting.require(task.created_by, project.owner_id, otherwise="the task is not yours")
        await self._acting.session.delete(task)
        await self._acting.session.flush()
        old = {name: getattr(task, name) for name in Task.__audited__}
        await self._acting.record("delete", Task, task.id, old=old)
        self._acting.tell("task_deleted", f"deleted {task.code}: {task.title}", project_id=project.id)

    async def _project(self, project_id: UUID) -> Project:
        project = await self._projects.find(project_id, seen_by=self._acting.seen_by)
        if project is None:
            raise NotFound("project not found", field="project_id")
        return project

    async def _hold(self, actor_id: UUID) -> None:
        # Before the task is locked: whoever deletes an actor locks the two in this order as well.
        if not await hold_actor(self._acting.session, actor_id):
            raise Unprocessable("there is no such actor", field="assignee_id")

    async def _claimed(self, task: Task) -> Task:
        new = {"assignee_id": task.assignee_id, "status": task.status}
        old = {"assignee_id": None, "status": "open"}
        await self._told(task, "task_claimed", f"claimed {task.code}: {task.title}", old, new)
        return task

    async def _told(
        self, task: Task, activity_type: str, summary: str, old: Mapping[str, object], new: Mapping[str, object]
    ) -> None:
        await self._acting.record("update", Task, task.id, old=old, new=new)
        self._acting.tell(activity_type, summary, project_id=task.project_id, task_id=task.id)


def unique(words: Sequence[str]) -> list[str]:
    """Each word once, in its order."""
    return list(dict.fromkeys(words))
