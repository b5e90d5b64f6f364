"""What is said about tasks, and their files."""

from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from aicq.auth.gate import authenticated
from aicq.errors import Conflict, Forbidden, InvalidRequest, Unprocessable
from aicq.http.contract import NAMED, REQUEST_BYTES, TOKEN_OR_SIGNED, WITH_BODY, Call, path, problems
from aicq.http.paging import USUAL, Cursor, Limit, end_of, first_page, key_of
from aicq.http.resources.bodies import checked
from aicq.ids import parse_uuid
from aicq.work.controllers.calls import Asked, TaskName, task_name
from aicq.work.schemas.tasks import (
    AttachmentPage,
    CommentChange,
    CommentPage,
    CommentShown,
    NewAttachment,
    NewComment,
    TaskAttachmentShown,
)
from aicq.work.schemas.words import show
from aicq.work.services.discussion import DiscussionService

CommentId = Annotated[str, path("The comment's id, a UUID.")]
AttachmentId = Annotated[str, path("The file's id, a UUID.")]

BAD_COMMENT_ID = "invalid comment ID format"


class DiscussionController(Controller):
    """Comments and files of a task."""

    path = "/v1/tasks/{task:str}"
    tags = ("tasks",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @post(
        "/comments",
        operation_id="CommentOnTask",
        before_request=checked(authenticated("write"), NewComment),
        responses=problems(*NAMED, *WITH_BODY, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def say(self, task: TaskName, data: JSONBody[NewComment], asked: NamedDependency[Asked]) -> CommentShown:
        """Comments on a task."""
        return show(CommentShown, await DiscussionService(await asked.enter()).say(task_name(task), data))

    @get(
        "/comments",
        operation_id="ListComments",
        before_request=authenticated("read"),
        responses=problems(*NAMED, InvalidRequest),
        operation_class=Call,
    )
    async def comments(
        self, task: TaskName, asked: NamedDependency[Asked], limit: Limit = USUAL, cursor: Cursor = None
    ) -> CommentPage:
        """Lists what was said about a task, the oldest first."""
        found = await DiscussionService(await asked.enter()).comments(
            task_name(task), limit=limit + 1, after=end_of(cursor)
        )
        rows, following = first_page(found, limit, key_of)
        return CommentPage([show(CommentShown, comment) for comment in rows], following)

    @patch(
        "/comments/{comment_id:str}",
        operation_id="ChangeComment",
        before_request=checked(authenticated("write"), CommentChange),
        responses=problems(*NAMED, *WITH_BODY, Forbidden, Unprocessable),
        operation_class=Call,
    )
    async def correct(
        self, task: TaskName, comment_id: CommentId, data: JSONBody[CommentChange], asked: NamedDependency[Asked]
    ) -> CommentShown:
        """Changes a comment of the caller."""
        wanted = parse_uuid(comment_id, BAD_COMMENT_ID)
        return show(CommentShown, await DiscussionService(await asked.enter()).correct(task_name(task), wanted, data))

    @delete(
        "/comments/{comment_id:str}",
        operation_id="DeleteComment",
        before_request=authenticated("write"),
        responses=problems(*NAMED, Forbidden),
        operation_class=Call,
    )
    async def take_back(self, task: TaskName, comment_id: CommentId, asked: NamedDependency[Asked]) -> None:
        """Deletes a comment of the caller, or on a task of their project."""
        await DiscussionService(await asked.enter()).take_back(task_name(task), parse_uuid(comment_id, BAD_COMMENT_ID))

    @post(
        "/attachments",
        operation_id="AttachFile",
        before_request=checked(authenticated("write"), NewAttachment),
        responses=problems(*NAMED, *WITH_BODY, Unprocessable),
        operation_class=Call,
    )
    async def attach(
        self, task: TaskName, data: JSONBody[NewAttachment], asked: NamedDependency[Asked]
    ) -> TaskAttachmentShown:
        """Files something with a task: what it is, and where it lies."""
        return show(TaskAttachmentShown, await DiscussionService(await asked.enter()).attach(task_name(task), data))

    @get(
        "/attachments",
        operation_id="ListAttachments",
        before_request=authenticated("read"),
        responses=problems(*NAMED, InvalidRequest),
        operation_class=Call,
    )
    async def attachments(
        self, task: TaskName, asked: NamedDependency[Asked], limit: Limit = USUAL, cursor: Cursor = None
    ) -> AttachmentPage:
        """Lists the files of a task, the oldest first."""
        found = await DiscussionService(await asked.enter()).attachments(
            task_name(task), limit=limit + 1, after=end_of(cursor)
        )
        rows, following = first_page(found, limit, key_of)
        return AttachmentPage([show(TaskAttachmentShown, attachment) for attachment in rows], following)

    @delete(
        "/attachments/{attachment_id:str}",
        operation_id="DetachFile",
        before_request=authenticated("write"),
        responses=problems(*NAMED, Forbidden),
        operation_class=Call,
    )
    async def detach(self, task: TaskName, attachment_id: AttachmentId, asked: NamedDependency[Asked]) -> None:
        """Forgets a file of the caller, or of a task of their project; where it lies it stays."""
        wanted = parse_uuid(attachment_id, "invalid attachment ID format")
        await DiscussionService(await asked.enter()).detach(task_name(task), wanted)
