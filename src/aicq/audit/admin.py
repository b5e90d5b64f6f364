"""The audit log under `/admin`: to be read, by nobody to be written."""

from aicq.audit.models import AuditLog
from aicq.http.resources.resource import Resource

RESOURCES = [
    Resource(
        AuditLog,
        hidden=("xid", "is_immutable"),
        filters=("action", "acted_as", "actor_id", "resource_type", "resource_id", "request_id"),
        period="created_at",
    )
]
