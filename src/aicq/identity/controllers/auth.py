"""Getting in: accounts, sessions and tokens."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import bearing, signed
from aicq.auth.principal import Principal
from aicq.auth.tokens import LIFE as ACCESS_LIFE
from aicq.auth.tokens import AccessTokens, Claims, fingerprint
from aicq.clock import now_ms, to_seconds
from aicq.errors import Conflict, InvalidId, InvalidRequest, NotFound, TokenNeeded, TokenRevoked, Unprocessable
from aicq.http import contract
from aicq.http.admission import guesses_of, limited, origin_of
from aicq.http.contract import (
    BEARING,
    COUNTED,
    REQUEST_BYTES,
    SIGNED,
    SIGNED_ONLY,
    TOKEN_ONLY,
    WITH_BODY,
    Call,
    problems,
)
from aicq.http.paging import USUAL, Cursor, Limit, first_page, read_cursor
from aicq.http.resources.bodies import checked
from aicq.identity.models import Session
from aicq.identity.schemas.agents import AgentToken
from aicq.identity.schemas.users import LiveSession, LiveSessions, Login, Refresh, Tokens, UserCreate
from aicq.identity.services.agents import AgentService
from aicq.identity.services.sessions import LIFE as SESSION_LIFE
from aicq.identity.services.sessions import Grant, SessionService, WrongLogin
from aicq.identity.services.users import UserService
from aicq.ids import parse_uuid

Anybody = Request[Any, Any, Any]

SessionId = Annotated[str, contract.path("The session's id, a UUID.")]


class AuthController(Controller):
    """People register, log in, go on and log out; agents take a token for a signature."""

    path = "/v1/auth"
    tags = ("auth",)
    request_max_body_size = REQUEST_BYTES

    @post(
        "/register",
        operation_id="RegisterUser",
        before_request=checked(limited("signup"), UserCreate),
        responses=problems(*COUNTED, *WITH_BODY, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def register(
        self,
        request: Anybody,
        data: JSONBody[UserCreate],
        users: NamedDependency[UserService],
        people: NamedDependency[SessionService],
        db_session: NamedDependency[AsyncSession],
    ) -> Tokens:
        """Makes an account and begins its first session."""
        now, origin = now_ms(), origin_of(request, "user")
        user = await users.create(data, origin, now=now)
        return tokens_of(await people.begin(db_session, user.id, origin, now=now))

    @post(
        "/login",
        operation_id="LogIn",
        status_code=200,
        before_request=checked(limited("login"), Login),
        responses=problems(*COUNTED, *WITH_BODY, WrongLogin, Unprocessable),
        operation_class=Call,
    )
    async def log_in(self, request: Anybody, data: JSONBody[Login], people: NamedDependency[SessionService]) -> Tokens:
        """Begins a session of whoever knows the password.

        Ten wrong passwords for an account within a quarter of an hour close it to all, wherever they come from.
        """
        grant = await people.log_in(
            data.login, data.password, guesses_of(request), origin_of(request, "user"), now=now_ms()
        )
        return tokens_of(grant)

    @post(
        "/refresh",
        operation_id="RefreshSession",
        status_code=200,
        before_request=checked(limited("refresh"), Refresh),
        responses=problems(*COUNTED, *WITH_BODY, TokenNeeded, TokenRevoked, Unprocessable),
        operation_class=Call,
    )
    async def refresh(
        self, request: Anybody, data: JSONBody[Refresh], people: NamedDependency[SessionService]
    ) -> Tokens:
        """Takes two new tokens for a refresh token, which is worth nothing then.

        A refresh token that is shown again was copied by somebody: its session ends, for whoever has its tokens.
        """
        return tokens_of(await people.refresh(data.refresh_token, origin_of(request, "user"), now=now_ms()))

    @post(
        "/logout",
        operation_id="LogOut",
        status_code=204,
        before_request=bearing("write"),
        responses=problems(*BEARING, NotFound),
        security=TOKEN_ONLY,
        operation_class=Call,
    )
    async def log_out(
        self, request: Anybody, principal: NamedDependency[Principal], people: NamedDependency[SessionService]
    ) -> None:
        """Ends the session that the token belongs to. Its tokens open nothing any more, from this moment on."""
        assert principal.session_id is not None  # noqa: S101 - a person's token names one
        origin = origin_of(request, "user", principal.id)
        await people.revoke(principal, principal.session_id, origin, because="logged out", now=now_ms())

    @get(
        "/sessions",
        operation_id="ListSessions",
        before_request=bearing("read"),
        responses=problems(*BEARING, InvalidRequest),
        security=TOKEN_ONLY,
        operation_class=Call,
    )
    async def list_sessions(
        self,
        principal: NamedDependency[Principal],
        people: NamedDependency[SessionService],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> LiveSessions:
        """Lists the caller's sessions that are not over, the oldest first."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        found = await people.list_live(principal, after=after, limit=limit + 1, now=now_ms())
        shown, rest = first_page(found, limit, lambda session: [session.id])
        return LiveSessions([shown_session(session, principal) for session in shown], rest)

    @delete(
        "/sessions",
        operation_id="RevokeSessions",
        before_request=bearing("write"),
        responses=problems(*BEARING),
        security=TOKEN_ONLY,
        operation_class=Call,
    )
    async def revoke_all(
        self, request: Anybody, principal: NamedDependency[Principal], people: NamedDependency[SessionService]
    ) -> None:
        """Ends all of the caller's sessions, this one too."""
        await people.revoke_all(principal, origin_of(request, "user", principal.id), now=now_ms())

    @delete(
        "/sessions/{session_id:str}",
        operation_id="RevokeSession",
        before_request=bearing("write"),
        responses=problems(*BEARING, InvalidId, NotFound),
        security=TOKEN_ONLY,
        operation_class=Call,
    )
    async def revoke(
        self,
        request: Anybody,
        session_id: SessionId,
        principal: NamedDependency[Principal],
        people: NamedDependency[SessionService],
    ) -> None:
        """Ends one of the caller's sessions. Its tokens open nothing any more, from this moment on."""
        wanted = parse_uuid(session_id, "invalid session ID format")
        await people.revoke(principal, wanted, origin_of(request, "user", principal.id), now=now_ms())

    @post(
        "/token",
        operation_id="TakeToken",
        status_code=200,
        before_request=signed("token"),
        responses=problems(*SIGNED),
        security=SIGNED_ONLY,
        operation_class=Call,
    )
    async def take_token(
        self,
        request: Anybody,
        principal: NamedDependency[Principal],
        agents: NamedDependency[AgentService],
        access_tokens: NamedDependency[AccessTokens],
    ) -> AgentToken:
        """Gives an agent a token in place of its signature, for a quarter of an hour. It ends with the agent's key."""
        await agents.enter(principal)
        await agents.log_in(principal, origin_of(request, "agent", principal.id))
        claims = Claims(principal.id, "agent", key=fingerprint(principal.key))
        return AgentToken(access_tokens.issue(claims, now=now_ms()), ACCESS_LIFE // 1000)


def tokens_of(grant: Grant) -> Tokens:
    """What somebody who has logged in gets, on the wire."""
    return Tokens(
        access_token=grant.access_token,
        expires_in=ACCESS_LIFE // 1000,
        refresh_token=grant.refresh_token,
        refresh_expires_in=SESSION_LIFE // 1000,
        session_id=str(grant.session_id),
        user_id=str(grant.user_id),
    )


def shown_session(session: Session, principal: Principal) -> LiveSession:
    """A session as its user sees it."""
    return LiveSession(
        id=str(session.id),
        user_agent=session.user_agent,
        ip=str(session.ip) if session.ip is not None else None,
        is_current=session.id == principal.session_id,
        created_at=to_seconds(session.created_at),
        refreshed_at=to_seconds(session.refreshed_at),
        expires_at=to_seconds(session.expires_at),
    )
