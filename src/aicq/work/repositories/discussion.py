"""Where comments and attachments are kept."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select

from aicq.db.repository import Repository
from aicq.work.models import TaskAttachment, TaskComment


class CommentFilter(msgspec.Struct, frozen=True):
    """Which comments are wanted; None asks for nothing."""

    task_id: UUID | None = None
    author_id: UUID | None = None
    since: datetime | None = None


class CommentRepository(Repository[TaskComment]):
    """What was said about tasks."""

    model_type = TaskComment

    async def find(self, comment_id: UUID) -> TaskComment | None:
        """The comment with this id."""
        return await self.session.get(TaskComment, comment_id)

    async def page(self, wanted: CommentFilter, *, limit: int, after: UUID | None = None) -> Sequence[TaskComment]:
        """Comments, the oldest first, as they are read; only those newer than `after`."""
        statement = select(TaskComment).order_by(TaskComment.id).limit(limit)
        if wanted.task_id is not None:
            statement = statement.where(TaskComment.task_id == wanted.task_id)
        if wanted.author_id is not None:
            statement = statement.where(TaskComment.author_id == wanted.author_id)
        if wanted.since is not None:
            statement = statement.where(TaskComment.created_at >= wanted.since)
        if after is not None:
            statement = statement.where(TaskComment.id > after)
        return (await self.session.scalars(statement)).all()


class AttachmentRepository(Repository[TaskAttachment]):
    """Files of tasks."""

    model_type = TaskAttachment

    async def find(self, attachment_id: UUID) -> TaskAttachment | None:
        """The attachment with this id."""
        return await self.session.get(TaskAttachment, attachment_id)

    async def page(self, task_id: UUID, *, limit: int, after: UUID | None = None) -> Sequence[TaskAttachment]:
        """A task's files, the oldest first; only those newer than `after`."""
        statement = select(TaskAttachment).where(TaskAttachment.task_id == task_id)
        if after is not None:
            statement = statement.where(TaskAttachment.id > after)
        return (await self.session.scalars(statement.order_by(TaskAttachment.id).limit(limit))).all()

    async def of_evidence(self, evidence_ids: Sequence[UUID]) -> Sequence[TaskAttachment]:
        """The files that these pieces of evidence stand on; one statement for all."""
        statement = select(TaskAttachment).where(TaskAttachment.evidence_id.in_(evidence_ids))
        return (await self.session.scalars(statement.order_by(TaskAttachment.id))).all()
