"""The audit log: rows are added and never change. A trigger refuses UPDATE, DELETE and TRUNCATE (migration 0004)."""

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Text, func, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class AuditLog(Model):
    """One thing that was done. It points at nothing with a foreign key, so that nothing it tells of has to stay."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        CheckConstraint("acted_as IN ('agent', 'user', 'admin', 'system')", name="acted_as"),
        CheckConstraint("is_immutable", name="is_immutable"),
        # /admin/audit_logs: what an actor has done.
        Index("ix_audit_logs_actor_id_seq", "actor_id", "seq", postgresql_where=text("actor_id IS NOT NULL")),
        # /admin/audit_logs: all of one kind.
        Index("ix_audit_logs_action_seq", "action", "seq"),
        # /admin/audit_logs: what was done to a thing, or to all things of a table.
        Index("ix_audit_logs_resource_type_resource_id_seq", "resource_type", "resource_id", "seq"),
        # /admin/audit_logs: what was done in a period.
        Index("ix_audit_logs_created_at", "created_at"),
    )

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    id: Mapped[UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    action: Mapped[str] = mapped_column(Text)
    acted_as: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[UUID | None]
    resource_type: Mapped[str] = mapped_column(Text)
    resource_id: Mapped[str] = mapped_column(Text)
    old_values: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    new_values: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    ip_address: Mapped[IPv4Address | IPv6Address | None] = mapped_column(INET)
    user_agent: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    xid: Mapped[int] = mapped_column(BigInteger, server_default=text("((pg_current_xact_id())::text)::bigint"))
    is_immutable: Mapped[bool] = mapped_column(server_default=text("true"))
