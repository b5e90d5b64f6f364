"""What evidence and executions are about: a task and thereby its project, or a project alone."""

from uuid import UUID

from aicq.errors import NotFound, Unprocessable
from aicq.work.repositories import ProjectRepository, TaskRepository
from aicq.work.services.acting import Acting


async def see_subject(acting: Acting, project_id: UUID | None, task_id: UUID | None) -> None:
    """Looks whether the caller sees what something is to be about.

    Raises:
        NotFound: There is no such task or project that they see.
        Unprocessable: The task is of another project.
    """
    if task_id is not None:
        task = await TaskRepository(acting.session).find(task_id, seen_by=acting.seen_by)
        if task is None:
            raise NotFound("task not found", field="task_id")
        if project_id not in {None, task.project_id}:
            raise Unprocessable("the task is of another project", field="project_id")
    elif project_id is not None:
        project = await ProjectRepository(acting.session).find(project_id, seen_by=acting.seen_by)
        if project is None:
            raise NotFound("project not found", field="project_id")
