"""What is to be done, what is said about it, and the files that belong to it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Identity, Index, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Task(Model):
    """An issue, a pull request or any other piece of work. The sequence gives each a code that people can say."""

    __tablename__ = "tasks"
    __audited__ = (
        "code",
        "project_id",
        "title",
        "type",
        "status",
        "priority",
        "labels",
        "created_by",
        "assignee_id",
        "github_issue_number",
        "github_pr_number",
    )
    __table_args__ = (
        CheckConstraint("title <> ''", name="title"),
        CheckConstraint(
            "type IN ('bug', 'feature', 'refactor', 'test', 'documentation', 'task', 'chore')", name="type"
        ),
        CheckConstraint("status IN ('open', 'in_progress', 'in_review', 'blocked', 'closed', 'draft')", name="status"),
        CheckConstraint("priority IN ('critical', 'high', 'medium', 'low')", name="priority"),
        CheckConstraint("jsonb_typeof(labels) = 'array'", name="labels"),
        CheckConstraint("github_issue_number > 0", name="github_issue_number"),
        CheckConstraint("github_pr_number > 0", name="github_pr_number"),
        CheckConstraint("jsonb_typeof(ai_analysis) = 'object'", name="ai_analysis"),
        CheckConstraint("jsonb_typeof(ai_suggestions) = 'object'", name="ai_suggestions"),
        CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed_has_its_time"),
        Index("ix_tasks_project_id", "project_id", "id"),  # TaskRepository.page; the foreign key's CASCADE
        Index("ix_tasks_project_id_status", "project_id", "status", "id"),  # TaskRepository.page, .progress
        Index("ix_tasks_status", "status", "id"),  # TaskRepository.page
        Index("ix_tasks_priority", "priority", "id"),  # TaskRepository.page
        Index("ix_tasks_type", "type", "id"),  # TaskRepository.page
        Index(
            "ix_tasks_assignee_id",  # TaskRepository.page; the foreign key's SET NULL
            "assignee_id",
            "id",
            postgresql_where=text("assignee_id IS NOT NULL"),
        ),
        Index(
            "ix_tasks_created_by",  # the foreign key's SET NULL
            "created_by",
            postgresql_where=text("created_by IS NOT NULL"),
        ),
        Index(
            "ix_tasks_claimable",  # TaskRepository.claim_next
            "project_id",
            text("array_position(ARRAY['critical', 'high', 'medium', 'low'], priority)"),
            "id",
            postgresql_where=text("status = 'open' AND assignee_id IS NULL"),
        ),
        Index(
            "ix_tasks_labels",  # TaskRepository.page
            "labels",
            postgresql_using="gin",
            postgresql_ops={"labels": "jsonb_path_ops"},
        ),
        Index(
            "uq_tasks_project_id_github_issue_number",  # TaskRepository.find_by_issue
            "project_id",
            "github_issue_number",
            unique=True,
            postgresql_where=text("github_issue_number IS NOT NULL"),
        ),
        Index(
            "ix_tasks_github_pr_number",  # TaskRepository.find_by_pull_request
            "project_id",
            "github_pr_number",
            postgresql_where=text("github_pr_number IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    code: Mapped[str] = mapped_column(Text, Computed("('TASK-'::text || number::text)", persisted=True), unique=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text, server_default="task")
    status: Mapped[str] = mapped_column(Text, server_default="open")
    priority: Mapped[str] = mapped_column(Text, server_default="medium")
    labels: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("actors.id", ondelete="SET NULL"))
    assignee_id: Mapped[UUID | None] = mapped_column(ForeignKey("actors.id", ondelete="SET NULL"))
    github_issue_number: Mapped[int | None]
    github_pr_number: Mapped[int | None]
    ai_analysis: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    ai_suggestions: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]


class TaskComment(Model):
    """What somebody said about a task."""

    __tablename__ = "task_comments"
    __audited__ = ("task_id", "author_id", "github_comment_id", "is_ai_generated")
    __table_args__ = (
        CheckConstraint("body <> ''", name="body"),
        CheckConstraint("github_comment_id > 0", name="github_comment_id"),
        CheckConstraint("jsonb_typeof(ai_metadata) = 'object'", name="ai_metadata"),
        Index("ix_task_comments_task_id", "task_id", "id"),  # CommentRepository.page; the foreign key's CASCADE
        Index("ix_task_comments_author_id", "author_id", "id"),  # CommentRepository.page; the foreign key's RESTRICT
        Index(
            "uq_task_comments_github_comment_id",  # a comment is fetched from GitHub once
            "github_comment_id",
            unique=True,
            postgresql_where=text("github_comment_id IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    author_id: Mapped[UUID] = mapped_column(ForeignKey("actors.id", ondelete="RESTRICT"))
    body: Mapped[str] = mapped_column(Text)
    github_comment_id: Mapped[int | None] = mapped_column(BigInteger)
    is_ai_generated: Mapped[bool] = mapped_column(server_default=text("false"))
    ai_metadata: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        index=True,  # CommentRepository.page
    )
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TaskAttachment(Model):
    """A file that belongs to a task; it lies in a store of its own, and may back a piece of evidence."""

    __tablename__ = "task_attachments"
    __audited__ = ("task_id", "uploaded_by", "file_name", "content_type", "byte_size", "evidence_id")
    __table_args__ = (
        CheckConstraint("file_name <> ''", name="file_name"),
        CheckConstraint("storage_path <> ''", name="storage_path"),
        CheckConstraint("byte_size >= 0", name="byte_size"),
        Index("ix_task_attachments_task_id", "task_id", "id"),  # AttachmentRepository.page; the CASCADE
        Index(
            "ix_task_attachments_evidence_id",  # AttachmentRepository.of_evidence; the foreign key's SET NULL
            "evidence_id",
            postgresql_where=text("evidence_id IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    uploaded_by: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="RESTRICT"),
        index=True,  # the foreign key's RESTRICT
    )
    file_name: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text, server_default="application/octet-stream")
    byte_size: Mapped[int] = mapped_column(BigInteger)
    storage_path: Mapped[str] = mapped_column(Text)
    evidence_id: Mapped[UUID | None] = mapped_column(ForeignKey("evidence.id", ondelete="SET NULL"))
    is_evidence: Mapped[bool] = mapped_column(Computed("(evidence_id IS NOT NULL)", persisted=True))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
