"""The gate of `/admin`: it lets in who shows the admin token, or the token of a person who is an admin."""

import hashlib
import hmac
from typing import Any, Protocol
from uuid import UUID

import msgspec
from litestar import Request
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from aicq.errors import TokenNeeded
from aicq.http.admission import admission_of, check_content_type

SCHEME = "bearer"


class Admins(Protocol):
    """What the gate asks of whoever knows the people."""

    async def admin_of(self, token: str) -> UUID | None:
        """The admin that this access token was given to; None if the token is nobody's.

        Raises:
            Forbidden: It is the token of somebody who is no admin, or no admin any more.
            TokenNeeded: It was somebody's, and is over.
        """


class Admin(msgspec.Struct, frozen=True):
    """Who was let in.

    Args:
        id: The user; None for whoever holds the admin token.
    """

    id: UUID | None = None


class AdminAccess:
    """Tells admins from others.

    Args:
        token: The admin token; while it is empty, it lets nobody in.
        admins: Knows the people, if there are any.
    """

    def __init__(self, token: str, admins: Admins | None = None) -> None:
        self._digest = _digest(token) if token else None
        self._admins = admins

    async def admin(self, token: str) -> Admin | None:
        """The admin who shows this token, or None."""
        # Digests have one length, and comparing them takes one time.
        if self._digest is not None and hmac.compare_digest(_digest(token), self._digest):
            return Admin()
        user_id = await self._admins.admin_of(token) if self._admins is not None else None
        return Admin(user_id) if user_id is not None else None


class AdminPlugin(InitPlugin):
    """Puts the access of admins where the gate finds it.

    Args:
        access: Tells admins from others.
    """

    def __init__(self, access: AdminAccess) -> None:
        self._access = access

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds it to the app's state."""
        app_config.state["admin_access"] = self._access
        return app_config


async def admin_only(request: Request[Any, Any, Any]) -> None:
    """A gate that lets in admins alone. Whoever is refused too often at one address is not even listened to there.

    The caller is `request.user` afterwards.

    Raises:
        TokenNeeded: There is no token, or it opens nothing.
        RateLimited: The address was refused too often.
    """
    admission = admission_of(request)
    address = admission.addresses.of(request.scope)
    await admission.refuse_exhausted(address)
    access: AdminAccess = request.app.state["admin_access"]
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != SCHEME or not token:
        raise TokenNeeded
    admin = await access.admin(token.strip())
    if admin is None:
        await admission.charge_failure(address)
        raise TokenNeeded("invalid token", field="Authorization")
    check_content_type(request)
    request.scope["user"] = admin


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
