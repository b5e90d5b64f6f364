"""Users' sessions: each begins with a log-in and goes on by refresh tokens, of which only the newest is good.

A refresh token is made of the session's id, of chance, and of a seal that only this deployment can make. What was never
ours is turned away by its seal alone. What was ours once and is not the newest any more was copied: the session ends.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.audit.recorder import ip_of, record
from aicq.auth.principal import Principal
from aicq.auth.secrets import derive
from aicq.auth.tokens import AccessTokens, Claims
from aicq.clock import from_ms
from aicq.errors import NotAuthenticated, NotFound, TokenNeeded, TokenRevoked
from aicq.identity.models import Session, User
from aicq.identity.repositories import SessionRepository, UserRepository
from aicq.identity.services.credentials import Credentials, Guesses
from aicq.ids import new_row_id
from aicq.origin import Origin

LIFE = 30 * 86_400_000
"""Milliseconds that a session lasts after it was refreshed last."""

MAX_USER_AGENT = 500

PREFIX = "aicq_refresh_"
PART = 16


class WrongLogin(NotAuthenticated):
    """wrong name or password."""


class Grant(msgspec.Struct, frozen=True):
    """What somebody who has logged in gets.

    Args:
        user_id: Who they are.
        session_id: Their session.
        access_token: Opens calls for a quarter of an hour.
        refresh_token: Gets the next two tokens, once.
        expires_at: When the session ends unless it is refreshed, in Unix milliseconds.
    """

    user_id: UUID
    session_id: UUID
    access_token: str
    refresh_token: str
    expires_at: int


class RefreshTokens:
    """Makes refresh tokens and reads them.

    Args:
        secret_key: `AICQ_SECRET_KEY`.
    """

    def __init__(self, secret_key: str) -> None:
        self._key = derive(secret_key, "refresh tokens")

    def make(self, session_id: UUID) -> str:
        """A new token of a session."""
        text = session_id.bytes + secrets.token_bytes(PART)
        return PREFIX + base64.urlsafe_b64encode(text + self._seal(text)).decode()

    def session_of(self, token: str) -> UUID:
        """The session that a token was made for.

        Raises:
            TokenNeeded: It is none of ours.
        """
        try:
            raw = base64.b64decode(token.removeprefix(PREFIX), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        text, seal = raw[: 2 * PART], raw[2 * PART :]
        if not hmac.compare_digest(seal, self._seal(text)):
            raise TokenNeeded("invalid refresh token", field="refresh_token")
        return UUID(bytes=text[:PART])

    def _seal(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")[:PART]


class SessionService:
    """Logging in and out.

    Args:
        sessions: Opens transactions; what is found out about a stolen token is kept although its caller is refused.
        credentials: Proves passwords.
        access_tokens: Issues them.
        secret_key: `AICQ_SECRET_KEY`.
    """

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        credentials: Credentials,
        access_tokens: AccessTokens,
        secret_key: str,
    ) -> None:
        self._sessions = sessions
        self._credentials = credentials
        self._access_tokens = access_tokens
        self._refresh_tokens = RefreshTokens(secret_key)

    async def begin(self, session: AsyncSession, user_id: UUID, origin: Origin, *, now: int) -> Grant:
        """Begins a session, within a transaction. All of it is made here; nothing of it comes from the caller."""
        session_id = new_row_id(now)
        grant = self._grant(user_id, session_id, now=now)
        values = {"user_id": user_id, "expires_at": from_ms(grant.expires_at)}
        await SessionRepository(session).create(
            session_id,
            **values,
            token_hash=_hash(grant.refresh_token),
            **_seen(origin),
            created_at=from_ms(now),
            refreshed_at=from_ms(now),
        )
        await UserRepository(session).see(user_id, now=from_ms(now))
        by_themselves = msgspec.structs.replace(origin, actor_id=user_id)
        await record(session, by_themselves, "sessions.create", resource=Session, key=session_id, new=values)
        return grant

    async def log_in(self, login: str, password: str, guesses: Guesses, origin: Origin, *, now: int) -> Grant:
        """Begins a session of whoever knows the password. Takes as long for users there are not.

        Args:
            login: An email or a username, in any case.
            password: The password.
            guesses: Counts.
            origin: From where.
            now: Unix time in milliseconds.

        Raises:
            WrongLogin: There is no such user, or this is not their password, or they may not log in.
            RateLimited: There were too many guesses.
        """
        user = await self._credentials.user_of(login, password, guesses)
        if user is None:
            raise WrongLogin
        async with self._sessions.begin() as session:
            if not await UserRepository(session).lock(user.id, password_hash=user.password_hash):
                raise WrongLogin
            return await self.begin(session, user.id, origin, now=now)

    async def refresh(self, refresh_token: str, origin: Origin, *, now: int) -> Grant:
        """Takes two new tokens for a refresh token, which is worth nothing then.

        Raises:
            TokenNeeded: The token is none of ours.
            TokenRevoked: The session is over, or the token was used before; then the session is over from now on.
        """
        session_id = self._refresh_tokens.session_of(refresh_token)
        async with self._sessions.begin() as session:
            grant = await self._renew(session, session_id, refresh_token, origin, now=now)
        if grant is None:
            raise TokenRevoked(field="refresh_token")
        return grant

    async def list_live(self, principal: Principal, *, after: UUID | None, limit: int, now: int) -> list[Session]:
        """The caller's sessions that are not over."""
        async with self._sessions() as session:
            found = await SessionRepository(session).list_live(principal.id, now=from_ms(now), after=after, limit=limit)
        return list(found)

    async def revoke(
        self, principal: Principal, session_id: UUID, origin: Origin, *, because: str = "revoked", now: int
    ) -> None:
        """Ends one of the caller's sessions; its tokens open nothing any more, anywhere.

        Raises:
            NotFound: It is none of theirs, or is over.
        """
        async with self._sessions.begin() as session:
            sessions = SessionRepository(session)
            if not await sessions.revoke(session_id, because=because, now=from_ms(now), user_id=principal.id):
                raise NotFound("session not found")
            await _record_end(session, session_id, because, origin)

    async def revoke_all(self, principal: Principal, origin: Origin, *, now: int) -> None:
        """Ends all of the caller's sessions."""
        async with self._sessions.begin() as session:
            await end_all(session, principal.id, "revoked", origin, now=now)

    async def _renew(
        self, session: AsyncSession, session_id: UUID, refresh_token: str, origin: Origin, *, now: int
    ) -> Grant | None:
        sessions = SessionRepository(session)
        known = await sessions.find_live(session_id, now=from_ms(now))
        if known is None:
            return None
        if known.token_hash != _hash(refresh_token):
            await sessions.revoke(session_id, because="token used twice", now=from_ms(now))
            await _record_end(session, session_id, "token used twice", origin)
            return None
        grant = self._grant(known.user_id, session_id, now=now)
        await sessions.renew(
            session_id,
            token_hash=_hash(grant.refresh_token),
            refreshed_at=from_ms(now),
            expires_at=from_ms(grant.expires_at),
            **_seen(origin),
        )
        await UserRepository(session).see(known.user_id, now=from_ms(now))
        return grant

    def _grant(self, user_id: UUID, session_id: UUID, *, now: int) -> Grant:
        return Grant(
            user_id=user_id,
            session_id=session_id,
            access_token=self._access_tokens.issue(Claims(user_id, "user", session_id), now=now),
            refresh_token=self._refresh_tokens.make(session_id),
            expires_at=now + LIFE,
        )


async def end_all(
    session: AsyncSession, user_id: UUID, because: str, origin: Origin, *, now: int, but: UUID | None = None
) -> None:
    """Ends all sessions of a user, but perhaps one, within a transaction."""
    await SessionRepository(session).revoke_all(user_id, because=because, now=from_ms(now), but=but)
    await record(session, origin, "sessions.revoke_all", resource=User, key=user_id)


async def _record_end(session: AsyncSession, session_id: UUID, because: str, origin: Origin) -> None:
    new = {"revoked_because": because}
    await record(session, origin, "sessions.revoke", resource=Session, key=session_id, new=new)


def _seen(origin: Origin) -> dict[str, Any]:
    agent = origin.user_agent
    return {"ip": ip_of(origin.address), "user_agent": agent[:MAX_USER_AGENT] if agent else None}


def _hash(refresh_token: str) -> str:
    return hashlib.sha256(refresh_token.encode(errors="surrogatepass")).hexdigest()
