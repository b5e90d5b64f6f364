"""What lets somebody follow a room, looked at again whenever the room is read."""

from uuid import UUID

from aicq.errors import Forbidden
from aicq.messaging.events import RoomState
from aicq.messaging.feeds import Access
from aicq.messaging.services.rooms import Attempts, Reader, Rooms


class Anybody:
    """Reads public rooms."""

    actor_id = None

    def check(self, state: RoomState) -> None:
        """Raises Forbidden if the room is public no more."""
        if not state.public:
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
        if not state.public and state.key_hash != self._key_hash:
            raise Forbidden("the room has a new key", field="X-AICQ-Room-Key")


class Viewer:
    """May see a room, as a member of it or of its guild.

    Args:
        actor_id: Who.
    """

    def __init__(self, actor_id: UUID) -> None:
        self.actor_id = actor_id

    def check(self, state: RoomState) -> None:
        """Raises Forbidden if they may not see it any more."""
        if self.actor_id in state.asked and self.actor_id not in state.viewers:
            raise Forbidden("you may not see this room any more")


async def access_to(rooms: Rooms, room_id: UUID, *, key: str, reader: Reader, attempts: Attempts) -> tuple[Access, int]:
    """What lets somebody follow a room, and a position that the room has reached.

    Raises:
        NotFound: There is no such room for them.
        Forbidden: It is private, the key is missing or wrong, and they are no member.
    """
    found = await rooms.find(room_id)
    room, actor_id = await rooms.admit(room_id, found, key=key, attempts=attempts, reader=reader)
    if actor_id is not None:
        return Viewer(actor_id), room.last_seq
    if room.key_hash is not None and room.is_private:
        return KeyHolder(room.key_hash), room.last_seq
    return Anybody(), room.last_seq
