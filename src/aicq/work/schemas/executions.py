"""Executions, what they come to, and the feed on the wire."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from aicq.work.schemas.words import Dollars, Line, Moment, Prose, Tokens, Word

Status = Literal["pending", "running", "success", "failure", "timeout"]
End = Literal["success", "failure", "timeout"]
CostSource = Literal["reported", "computed", "estimated"]


class NewExecution(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A run of the agent that asks.

    Args:
        task_id: The task that it is for; its project then is the task's.
        project_id: The project that it is for.
        model_provider: Whose model runs.
        model_name: Which model.
        input: What it is given.
        idempotency_key: What is asked for again under the same key is the same run.
        is_running: Whether it has begun already; else it is pending.
    """

    task_id: UUID | None = None
    project_id: UUID | None = None
    model_provider: Word | None = None
    model_name: Word | None = None
    input: dict[str, Any] | None = None
    idempotency_key: Line | None = None
    is_running: bool = True


class NewFinish(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How a run ended, and what it took.

    Args:
        status: How it ended.
        result: What it gave.
        error: What went wrong.
        evidence_id: What backs the result.
        input_tokens: What the model read. Of this and all other counts: not given is not known.
        output_tokens: What it wrote.
        cache_read_tokens: What it read from its provider's cache.
        cache_write_tokens: What it wrote there.
        reasoning_tokens: What it thought.
        cost_usd: What all of it cost; not given is not known, which is not nothing.
        cost_source: Where the cost is from; goes with it.
        price: The prices that it was computed from.
    """

    status: End
    result: dict[str, Any] | None = None
    error: Prose | None = None
    evidence_id: UUID | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_read_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    cost_usd: Dollars | None = None
    cost_source: CostSource | None = None
    price: dict[str, Any] | None = None


class ExecutionShown(msgspec.Struct):
    """A run of an agent."""

    id: UUID
    agent_id: UUID
    project_id: UUID | None
    task_id: UUID | None
    evidence_id: UUID | None
    status: Status
    model_provider: str | None
    model_name: str | None
    input: dict[str, Any] | None
    result: dict[str, Any] | None
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: str | None
    cost_source: CostSource | None
    price: dict[str, Any] | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    duration_ms: int | None


class ExecutionPage(msgspec.Struct):
    """A page of executions.

    Args:
        items: The executions, the newest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[ExecutionShown]
    next: str | None


class TotalsShown(msgspec.Struct):
    """What all runs of an agent come to.

    Args:
        agent_id: The agent.
        executions: How many there are, whatever became of them.
        successes: How many succeeded.
        failures: How many failed.
        timeouts: How many took too long.
        success_rate: The successes among those that are over, 0 to 1; null while none is.
        avg_execution_time_ms: How long they took on average; null while none is over.
        input_tokens: What their models read.
        output_tokens: What they wrote.
        cost_usd: What that cost, as far as it is known.
    """

    agent_id: UUID
    executions: int
    successes: int
    failures: int
    timeouts: int
    success_rate: float | None
    avg_execution_time_ms: float | None
    input_tokens: int
    output_tokens: int
    cost_usd: Dollars


class ActivityShown(msgspec.Struct):
    """Something that happened."""

    id: UUID
    project_id: UUID | None
    task_id: UUID | None
    actor_id: UUID | None
    activity_type: str
    summary: str
    details: dict[str, Any]
    is_public: bool
    created_at: Moment


class ActivityPage(msgspec.Struct):
    """A page of the feed.

    Args:
        items: What happened, the newest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[ActivityShown]
    next: str | None
