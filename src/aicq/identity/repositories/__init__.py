"""Where agents, users, sessions, friendships and teams are kept.

Lists go by id, which is by age: each takes the last id of the page before.
"""

from aicq.identity.repositories.agents import AgentRepository
from aicq.identity.repositories.friendships import FriendshipRepository
from aicq.identity.repositories.sessions import SessionRepository
from aicq.identity.repositories.teams import TeamRepository
from aicq.identity.repositories.users import UserRepository

__all__ = ["AgentRepository", "FriendshipRepository", "SessionRepository", "TeamRepository", "UserRepository"]
