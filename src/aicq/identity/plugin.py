"""IdentityPlugin: agents and users, and what signatures and tokens are checked against."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from litestar import Litestar, Request
from litestar.config.app import AppConfig
from litestar.di import NamedDependency, Provide
from litestar.plugins import InitPlugin
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ROUTINE
from aicq.auth.passwords import Passwords
from aicq.auth.principal import Principal
from aicq.auth.secrets import Box
from aicq.auth.tokens import AccessTokens, Bearers
from aicq.clock import from_ms, now_ms
from aicq.db.plugin import Database
from aicq.errors import Forbidden, TokenNeeded
from aicq.housekeeping import HOUR, MOST, Chore, in_chunks
from aicq.identity.admin import resources
from aicq.identity.controllers.agents import OtherAgentController, OwnAgentController
from aicq.identity.controllers.auth import AuthController
from aicq.identity.controllers.friendships import FriendController
from aicq.identity.controllers.protocol import AgentController
from aicq.identity.controllers.teams import TeamController
from aicq.identity.controllers.users import PeopleController, UserController
from aicq.identity.repositories import AgentRepository, SessionRepository, UserRepository
from aicq.identity.services.agents import AgentService
from aicq.identity.services.credentials import Credentials
from aicq.identity.services.directory import ActorStandings, AgentDirectory
from aicq.identity.services.sessions import SessionService
from aicq.identity.services.users import UserService
from aicq.settings import Settings

CONTROLLERS = [
    AgentController,
    AuthController,
    UserController,
    PeopleController,
    OwnAgentController,
    OtherAgentController,
    FriendController,
    TeamController,
]


class IdentityPlugin(InitPlugin):
    """Adds the routes of agents and users, and gives handlers `principal`, whoever asks.

    Args:
        settings: The secret key.
        database: Postgres.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._secret_key = settings.secret_key
        self._sessions = database.sessions
        self._access_tokens = AccessTokens(settings.secret_key)
        self._box = Box(settings.secret_key)
        self.directory = AgentDirectory(database)
        self.bearers = Bearers(self._access_tokens, ActorStandings(database))
        self.resources = resources(self._hash_password, self._seal)
        self.chores = [Chore("dead sessions", HOUR, self._drop_dead_sessions)]

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the routes and their dependencies, and the directory and the bearers where gates find them."""
        app_config.route_handlers += CONTROLLERS
        app_config.state["directory"] = self.directory
        app_config.state["bearers"] = self.bearers
        app_config.lifespan.append(self._lifespan)
        app_config.dependencies |= {
            "principal": Provide(provide_principal, sync_to_thread=False),
            "agents": Provide(provide_agents, sync_to_thread=False),
            "users": Provide(self._provide_users, sync_to_thread=False),
            "people": Provide(lambda: self._people, sync_to_thread=False),
            "box": Provide(lambda: self._box, sync_to_thread=False),
            "access_tokens": Provide(lambda: self._access_tokens, sync_to_thread=False),
        }
        return app_config

    async def admin_of(self, token: str) -> UUID | None:
        """The admin that this access token was given to; None if the token is nobody's.

        Raises:
            Forbidden: It is the token of somebody who is no admin.
            TokenNeeded: It was somebody's, and is over.
        """
        try:
            principal = await self.bearers.principal(token, now=now_ms())
        except ROUTINE:
            raise
        except TokenNeeded:
            return None
        if principal.role != "admin":
            raise Forbidden("only admins may do this")
        return principal.id

    async def _hash_password(self, password: str) -> str:
        return await self._passwords.hash(password)

    async def _seal(self, text: str) -> str:
        return self._box.seal(text)

    async def _drop_dead_sessions(self, now: int) -> int:
        async def drop_some() -> int:
            async with self._sessions.begin() as session:
                return await SessionRepository(session).drop_dead(before=from_ms(now), limit=MOST)

        return await in_chunks(drop_some, most=MOST)

    def _provide_users(self, db_session: NamedDependency[AsyncSession]) -> UserService:
        """The users, within the request's transaction."""
        return UserService(UserRepository(db_session), self._passwords, self._credentials)

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        self._passwords = Passwords()
        self._credentials = Credentials(self._sessions, self._passwords)
        self._people = SessionService(self._sessions, self._credentials, self._access_tokens, self._secret_key)
        try:
            yield
        finally:
            self._passwords.close()


def provide_principal(request: Request[Principal, Any, Any]) -> Principal:
    """Whoever asks, as the handler's gate has found out."""
    return request.user


def provide_agents(db_session: NamedDependency[AsyncSession]) -> AgentService:
    """The agents, within the request's transaction."""
    return AgentService(AgentRepository(db_session))
