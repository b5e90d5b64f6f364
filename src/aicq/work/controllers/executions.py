"""Executions, what they come to, and the feed."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from aicq.auth.gate import authenticated
from aicq.errors import Conflict, Forbidden, InvalidId, InvalidRequest, NotFound, Unprocessable
from aicq.http.contract import (
    NAMED,
    REQUEST_BYTES,
    SIGNED_OR_BEARING,
    TOKEN_OR_SIGNED,
    WITH_BODY,
    Call,
    answer,
    path,
    problems,
)
from aicq.http.paging import USUAL, Cursor, Limit, end_of, first_page, key_of
from aicq.http.resources.bodies import checked
from aicq.ids import parse_uuid
from aicq.work.controllers.calls import Asked, ExecutionId, OfProject, OfTask
from aicq.work.repositories import ActivityFilter, ActivityRepository, ExecutionFilter
from aicq.work.schemas.executions import (
    ActivityPage,
    ActivityShown,
    ExecutionPage,
    ExecutionShown,
    NewExecution,
    NewFinish,
    Status,
    TotalsShown,
)
from aicq.work.schemas.words import show
from aicq.work.services.executions import ExecutionService

BAD_EXECUTION_ID = "invalid execution ID format"

AgentId = Annotated[str, path("The agent's id, a UUID.")]


class ExecutionController(Controller):
    """Runs of agents: what they were for, how they ended, what they took."""

    path = "/v1/executions"
    tags = ("executions",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @post(
        operation_id="StartExecution",
        before_request=checked(authenticated("write"), NewExecution),
        responses={
            200: answer(ExecutionShown, "It was begun under the same key before."),
            **problems(*SIGNED_OR_BEARING, *WITH_BODY, Forbidden, NotFound, Unprocessable),
        },
        operation_class=Call,
    )
    async def start(self, data: JSONBody[NewExecution], asked: NamedDependency[Asked]) -> Response[ExecutionShown]:
        """Has an agent tell that it runs. Asked for again under the same key, it is the same execution."""
        execution, is_new = await ExecutionService(await asked.enter()).start(data)
        return Response(show(ExecutionShown, execution), status_code=201 if is_new else 200)

    @get(
        operation_id="ListExecutions",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        operation_class=Call,
    )
    async def list_executions(
        self,
        asked: NamedDependency[Asked],
        agent: Annotated[UUID | None, QueryParameter(description="Only those of this agent.")] = None,
        project: OfProject = None,
        task: OfTask = None,
        status: Annotated[Status | None, QueryParameter(description="Only those in this status.")] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> ExecutionPage:
        """Lists the executions that the caller sees, the newest first."""
        wanted = ExecutionFilter(agent_id=agent, project_id=project, task_id=task, status=status)
        found = await ExecutionService(await asked.enter()).page(wanted, limit=limit + 1, before=end_of(cursor))
        rows, following = first_page(found, limit, key_of)
        return ExecutionPage([show(ExecutionShown, execution) for execution in rows], following)

    @get(
        "/{execution_id:str}",
        operation_id="GetExecution",
        before_request=authenticated("read"),
        responses=problems(*NAMED),
        operation_class=Call,
    )
    async def show(self, execution_id: ExecutionId, asked: NamedDependency[Asked]) -> ExecutionShown:
        """Shows an execution."""
        wanted = parse_uuid(execution_id, BAD_EXECUTION_ID)
        return show(ExecutionShown, await ExecutionService(await asked.enter()).find(wanted))

    @post(
        "/{execution_id:str}/run",
        operation_id="RunExecution",
        status_code=200,
        before_request=authenticated("write"),
        responses=problems(*NAMED, Forbidden, Conflict),
        operation_class=Call,
    )
    async def run(self, execution_id: ExecutionId, asked: NamedDependency[Asked]) -> ExecutionShown:
        """Begins an execution of the caller that is pending."""
        wanted = parse_uuid(execution_id, BAD_EXECUTION_ID)
        return show(ExecutionShown, await ExecutionService(await asked.enter()).run(wanted))

    @post(
        "/{execution_id:str}/finish",
        operation_id="FinishExecution",
        status_code=200,
        before_request=checked(authenticated("write"), NewFinish),
        responses=problems(*NAMED, *WITH_BODY, Forbidden, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def finish(
        self, execution_id: ExecutionId, data: JSONBody[NewFinish], asked: NamedDependency[Asked]
    ) -> ExecutionShown:
        """Ends an execution of the caller and tells what it took. Of many who end it at once, one does."""
        wanted = parse_uuid(execution_id, BAD_EXECUTION_ID)
        return show(ExecutionShown, await ExecutionService(await asked.enter()).finish(wanted, data))

    @get(
        "/totals/{agent_id:str}",
        operation_id="GetExecutionTotals",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def totals(self, agent_id: AgentId, asked: NamedDependency[Asked]) -> TotalsShown:
        """Tells what all executions of an agent come to."""
        totals = await ExecutionService(await asked.enter()).totals(parse_uuid(agent_id, "invalid agent ID format"))
        ended = totals.successes + totals.failures + totals.timeouts
        return show(
            TotalsShown,
            totals,
            success_rate=totals.successes / ended if ended else None,
            avg_execution_time_ms=totals.duration_ms / totals.timed if totals.timed else None,
        )


class ActivityController(Controller):
    """What happened, told for readers."""

    path = "/v1/activity"
    tags = ("activity",)
    security = TOKEN_OR_SIGNED

    @get(
        operation_id="ListActivity",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        operation_class=Call,
    )
    async def list_activity(
        self,
        asked: NamedDependency[Asked],
        project: OfProject = None,
        task: OfTask = None,
        actor: Annotated[UUID | None, QueryParameter(description="Only what this actor did.")] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> ActivityPage:
        """Lists what happened where the caller sees it, the newest first. It is told a moment after it happened."""
        acting = await asked.enter()
        feed = ActivityRepository(acting.session)
        wanted = ActivityFilter(project_id=project, task_id=task, actor_id=actor)
        found = await feed.page(wanted, limit=limit + 1, before=end_of(cursor), seen_by=acting.seen_by)
        rows, following = first_page(found, limit, key_of)
        return ActivityPage([show(ActivityShown, activity) for activity in rows], following)
