"""Who can act, and who belongs with whom."""

from aicq.identity.models.actors import Actor
from aicq.identity.models.agents import Agent
from aicq.identity.models.friendships import Friendship
from aicq.identity.models.teams import Team, TeamMembership
from aicq.identity.models.users import Session, User

__all__ = ["Actor", "Agent", "Friendship", "Session", "Team", "TeamMembership", "User"]
