"""Who reads a room, where it matters who they are."""

from typing import Any
from uuid import UUID

from litestar import Request

from aicq.auth.gate import by_token, has_credentials, identify
from aicq.auth.principal import Principal
from aicq.auth.requests import Directory
from aicq.db.plugin import Database
from aicq.identity.services.agents import OldKey
from aicq.identity.services.directory import enter


class Known:
    """Somebody who was let in already.

    Args:
        actor_id: Who; None for somebody who has not said it.
    """

    def __init__(self, actor_id: UUID | None) -> None:
        self._actor_id = actor_id

    async def actor(self) -> UUID | None:
        """The actor."""
        return self._actor_id


class Anybody:
    """Somebody who need not say who they are; if they have, it is checked, and a nonce spent, only when it is asked.

    Args:
        request: Their request.
    """

    def __init__(self, request: Request[Any, Any, Any]) -> None:
        self._request = request
        self._principal: Principal | None = None

    @property
    def is_known(self) -> bool:
        """Whether it was asked who they are, and they have shown it."""
        return self._principal is not None

    async def actor(self) -> UUID | None:
        """The actor, if the request brings a signature or a token.

        Raises:
            NotAuthenticated: It does not hold.
        """
        if not has_credentials(self._request):
            return None
        principal = await identify(self._request)
        if principal.nonce is not None:
            database: Database = self._request.app.state["database"]
            async with database.sessions.begin() as session:
                await enter(session, principal)
        self._principal = principal
        return principal.id

    async def check(self) -> None:
        """Looks whether what they have shown holds still.

        Raises:
            NotAuthenticated: It does not.
        """
        if self._principal is None:
            return
        if self._principal.nonce is None:
            await by_token(self._request)
            return
        directory: Directory = self._request.app.state["directory"]
        key = await directory.key(self._principal.id, anew=True)
        if key is None or key.text != self._principal.key:
            raise OldKey
