"""Access tokens: short-lived, signed by the deployment, and good only while what they stand for is.

A token names a session or an agent's key. Both are looked up in Postgres at each request, so what is revoked opens
nothing from that moment on, in any worker; the hot store could not tell, since it may have forgotten.
"""

import hashlib
from typing import Any, Literal, Protocol, cast
from uuid import UUID

import jwt
import msgspec

from aicq.auth.principal import Principal
from aicq.auth.secrets import derive
from aicq.errors import TokenExpired, TokenNeeded, TokenRevoked

LIFE = 900_000
"""Milliseconds that an access token is good for."""

ALGORITHM = "HS256"
ISSUER = "aicq"


class Claims(msgspec.Struct, frozen=True):
    """What an access token says.

    Args:
        actor_id: Whose it is.
        kind: An agent or a person.
        session_id: A person's session.
        key: The fingerprint of an agent's key.
    """

    actor_id: UUID
    kind: Literal["agent", "user"]
    session_id: UUID | None = None
    key: str = ""


class Standings(Protocol):
    """What tokens ask of whoever knows the actors."""

    async def standing(self, claims: Claims, *, now: int) -> Principal | None:
        """The actor a token speaks for; None if they are not active, or session or key are not theirs any more."""


class AccessTokens:
    """Gives access tokens and reads them.

    Args:
        secret_key: `AICQ_SECRET_KEY`.
    """

    def __init__(self, secret_key: str) -> None:
        self._key = derive(secret_key, "access tokens")

    def issue(self, claims: Claims, *, now: int) -> str:
        """A token that says this, for a quarter of an hour."""
        told: dict[str, Any] = {"iss": ISSUER, "sub": str(claims.actor_id), "kind": claims.kind}
        told |= {"sid": str(claims.session_id)} if claims.session_id else {"key": claims.key}
        return jwt.encode(told | {"iat": now // 1000, "exp": (now + LIFE) // 1000}, self._key, algorithm=ALGORITHM)

    def read(self, token: str, *, now: int) -> Claims:
        """What a token says.

        Raises:
            TokenNeeded: It is none of ours, or too old.
        """
        try:
            told = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                # The time is passed in.
                options={"require": ["exp", "sub"], "verify_exp": False, "verify_iat": False},
            )
            session_id = UUID(told["sid"]) if "sid" in told else None
            claims = Claims(UUID(told["sub"]), cast("Any", told["kind"]), session_id, told.get("key", ""))
            expires = int(told["exp"]) * 1000
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, AttributeError):
            raise TokenNeeded("invalid token", field="Authorization") from None
        if expires <= now:
            raise TokenExpired(field="Authorization")
        return claims


class Bearers:
    """Tells who shows a token.

    Args:
        tokens: Reads them.
        standings: Knows the actors.
    """

    def __init__(self, tokens: AccessTokens, standings: Standings) -> None:
        self._tokens = tokens
        self._standings = standings

    async def principal(self, token: str, *, now: int) -> Principal:
        """Who shows this token.

        Raises:
            TokenNeeded: It is none of ours, too old, or revoked.
        """
        claims = self._tokens.read(token, now=now)
        principal = await self._standings.standing(claims, now=now)
        if principal is None:
            raise TokenRevoked(field="Authorization")
        return principal


def fingerprint(public_key: str) -> str:
    """What a token says of an agent's key."""
    return hashlib.sha256(public_key.encode()).hexdigest()[:32]
