"""Where the feed is kept."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, literal_column, select

from aicq.db.repository import Repository
from aicq.work.models import Activity

# Spelled as the index has it.
IS_PUBLIC: ColumnElement[bool] = literal_column("is_public")


class ActivityFilter(msgspec.Struct, frozen=True):
    """Which activities are wanted; None asks for nothing."""

    project_id: UUID | None = None
    task_id: UUID | None = None
    actor_id: UUID | None = None
    since: datetime | None = None
    only_public: bool = False


class ActivityRepository(Repository[Activity]):
    """The feed."""

    model_type = Activity

    async def page(self, wanted: ActivityFilter, *, limit: int, before: UUID | None = None) -> Sequence[Activity]:
        """What happened, the newest first; only what is older than `before`."""
        statement = select(Activity).order_by(Activity.id.desc()).limit(limit)
        for name in ("project_id", "task_id", "actor_id"):
            value = getattr(wanted, name)
            if value is not None:
                statement = statement.where(getattr(Activity, name) == value)
        if wanted.since is not None:
            statement = statement.where(Activity.created_at >= wanted.since)
        if wanted.only_public:
            statement = statement.where(IS_PUBLIC)
        if before is not None:
            statement = statement.where(Activity.id < before)
        return (await self.session.scalars(statement)).all()
