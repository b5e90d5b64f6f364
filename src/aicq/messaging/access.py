"""What lets somebody follow a room, looked at again whenever the room is read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from aicq.errors import Forbidden
from aicq.messaging.events import RoomState
from aicq.messaging.feeds import Access
from aicq.messaging.live import Follower, Live
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


class Following:
    """Follows rooms for those who may read them.

    Args:
        rooms: Says which rooms there are, and checks keys.
        live: Follows them.
    """

    def __init__(self, rooms: Rooms, live: Live) -> None:
        self._rooms = rooms
        self._live = live

    @asynccontextmanager
    async def follow(
        self, room_id: UUID, *, key: str, reader: Reader, attempts: Attempts, after: int | None
    ) -> AsyncIterator[Follower]:
        """Follows a room while the context is open.

        Args:
            room_id: The room.
            key: The key that they show.
            reader: Who.
            attempts: Counts wrong keys.
            after: The position up to which they have everything; None: only what comes from now on.

        Raises:
            NotFound: There is no such room for them.
            Forbidden: It is private, the key is missing or wrong, and they are no member.
            Unavailable: The log cannot be read.
        """
        found = await self._rooms.find(room_id)
        room, actor_id = await self._rooms.admit(room_id, found, key=key, attempts=attempts, reader=reader)
        access: Access = Anybody()
        if actor_id is not None:
            access = Viewer(actor_id)
        elif room.key_hash is not None and room.is_private:
            access = KeyHolder(room.key_hash)
        async with self._live.follow(room_id, access, known=room.last_seq, after=after) as follower:
            yield follower
