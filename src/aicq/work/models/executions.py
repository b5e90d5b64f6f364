"""One run of an agent with its tokens and its cost, and what an agent's runs come to."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, Numeric, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Execution(Model):
    """One run of an agent. What it cost is exact, and unknown is not nothing."""

    __tablename__ = "agent_executions"
    __audited__ = (
        "agent_id",
        "project_id",
        "task_id",
        "evidence_id",
        "status",
        "model_provider",
        "model_name",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cost_usd",
        "cost_source",
    )
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'running', 'success', 'failure', 'timeout')", name="status"),
        CheckConstraint("status <> 'pending' OR started_at IS NULL", name="pending_has_not_started"),
        CheckConstraint("status <> 'running' OR started_at IS NOT NULL", name="running_has_started"),
        CheckConstraint(
            "(status IN ('success', 'failure', 'timeout')) = (finished_at IS NOT NULL)",
            name="the_finished_have_their_time",
        ),
        CheckConstraint("finished_at >= started_at", name="finish_follows_start"),
        CheckConstraint("jsonb_typeof(input) = 'object'", name="input"),
        CheckConstraint("jsonb_typeof(result) = 'object'", name="result"),
        CheckConstraint("jsonb_typeof(price) = 'object'", name="price"),
        CheckConstraint("input_tokens >= 0", name="input_tokens"),
        CheckConstraint("output_tokens >= 0", name="output_tokens"),
        CheckConstraint("cache_read_tokens >= 0", name="cache_read_tokens"),
        CheckConstraint("cache_write_tokens >= 0", name="cache_write_tokens"),
        CheckConstraint("reasoning_tokens >= 0", name="reasoning_tokens"),
        CheckConstraint("cost_usd BETWEEN 0 AND 999999999", name="cost_usd"),
        CheckConstraint("cost_source IN ('reported', 'computed', 'estimated')", name="cost_source"),
        CheckConstraint("(cost_usd IS NULL) = (cost_source IS NULL)", name="cost_has_its_source"),
        Index("ix_agent_executions_agent_id", "agent_id", "id"),  # ExecutionRepository.page; the RESTRICT
        Index(
            "ix_agent_executions_task_id",  # ExecutionRepository.page; the foreign key's SET NULL
            "task_id",
            "id",
            postgresql_where=text("task_id IS NOT NULL"),
        ),
        Index(
            "ix_agent_executions_project_id",  # ExecutionRepository.page; the foreign key's SET NULL
            "project_id",
            "id",
            postgresql_where=text("project_id IS NOT NULL"),
        ),
        Index(
            "ix_agent_executions_evidence_id",  # the foreign key's SET NULL
            "evidence_id",
            postgresql_where=text("evidence_id IS NOT NULL"),
        ),
        Index("ix_agent_executions_status", "status", "id"),  # ExecutionRepository.page
        Index(
            "uq_agent_executions_agent_id_idempotency_key",  # ExecutionRepository.start
            "agent_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("actors.id", ondelete="RESTRICT"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    evidence_id: Mapped[UUID | None] = mapped_column(ForeignKey("evidence.id", ondelete="SET NULL"))
    status: Mapped[str] = mapped_column(Text, server_default="pending")
    idempotency_key: Mapped[str | None] = mapped_column(Text)
    model_provider: Mapped[str | None] = mapped_column(Text)
    model_name: Mapped[str | None] = mapped_column(Text)
    input: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[str | None] = mapped_column(Text)
    input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    output_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cache_read_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cache_write_tokens: Mapped[int | None] = mapped_column(BigInteger)
    reasoning_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cost_usd: Mapped[Decimal | None] = mapped_column(Numeric(18, 9))
    cost_source: Mapped[str | None] = mapped_column(Text)
    price: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        index=True,  # ExecutionRepository.spent_between
    )
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None] = mapped_column(
        BigInteger,
        Computed("((EXTRACT(epoch FROM (finished_at - started_at)) * 1000)::bigint)", persisted=True),
    )


class ExecutionTotals(Model):
    """What an agent's executions come to. A trigger writes it, and nothing else."""

    __tablename__ = "execution_totals"

    agent_id: Mapped[UUID] = mapped_column(ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True)
    executions: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    successes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    failures: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    timeouts: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    timed: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    duration_ms: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    input_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    output_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    cost_usd: Mapped[Decimal] = mapped_column(Numeric(24, 9), server_default=text("0"))
