"""Where the feed is kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, insert, literal_column, select

from aicq.db.repository import Repository
from aicq.work.models import Activity, Project
from aicq.work.repositories.visibility import is_seen_within

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

    async def write(self, batch: Sequence[dict[str, Any]]) -> None:
        """Adds what happened. Everybody may read what happened in projects that are no team's."""
        wanted = {told["project_id"] for told in batch}
        open_to_all = select(Project.id).where(Project.id.in_(wanted), Project.team_id.is_(None))
        public = set(await self.session.scalars(open_to_all))
        rows = [told | {"is_public": told["project_id"] in public} for told in batch]
        await self.session.execute(insert(Activity), rows)

    async def page(
        self, wanted: ActivityFilter, *, limit: int, before: UUID | None = None, seen_by: UUID | None = None
    ) -> Sequence[Activity]:
        """What happened where the actor sees it, the newest first; only what is older than `before`."""
        seen = is_seen_within(Activity.project_id, seen_by, Activity.actor_id)
        statement = select(Activity).where(seen).order_by(Activity.id.desc()).limit(limit)
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
