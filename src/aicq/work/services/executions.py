"""Executions: agents tell that they run, and what it took."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from aicq.errors import Conflict, Forbidden, NotFound, Unprocessable
from aicq.http.resources.fields import given
from aicq.work.models import Execution, ExecutionTotals
from aicq.work.repositories import (
    EvidenceRepository,
    ExecutionFilter,
    ExecutionRepository,
    Finish,
)
from aicq.work.schemas.executions import NewExecution, NewFinish
from aicq.work.services.acting import Acting
from aicq.work.services.subjects import see_subject


class ExecutionService:
    """What an agent can do about its executions.

    Args:
        acting: Who asks, within which transaction.
    """

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._executions = ExecutionRepository(acting.session)

    async def start(self, wanted: NewExecution) -> tuple[Execution, bool]:
        """Begins an execution of the caller, or only says that it will.

        Returns:
            The execution, and whether it is new: one that was begun under the same key is found again.

        Raises:
            Forbidden: The caller is no agent.
            NotFound: There is no such task or project that the caller sees.
            Unprocessable: The task is of another project.
        """
        if self._acting.caller.kind != "agent":
            raise Forbidden("only agents run")
        await see_subject(self._acting, wanted.project_id, wanted.task_id)
        values = given(wanted)
        is_running = values.pop("is_running")
        values |= {"id": self._acting.new_id(), "agent_id": self._acting.caller.id}
        execution = await self._executions.start(values, is_running=is_running)
        if execution is not None:
            return execution, True
        known = await self._executions.find_by_key(self._acting.caller.id, wanted.idempotency_key or "")
        if known is None:
            raise NotFound("execution not found")
        return known, False

    async def run(self, execution_id: UUID) -> Execution:
        """Begins an execution that is pending.

        Raises:
            NotFound: There is none that the caller sees.
            Forbidden: It is another agent's.
            Conflict: It is not pending.
        """
        await self._own(execution_id)
        execution = await self._executions.run(execution_id)
        if execution is None:
            raise Conflict("the execution is not pending")
        return execution

    async def finish(self, execution_id: UUID, wanted: NewFinish) -> Execution:
        """Ends an execution and tells what it took; its agent's totals move in the same transaction.

        Raises:
            NotFound: There is none that the caller sees, or no such evidence.
            Forbidden: It is another agent's.
            Conflict: It is over already.
            Unprocessable: There is a cost without a source, or a source without a cost.
        """
        await self._own(execution_id)
        if (wanted.cost_usd is None) != (wanted.cost_source is None):
            raise Unprocessable("cost_usd and cost_source go together", field="cost_source")
        if wanted.evidence_id is not None:
            evidence = EvidenceRepository(self._acting.session)
            if await evidence.find(wanted.evidence_id, seen_by=self._acting.seen_by) is None:
                raise NotFound("evidence not found", field="evidence_id")
        cost = Decimal(wanted.cost_usd) if wanted.cost_usd is not None else None
        execution = await self._executions.finish(execution_id, Finish(**{**given(wanted), "cost_usd": cost}))
        if execution is None:
            raise Conflict("the execution is over already")
        told = f"ended a run in {execution.status}"
        self._acting.tell("execution_finished", told, project_id=execution.project_id, task_id=execution.task_id)
        return execution

    async def find(self, execution_id: UUID) -> Execution:
        """An execution that the caller sees.

        Raises:
            NotFound: There is none.
        """
        execution = await self._executions.find(execution_id, seen_by=self._acting.seen_by)
        if execution is None:
            raise NotFound("execution not found")
        return execution

    async def page(self, wanted: ExecutionFilter, *, limit: int, before: UUID | None) -> Sequence[Execution]:
        """Executions that the caller sees, the newest first."""
        return await self._executions.page(wanted, limit=limit, before=before, seen_by=self._acting.seen_by)

    async def totals(self, agent_id: UUID) -> ExecutionTotals:
        """What all executions of an agent come to.

        Raises:
            NotFound: It has none.
        """
        totals = await self._executions.totals([agent_id])
        if agent_id not in totals:
            raise NotFound("no executions of this agent")
        return totals[agent_id]

    async def _own(self, execution_id: UUID) -> Execution:
        execution = await self.find(execution_id)
        self._acting.require(execution.agent_id, otherwise="the execution is another agent's")
        return execution
