"""Who belongs to a team: its members, and its agents. Statements of all domains ask for it as a part of themselves."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from aicq.identity.models import Agent, TeamMembership


def belongs_to_team(team_id: InstrumentedAttribute[Any], actor_id: UUID) -> ColumnElement[bool]:
    """Whether an actor is a member of a team, or one of its agents."""
    of_members = select(TeamMembership.team_id).where(TeamMembership.actor_id == actor_id)
    of_agents = select(Agent.team_id).where(Agent.id == actor_id)
    return team_id.in_(of_members) | team_id.in_(of_agents)


def role_in_team(team_id: Any, actor_id: UUID) -> ColumnElement[str | None]:
    """An actor's role in a team; its agents are members unless they are told something else; null for all others."""
    is_theirs = (TeamMembership.team_id == team_id, TeamMembership.actor_id == actor_id)
    as_member = select(cast(TeamMembership.role, Text)).where(*is_theirs).scalar_subquery()
    as_agent = select(literal("member")).where(Agent.id == actor_id, Agent.team_id == team_id).scalar_subquery()
    return func.coalesce(as_member, as_agent)
