"""What is said about tasks, and the files that belong to them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import update

from aicq.errors import NotFound
from aicq.http.resources.fields import given
from aicq.work.models import Task, TaskAttachment, TaskComment
from aicq.work.repositories import (
    AttachmentRepository,
    CommentFilter,
    CommentRepository,
    EvidenceRepository,
    ProjectRepository,
)
from aicq.work.schemas.tasks import CommentChange, NewAttachment, NewComment
from aicq.work.services.acting import Acting
from aicq.work.services.tasks import TaskService


class DiscussionService:
    """What an actor can say about tasks, and file with them.

    Args:
        acting: Who asks, within which transaction.
    """

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._tasks = TaskService(acting)
        self._comments = CommentRepository(acting.session)
        self._attachments = AttachmentRepository(acting.session)

    async def say(self, task_name: UUID | str, wanted: NewComment) -> TaskComment:
        """Comments on a task.

        Raises:
            NotFound: There is none that the caller sees.
        """
        task = await self._tasks.find(task_name)
        values = given(wanted)
        if values["is_ai_generated"] is None:
            values["is_ai_generated"] = self._acting.caller.kind == "agent"
        comment = await self._comments.added(
            id=self._acting.new_id(), task_id=task.id, author_id=self._acting.caller.id, **values
        )
        self._tell("task_commented", f"commented on {task.code}", task)
        return comment

    async def comments(self, task_name: UUID | str, *, limit: int, after: UUID | None) -> Sequence[TaskComment]:
        """What was said about a task, the oldest first.

        Raises:
            NotFound: There is none that the caller sees.
        """
        task = await self._tasks.find(task_name)
        return await self._comments.page(CommentFilter(task_id=task.id), limit=limit, after=after)

    async def correct(self, task_name: UUID | str, comment_id: UUID, change: CommentChange) -> TaskComment:
        """Changes a comment of one's own.

        Raises:
            NotFound: There is none on a task that the caller sees.
            Forbidden: It is somebody else's.
        """
        _, comment = await self._comment(task_name, comment_id)
        self._acting.require(comment.author_id, otherwise="the comment is not yours")
        old, new = {"body": comment.body}, given(change)
        await self._comments.changed(update(TaskComment).where(TaskComment.id == comment_id).values(new))
        await self._acting.record("update", TaskComment, comment_id, old=old, new=new)
        return comment

    async def take_back(self, task_name: UUID | str, comment_id: UUID) -> None:
        """Deletes a comment.

        Raises:
            NotFound: There is none on a task that the caller sees.
            Forbidden: It is not theirs, nor is the project.
        """
        task, comment = await self._comment(task_name, comment_id)
        self._acting.require(comment.author_id, await self._owner(task), otherwise="the comment is not yours")
        await self._acting.session.delete(comment)
        await self._acting.record("delete", TaskComment, comment_id, old={"task_id": task.id, "body": comment.body})

    async def attach(self, task_name: UUID | str, wanted: NewAttachment) -> TaskAttachment:
        """Files something with a task.

        Raises:
            NotFound: There is no such task, or no such evidence, that the caller sees.
        """
        task = await self._tasks.find(task_name)
        if wanted.evidence_id is not None:
            evidence = EvidenceRepository(self._acting.session)
            if await evidence.find(wanted.evidence_id, seen_by=self._acting.seen_by) is None:
                raise NotFound("evidence not found", field="evidence_id")
        attachment = await self._attachments.added(
            id=self._acting.new_id(), task_id=task.id, uploaded_by=self._acting.caller.id, **given(wanted)
        )
        self._tell("file_attached", f"attached {attachment.file_name} to {task.code}", task)
        return attachment

    async def attachments(self, task_name: UUID | str, *, limit: int, after: UUID | None) -> Sequence[TaskAttachment]:
        """The files of a task, the oldest first.

        Raises:
            NotFound: There is none that the caller sees.
        """
        task = await self._tasks.find(task_name)
        return await self._attachments.page(task.id, limit=limit, after=after)

    async def detach(self, task_name: UUID | str, attachment_id: UUID) -> None:
        """Forgets a file.

        Raises:
            NotFound: There is none with a task that the caller sees.
            Forbidden: It is not theirs, nor is the project.
        """
        task = await self._tasks.find(task_name)
        attachment = await self._attachments.find(attachment_id)
        if attachment is None or attachment.task_id != task.id:
            raise NotFound("attachment not found")
        self._acting.require(attachment.uploaded_by, await self._owner(task), otherwise="the file is not yours")
        await self._acting.session.delete(attachment)
        old = {"task_id": task.id, "file_name": attachment.file_name, "storage_path": attachment.storage_path}
        await self._acting.record("delete", TaskAttachment, attachment_id, old=old)

    async def _comment(self, task_name: UUID | str, comment_id: UUID) -> tuple[Task, TaskComment]:
        task = await self._tasks.find(task_name)
        comment = await self._comments.find(comment_id)
        if comment is None or comment.task_id != task.id:
            raise NotFound("comment not found")
        return task, comment

    async def _owner(self, task: Task) -> UUID | None:
        return await ProjectRepository(self._acting.session).owner_of(task.project_id)

    def _tell(self, activity_type: str, summary: str, task: Task) -> None:
        self._acting.tell(activity_type, summary, project_id=task.project_id, task_id=task.id)
