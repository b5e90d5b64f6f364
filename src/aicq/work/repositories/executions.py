"""Where executions are kept, and what they came to."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert

from aicq.db.repository import Repository
from aicq.work.models import Execution, ExecutionTotals
from aicq.work.repositories.visibility import is_seen_within


class ExecutionFilter(msgspec.Struct, frozen=True):
    """Which executions are wanted; None asks for nothing."""

    agent_id: UUID | None = None
    project_id: UUID | None = None
    task_id: UUID | None = None
    status: str | None = None


class Finish(msgspec.Struct, frozen=True):
    """How an execution ended, and what it took.

    Args:
        status: `success`, `failure` or `timeout`.
        result: What it gave.
        error: What went wrong.
        evidence_id: What backs the result.
        input_tokens: What the model read; None if unknown. The same holds for the other counts.
        output_tokens: What it wrote.
        cache_read_tokens: What it read from its provider's cache.
        cache_write_tokens: What it wrote there.
        reasoning_tokens: What it thought.
        cost_usd: What all of it cost, in US dollars; None if unknown.
        cost_source: `reported` by the provider, `computed` from a price list, or `estimated`.
        price: The prices that the cost was computed from.
    """

    status: str
    result: Any = None
    error: str | None = None
    evidence_id: UUID | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: Decimal | None = None
    cost_source: str | None = None
    price: Any = None


class Spending(msgspec.Struct, frozen=True):
    """What an agent's executions of a period came to.

    Args:
        agent_id: The agent.
        executions: How many there were.
        input_tokens: What their models read.
        output_tokens: What they wrote.
        cost_usd: What it cost in US dollars, as far as it is known.
        unpriced: How many are over whose cost nobody knows.
    """

    agent_id: UUID
    executions: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    unpriced: int


class ExecutionRepository(Repository[Execution]):
    """Runs of agents."""

    model_type = Execution

    async def find(self, execution_id: UUID, *, seen_by: UUID | None = None) -> Execution | None:
        """The execution with this id, if the actor sees it."""
        return await self.session.scalar(select(Execution).where(Execution.id == execution_id, is_visible(seen_by)))

    async def find_by_key(self, agent_id: UUID, key: str) -> Execution | None:
        """The execution that an agent began under this key."""
        statement = select(Execution).where(Execution.agent_id == agent_id, Execution.idempotency_key == key)
        return await self.session.scalar(statement)

    async def start(self, values: dict[str, Any], *, is_running: bool = False) -> Execution | None:
        """Adds an execution, pending or running; None if the agent has begun one under the same key."""
        if is_running:
            values = {**values, "status": "running", "started_at": func.now()}
        key = Execution.idempotency_key
        statement = (
            insert(Execution)
            .values(values)
            .on_conflict_do_nothing(index_elements=["agent_id", "idempotency_key"], index_where=key.is_not(None))
        )
        return await self.session.scalar(statement.returning(Execution))

    async def run(self, execution_id: UUID) -> Execution | None:
        """Begins a pending execution; None if it is not pending any more."""
        statement = update(Execution).where(Execution.id == execution_id, Execution.status == "pending")
        return await self.changed(statement.values(status="running", started_at=func.now()))

    async def finish(self, execution_id: UUID, how: Finish) -> Execution | None:
        """Ends an execution; None if it is over already. Of many who end it at once, one does."""
        statement = update(Execution).where(Execution.id == execution_id, Execution.status.in_(["pending", "running"]))
        values = {**msgspec.structs.asdict(how), "finished_at": func.greatest(func.now(), Execution.started_at)}
        return await self.changed(statement.values(values))

    async def page(
        self, wanted: ExecutionFilter, *, limit: int, before: UUID | None = None, seen_by: UUID | None = None
    ) -> Sequence[Execution]:
        """Executions that the actor sees, the newest first; only those older than `before`."""
        statement = select(Execution).where(is_visible(seen_by)).order_by(Execution.id.desc()).limit(limit)
        for name in ("agent_id", "project_id", "task_id", "status"):
            value = getattr(wanted, name)
            if value is not None:
                statement = statement.where(getattr(Execution, name) == value)
        if before is not None:
            statement = statement.where(Execution.id < before)
        return (await self.session.scalars(statement)).all()

    async def totals(self, agent_ids: Sequence[UUID]) -> dict[UUID, ExecutionTotals]:
        """What all executions of each of these agents come to; one statement for all."""
        statement = select(ExecutionTotals).where(ExecutionTotals.agent_id.in_(agent_ids))
        return {row.agent_id: row for row in await self.session.scalars(statement)}

    async def spent_between(self, since: datetime, until: datetime) -> Sequence[Spending]:
        """What each agent's executions of a period came to, the dearest first."""
        cost = func.coalesce(func.sum(Execution.cost_usd), 0)
        is_unpriced = Execution.finished_at.is_not(None) & Execution.cost_usd.is_(None)
        statement = (
            select(
                Execution.agent_id,
                func.count(),
                func.coalesce(func.sum(Execution.input_tokens), 0),
                func.coalesce(func.sum(Execution.output_tokens), 0),
                cost,
                func.count().filter(is_unpriced),
            )
            .where(Execution.created_at >= since, Execution.created_at < until)
            .group_by(Execution.agent_id)
            .order_by(cost.desc(), Execution.agent_id)
        )
        return [
            Spending(agent_id, count, int(read or 0), int(written or 0), cost_usd or Decimal(0), unpriced)
            for agent_id, count, read, written, cost_usd, unpriced in await self.session.execute(statement)
        ]


def is_visible(seen_by: UUID | None) -> ColumnElement[bool]:
    """Whether an actor sees an execution: they see its project, or it is their own."""
    return is_seen_within(Execution.project_id, seen_by, Execution.agent_id)
