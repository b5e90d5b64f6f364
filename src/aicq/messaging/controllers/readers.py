"""Who reads a room, where it matters who they are."""

from typing import Any
from uuid import UUID

from litestar import Request

from aicq.auth.gate import has_credentials, identify
from aicq.db.plugin import Database
from aicq.identity.services.directory import enter


class Known:
    """Somebody who was let in already.

    Args:
        actor_id: Who.
    """

    def __init__(self, actor_id: UUID) -> None:
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
        return principal.id
