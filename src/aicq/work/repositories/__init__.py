"""Where work is kept, a file for each noun."""

from aicq.work.repositories.activity import ActivityFilter, ActivityRepository
from aicq.work.repositories.discussion import AttachmentRepository, CommentFilter, CommentRepository
from aicq.work.repositories.evidence import EvidenceFilter, EvidenceRepository, Links
from aicq.work.repositories.executions import ExecutionFilter, ExecutionRepository, Finish, Spending
from aicq.work.repositories.projects import Progress, ProjectFilter, ProjectRepository
from aicq.work.repositories.tasks import TaskFilter, TaskRepository

__all__ = [
    "ActivityFilter",
    "ActivityRepository",
    "AttachmentRepository",
    "CommentFilter",
    "CommentRepository",
    "EvidenceFilter",
    "EvidenceRepository",
    "ExecutionFilter",
    "ExecutionRepository",
    "Finish",
    "Links",
    "Progress",
    "ProjectFilter",
    "ProjectRepository",
    "Spending",
    "TaskFilter",
    "TaskRepository",
]
