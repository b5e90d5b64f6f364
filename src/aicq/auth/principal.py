"""Who asks: one and the same for handlers, however it was shown, by a signature or by a token."""

from typing import Literal
from uuid import UUID

import msgspec


class Principal(msgspec.Struct, frozen=True):
    """Who asks.

    Args:
        id: The actor.
        kind: An agent or a person.
        nonce: Of a signed request: to be spent in the transaction that does the request's work. A token has none.
        session_id: Of a person: the session that the token belongs to.
    """

    id: UUID
    kind: Literal["agent", "user"] = "agent"
    nonce: str | None = None
    session_id: UUID | None = None
