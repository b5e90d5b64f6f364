"""Tasks: adding, finding, claiming and moving them."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from aicq.auth.gate import authenticated
from aicq.errors import Conflict, Forbidden, InvalidRequest, NotFound, Unprocessable
from aicq.http.contract import NAMED, REQUEST_BYTES, SIGNED_OR_BEARING, TOKEN_OR_SIGNED, WITH_BODY, Call, problems
from aicq.http.paging import USUAL, Cursor, Limit, end_of, first_page, key_of
from aicq.http.resources.bodies import checked
from aicq.work.controllers.calls import Asked, OfProject, TaskName, task_name, words_of
from aicq.work.repositories import TaskFilter
from aicq.work.schemas.tasks import Assignment, Move, NewTask, Priority, Status, TaskChange, TaskPage, TaskShown, Type
from aicq.work.schemas.words import show
from aicq.work.services.tasks import TaskService


class TaskController(Controller):
    """Tasks of projects."""

    path = "/v1/tasks"
    tags = ("tasks",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @post(
        operation_id="CreateTask",
        before_request=checked(authenticated("write"), NewTask),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, NotFound, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def create(self, data: JSONBody[NewTask], asked: NamedDependency[Asked]) -> TaskShown:
        """Adds a task to a project."""
        return show(TaskShown, await TaskService(await asked.enter()).create(data))

    @get(
        operation_id="ListTasks",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        operation_class=Call,
    )
    async def list_tasks(
        self,
        asked: NamedDependency[Asked],
        project: OfProject = None,
        status: Annotated[Status | None, QueryParameter(description="Only those in this status.")] = None,
        type: Annotated[Type | None, QueryParameter(description="Only those of this type.")] = None,  # noqa: A002 - the parameter's name
        priority: Annotated[Priority | None, QueryParameter(description="Only those of this priority.")] = None,
        assignee: Annotated[UUID | None, QueryParameter(description="Only those of this actor.")] = None,
        label: Annotated[
            list[str] | None, QueryParameter(description="Only those with this label; repeatable.")
        ] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> TaskPage:
        """Lists the tasks that the caller sees, the newest first."""
        wanted = TaskFilter(
            project_id=project,
            status=status,
            type=type,
            priority=priority,
            assignee_id=assignee,
            labels=words_of(label, "label"),
        )
        found = await TaskService(await asked.enter()).page(wanted, limit=limit + 1, before=end_of(cursor))
        rows, following = first_page(found, limit, key_of)
        return TaskPage([show(TaskShown, task) for task in rows], following)

    @get(
        "/{task:str}",
        operation_id="GetTask",
        before_request=authenticated("read"),
        responses=problems(*NAMED),
        operation_class=Call,
    )
    async def show(self, task: TaskName, asked: NamedDependency[Asked]) -> TaskShown:
        """Shows a task."""
        return show(TaskShown, await TaskService(await asked.enter()).find(task_name(task)))

    @patch(
        "/{task:str}",
        operation_id="ChangeTask",
        before_request=checked(authenticated("write"), TaskChange),
        responses=problems(*NAMED, *WITH_BODY, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def change(self, task: TaskName, data: JSONBody[TaskChange], asked: NamedDependency[Asked]) -> TaskShown:
        """Changes what a task is about; what is not given stays as it is."""
        return show(TaskShown, await TaskService(await asked.enter()).change(task_name(task), data))

    @post(
        "/{task:str}/claim",
        operation_id="ClaimTask",
        status_code=200,
        before_request=authenticated("write"),
        responses=problems(*NAMED, Conflict),
        operation_class=Call,
    )
    async def claim(self, task: TaskName, asked: NamedDependency[Asked]) -> TaskShown:
        """Gives the caller a task that is free, and begins it. Of many who claim it at once, one gets it."""
        return show(TaskShown, await TaskService(await asked.enter()).claim(task_name(task)))

    @put(
        "/{task:str}/assignee",
        operation_id="AssignTask",
        before_request=checked(authenticated("write"), Assignment),
        responses=problems(*NAMED, *WITH_BODY, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def assign(self, task: TaskName, data: JSONBody[Assignment], asked: NamedDependency[Asked]) -> TaskShown:
        """Hands a task to an actor who sees it, or to nobody."""
        return show(TaskShown, await TaskService(await asked.enter()).assign(task_name(task), data.assignee_id))

    @put(
        "/{task:str}/status",
        operation_id="MoveTask",
        before_request=checked(authenticated("write"), Move),
        responses=problems(*NAMED, *WITH_BODY, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def move(self, task: TaskName, data: JSONBody[Move], asked: NamedDependency[Asked]) -> TaskShown:
        """Puts a task into another status, if that one may follow."""
        return show(TaskShown, await TaskService(await asked.enter()).move(task_name(task), data.status))

    @delete(
        "/{task:str}",
        operation_id="DeleteTask",
        before_request=authenticated("write"),
        responses=problems(*NAMED, Forbidden),
        operation_class=Call,
    )
    async def remove(self, task: TaskName, asked: NamedDependency[Asked]) -> None:
        """Deletes a task that the caller has made, or of a project of theirs; evidence and executions stay."""
        await TaskService(await asked.enter()).delete(task_name(task))
