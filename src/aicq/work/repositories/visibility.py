"""Who sees what: a team's projects are its own, and so is what belongs to them; authors see what is theirs."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from aicq.identity.repositories.belonging import belongs_to_team
from aicq.work.models import Project


def is_seen(seen_by: UUID | None) -> ColumnElement[bool]:
    """Whether an actor sees a project: it is nobody's alone, or their own, or their team's.

    Args:
        seen_by: The actor; None sees all.
    """
    if seen_by is None:
        return true()
    return or_(Project.team_id.is_(None), Project.owner_id == seen_by, belongs_to_team(Project.team_id, seen_by))


def is_seen_within(
    project_id: InstrumentedAttribute[Any], seen_by: UUID | None, author_id: InstrumentedAttribute[Any] | None = None
) -> ColumnElement[bool]:
    """Whether an actor sees what belongs to a project.

    Args:
        project_id: The column that names the project.
        seen_by: The actor; None sees all.
        author_id: The column that names whose it is: they see it wherever it belongs.
    """
    if seen_by is None:
        return true()
    within = select(Project.id).where(Project.id == project_id, is_seen(seen_by)).exists()
    return within if author_id is None else within | (author_id == seen_by)
