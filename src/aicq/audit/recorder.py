"""Writing the audit log, in the transaction of what it tells of: both are committed, or neither."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import msgspec
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.models import AuditLog
from aicq.db.models import Model
from aicq.origin import Origin

HIDDEN = "***"

MAX_USER_AGENT = 500


async def record(
    session: AsyncSession,
    origin: Origin,
    action: str,
    *,
    resource: type[Model] | str,
    key: object,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
) -> None:
    """Adds a row to the audit log, within the session's transaction.

    Of the values only those are kept that the model lists in `__audited__`. Of any other it is told that there was one.

    Args:
        session: Commits the row together with what it tells of.
        origin: Who did it, and from where.
        action: What was done, `agents.register` for instance: a table or a part of the service, and a verb.
        resource: What it was done to: a table's model, or the name of what has no table; then no value is kept.
        key: Which one: its id, or the parts of its key.
        old: What was there, by column; of a change only what changed.
        new: What is there now.
    """
    allowed = () if isinstance(resource, str) else resource.__audited__
    await session.execute(
        insert(AuditLog).values(
            action=action,
            acted_as=origin.acted_as,
            actor_id=origin.actor_id,
            resource_type=resource if isinstance(resource, str) else resource.__tablename__,
            resource_id="/".join(map(str, key)) if isinstance(key, tuple) else str(key),
            old_values=_kept(old, allowed),
            new_values=_kept(new, allowed),
            ip_address=ip_of(origin.address),
            user_agent=origin.user_agent[:MAX_USER_AGENT] if origin.user_agent else None,
            request_id=origin.request_id,
        )
    )


def _kept(values: Mapping[str, Any] | None, allowed: tuple[str, ...]) -> dict[str, Any] | None:
    if values is None:
        return None
    hidden = {name: value if value is None or name in allowed else HIDDEN for name, value in values.items()}
    kept: dict[str, Any] = msgspec.to_builtins(hidden, enc_hook=str)
    return kept


def ip_of(text: str | None) -> Any:
    """The address as Postgres knows it; a socket's path, or nothing, is none."""
    try:
        return ip_address(text or "")
    except ValueError:
        return None
