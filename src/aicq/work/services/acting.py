"""Who asks for work to be done, and within which transaction: what every service of work is given."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.auth.principal import Principal
from aicq.db.models import Model
from aicq.errors import Forbidden
from aicq.ids import new_row_id
from aicq.origin import Origin
from aicq.work.feed import Feed

MANAGERS = frozenset({"admin", "manager"})


class Acting(msgspec.Struct, frozen=True):
    """Who asks, within which transaction.

    Args:
        session: The transaction.
        caller: Who asks.
        origin: Who asks and from where, for the audit log.
        feed: Is told what happened.
        now: Unix time in milliseconds.
    """

    session: AsyncSession
    caller: Principal
    origin: Origin
    feed: Feed
    now: int

    @property
    def is_manager(self) -> bool:
        """Whether they may do everywhere what owners may do in their projects."""
        return self.caller.role in MANAGERS

    @property
    def seen_by(self) -> UUID | None:
        """Whose eyes see; None sees all."""
        return None if self.is_manager else self.caller.id

    def new_id(self) -> UUID:
        """An id for a new row."""
        return new_row_id(self.now)

    def require(self, *allowed: UUID | None, otherwise: str) -> None:
        """Lets managers pass, and these.

        Raises:
            Forbidden: They are none of them.
        """
        if not self.is_manager and self.caller.id not in allowed:
            raise Forbidden(otherwise)

    async def record(
        self,
        verb: str,
        model: type[Model],
        key: object,
        *,
        old: Mapping[str, Any] | None = None,
        new: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes the audit log, within the transaction."""
        action = f"{model.__tablename__}.{verb}"
        await record(self.session, self.origin, action, resource=model, key=key, old=old, new=new)

    def tell(
        self, activity_type: str, summary: str, *, project_id: UUID | None = None, task_id: UUID | None = None
    ) -> None:
        """Tells the feed, once the transaction has committed."""
        self.feed.tell(
            self.session,
            id=self.new_id(),
            project_id=project_id,
            task_id=task_id,
            actor_id=self.caller.id,
            activity_type=activity_type,
            summary=summary,
        )
