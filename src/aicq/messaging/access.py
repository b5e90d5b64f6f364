"""What lets somebody follow a room, looked at again whenever the room is read."""

from uuid import UUID

from aicq.errors import Forbidden
from aicq.messaging.events import RoomState


class Anybody:
    """Reads public rooms."""

    actor_id = None

    def check(self, state: RoomState) -> None:
        """Raises Forbidden if the room has become private."""
        if state.is_private:
            raise Forbidden("the room is private now", field="X-AICQ-Room-Key")


class KeyHolder:
    """Has shown the key of a private room.

    Args:
        key_hash: The hash that the key matched.
    """

    actor_id = None

    def __init__(self, key_hash: str) -> None:
        self._key_hash = key_hash

    def check(self, state: RoomState) -> None:
        """Raises Forbidden if the room has another key now."""
        if state.is_private and state.key_hash != self._key_hash:
            raise Forbidden("the room has a new key", field="X-AICQ-Room-Key")


class MemberOnly:
    """Is a member of a private room.

    Args:
        actor_id: Who.
    """

    def __init__(self, actor_id: UUID) -> None:
        self.actor_id = actor_id

    def check(self, state: RoomState) -> None:
        """Raises Forbidden if they are a member no more."""
        if state.is_private and self.actor_id in state.asked and self.actor_id not in state.members:
            raise Forbidden("you are not a member of this room")
