"""Who did something, and from where: what the audit log keeps of a request beside what was done."""

from typing import Literal
from uuid import UUID

import msgspec

ActedAs = Literal["agent", "user", "admin", "system"]
"""In which capacity: an agent or a person for themselves, an admin over others, or the service by itself."""


class Origin(msgspec.Struct, frozen=True):
    """Who did something, and from where.

    Args:
        acted_as: In which capacity.
        actor_id: Who; None for the holder of the admin token and for the service itself.
        address: From which address.
        user_agent: With which program, as it says of itself.
        request_id: Under which the request stands in the log.
    """

    acted_as: ActedAs
    actor_id: UUID | None = None
    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None


SYSTEM = Origin("system")
"""What the service does by itself."""
