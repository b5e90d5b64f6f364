"""Projects, and how far they are."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from litestar.response import Response

from aicq.auth.gate import authenticated
from aicq.errors import Conflict, Forbidden, InvalidRequest, Unprocessable
from aicq.http.contract import (
    NAMED,
    REQUEST_BYTES,
    SIGNED_OR_BEARING,
    TOKEN_OR_SIGNED,
    WITH_BODY,
    Call,
    answer,
    problems,
)
from aicq.http.paging import USUAL, Cursor, Limit, end_of, first_page, key_of
from aicq.http.resources.bodies import checked
from aicq.ids import parse_uuid
from aicq.work.controllers.calls import Asked, ProjectId
from aicq.work.models import Project
from aicq.work.repositories import Progress, ProjectFilter
from aicq.work.schemas.projects import (
    NewProject,
    ProgressShown,
    ProjectChange,
    ProjectPage,
    ProjectShown,
    Status,
)
from aicq.work.schemas.tasks import TaskShown
from aicq.work.schemas.words import show
from aicq.work.services.projects import ProjectService
from aicq.work.services.tasks import TaskService


class ProjectController(Controller):
    """Projects of agents and people."""

    path = "/v1/projects"
    tags = ("projects",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @post(
        operation_id="CreateProject",
        before_request=checked(authenticated("write"), NewProject),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def create(self, data: JSONBody[NewProject], asked: NamedDependency[Asked]) -> ProjectShown:
        """Founds a project, which the caller owns."""
        project = await ProjectService(await asked.enter()).create(data)
        return shown(project, Progress(project.id))

    @get(
        operation_id="ListProjects",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        operation_class=Call,
    )
    async def list_projects(
        self,
        asked: NamedDependency[Asked],
        owner: Annotated[UUID | None, QueryParameter(description="Only those of this owner.")] = None,
        team: Annotated[UUID | None, QueryParameter(description="Only those of this team.")] = None,
        status: Annotated[Status | None, QueryParameter(description="Only those in this status.")] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> ProjectPage:
        """Lists the projects that the caller sees, the newest first: those of no team, their own, and their teams'."""
        projects = ProjectService(await asked.enter())
        wanted = ProjectFilter(owner_id=owner, team_id=team, status=status)
        found = await projects.page(wanted, limit=limit + 1, before=end_of(cursor))
        rows, following = first_page(found, limit, key_of)
        progress = await projects.progress([project.id for project in rows])
        return ProjectPage([shown(project, progress[project.id]) for project in rows], following)

    @get(
        "/{project_id:str}",
        operation_id="GetProject",
        before_request=authenticated("read"),
        responses=problems(*NAMED),
        operation_class=Call,
    )
    async def show(self, project_id: ProjectId, asked: NamedDependency[Asked]) -> ProjectShown:
        """Shows a project, and how far it is."""
        projects = ProjectService(await asked.enter())
        return await with_progress(projects, await projects.find(parsed(project_id)))

    @patch(
        "/{project_id:str}",
        operation_id="ChangeProject",
        before_request=checked(authenticated("write"), ProjectChange),
        responses=problems(*NAMED, *WITH_BODY, Forbidden, Unprocessable),
        operation_class=Call,
    )
    async def change(
        self, project_id: ProjectId, data: JSONBody[ProjectChange], asked: NamedDependency[Asked]
    ) -> ProjectShown:
        """Changes a project of the caller; what is not given stays as it is."""
        projects = ProjectService(await asked.enter())
        return await with_progress(projects, await projects.change(parsed(project_id), data))

    @delete(
        "/{project_id:str}",
        operation_id="DeleteProject",
        before_request=authenticated("write"),
        responses=problems(*NAMED, Forbidden),
        operation_class=Call,
    )
    async def remove(self, project_id: ProjectId, asked: NamedDependency[Asked]) -> None:
        """Deletes a project of the caller with its tasks; evidence and executions stay."""
        await ProjectService(await asked.enter()).delete(parsed(project_id))

    @post(
        "/{project_id:str}/claim",
        operation_id="ClaimNextTask",
        status_code=200,
        before_request=authenticated("write"),
        responses={204: answer(None, "No task is free."), **problems(*NAMED)},
        operation_class=Call,
    )
    async def claim_next(self, project_id: ProjectId, asked: NamedDependency[Asked]) -> Response[TaskShown | None]:
        """Gives the caller the most pressing free task, and begins it. Of many who ask at once, each gets one."""
        task = await TaskService(await asked.enter()).claim_next(parsed(project_id))
        return Response(show(TaskShown, task) if task is not None else None, status_code=200 if task else 204)


async def with_progress(projects: ProjectService, project: Project) -> ProjectShown:
    """A project, and how far it is."""
    return shown(project, (await projects.progress([project.id]))[project.id])


def shown(project: Project, progress: Progress) -> ProjectShown:
    """A project as it is told."""
    figures = {name: value for name, value in msgspec.structs.asdict(progress).items() if name != "project_id"}
    told = ProgressShown(**figures | {"cost_usd": f"{progress.cost_usd:f}"})
    return show(ProjectShown, project, metadata=project.details, progress=told)


def parsed(project_id: str) -> UUID:
    """A project's id."""
    return parse_uuid(project_id, "invalid project ID format")
