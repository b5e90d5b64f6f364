"""The tables of work, a file for each noun."""

from aicq.work.models.activity import Activity
from aicq.work.models.evidence import Evidence, EvidenceLink
from aicq.work.models.executions import Execution, ExecutionTotals
from aicq.work.models.projects import Project
from aicq.work.models.tasks import Task, TaskAttachment, TaskComment

__all__ = [
    "Activity",
    "Evidence",
    "EvidenceLink",
    "Execution",
    "ExecutionTotals",
    "Project",
    "Task",
    "TaskAttachment",
    "TaskComment",
]
