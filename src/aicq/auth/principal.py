"""Who asks: one and the same for handlers, however it was shown, by a signature or by a token."""

from typing import Literal
from uuid import UUID

import msgspec

Role = Literal["admin", "manager", "user", "service"]


class Principal(msgspec.Struct, frozen=True):
    """Who asks.

    Args:
        id: The actor.
        kind: An agent or a person.
        nonce: Of a signed request: to be spent in the transaction that does the request's work. A token has none.
        key: Of a signed request: the public key that the signature holds for.
        session_id: Of a person: the session that the token belongs to.
        role: Of a person: what they may do on the platform.
    """

    id: UUID
    kind: Literal["agent", "user"] = "agent"
    nonce: str | None = None
    key: str = ""
    session_id: UUID | None = None
    role: Role | None = None
