"""Tasks, what is said about them, and their files on the wire."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aicq.work.schemas.words import Line, Moment, Prose, Said, Words

Type = Literal["bug", "feature", "refactor", "test", "documentation", "task", "chore"]
Status = Literal["open", "in_progress", "in_review", "blocked", "closed", "draft"]
Priority = Literal["critical", "high", "medium", "low"]
Number = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class NewTask(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new task; it is nobody's yet.

    Args:
        project_id: The project that it belongs to, for good.
        title: What is to be done, in a line.
        description: What is to be done, in full.
        type: What kind of work it is.
        status: A draft is nobody's to claim yet.
        priority: How pressing it is.
        labels: Words to find it by.
        github_issue_number: The issue that it is on GitHub.
        github_pr_number: The pull request that it is for on GitHub.
    """

    project_id: UUID
    title: Line
    description: Prose | None = None
    type: Type = "task"
    status: Literal["open", "draft"] = "open"
    priority: Priority = "medium"
    labels: Words = []
    github_issue_number: Number | None = None
    github_pr_number: Number | None = None


class TaskChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A change of what a task is about; what is not given stays as it is.

    Args:
        title: What is to be done, in a line.
        description: What is to be done, in full.
        type: What kind of work it is.
        priority: How pressing it is.
        labels: Words to find it by.
        github_issue_number: The issue that it is on GitHub.
        github_pr_number: The pull request that it is for on GitHub.
        ai_analysis: What a model makes of it.
        ai_suggestions: What a model suggests.
    """

    title: Line | UnsetType = UNSET
    description: Prose | UnsetType | None = UNSET
    type: Type | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    labels: Words | UnsetType = UNSET
    github_issue_number: Number | UnsetType | None = UNSET
    github_pr_number: Number | UnsetType | None = UNSET
    ai_analysis: dict[str, Any] | list[Any] | UnsetType | None = UNSET
    ai_suggestions: dict[str, Any] | list[Any] | UnsetType | None = UNSET


class Move(msgspec.Struct, forbid_unknown_fields=True):
    """Where a task is to go.

    Args:
        status: The status.
    """

    status: Status


class Assignment(msgspec.Struct, forbid_unknown_fields=True):
    """Who is to do a task.

    Args:
        assignee_id: The actor; null: nobody.
    """

    assignee_id: UUID | None


class TaskShown(msgspec.Struct):
    """A task."""

    id: UUID
    code: str
    project_id: UUID
    title: str
    description: str | None
    type: Type
    status: Status
    priority: Priority
    labels: list[str]
    created_by: UUID | None
    assignee_id: UUID | None
    github_issue_number: int | None
    github_pr_number: int | None
    ai_analysis: dict[str, Any] | list[Any] | None
    ai_suggestions: dict[str, Any] | list[Any] | None
    created_at: Moment
    updated_at: Moment
    started_at: Moment | None
    closed_at: Moment | None


class TaskPage(msgspec.Struct):
    """A page of tasks.

    Args:
        items: The tasks, the newest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[TaskShown]
    next: str | None


class NewComment(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Something to say about a task.

    Args:
        body: What is said.
        github_comment_id: The comment that it is on GitHub.
        is_ai_generated: Whether a model wrote it; if not given, whether an agent says it.
        ai_metadata: How the model came to it.
    """

    body: Said
    github_comment_id: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    is_ai_generated: bool | None = None
    ai_metadata: dict[str, Any] | None = None


class CommentChange(msgspec.Struct, forbid_unknown_fields=True):
    """What a comment is to say instead.

    Args:
        body: What is said.
    """

    body: Said


class CommentShown(msgspec.Struct):
    """A comment."""

    id: UUID
    task_id: UUID
    author_id: UUID
    body: str
    github_comment_id: int | None
    is_ai_generated: bool
    ai_metadata: dict[str, Any] | None
    created_at: Moment
    updated_at: Moment


class CommentPage(msgspec.Struct):
    """A page of comments.

    Args:
        items: The comments, the oldest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[CommentShown]
    next: str | None


class NewAttachment(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A file that belongs to a task; it is kept elsewhere, and this tells where.

    Args:
        file_name: How it is called.
        storage_path: Where it lies in its store.
        byte_size: How large it is.
        content_type: What it holds.
        evidence_id: The evidence that it stands for.
    """

    file_name: Annotated[str, Meta(pattern=r"^[^/\\\x00-\x1f\x7f]+$", max_length=255)]
    storage_path: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=2048)]
    byte_size: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    content_type: Annotated[str, Meta(pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=255)] = "application/octet-stream"
    evidence_id: UUID | None = None


class TaskAttachmentShown(msgspec.Struct):
    """A file that belongs to a task."""

    id: UUID
    task_id: UUID
    uploaded_by: UUID
    file_name: str
    content_type: str
    byte_size: int
    storage_path: str
    evidence_id: UUID | None
    is_evidence: bool
    created_at: Moment


class AttachmentPage(msgspec.Struct):
    """A page of files.

    Args:
        items: The files, the oldest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[TaskAttachmentShown]
    next: str | None
