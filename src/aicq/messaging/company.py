"""Being told of others in a room: who types there, and who has read up to where.

Neither is kept for long. A wake-up says that it has changed; a process then asks once for all of its own who are to be
told.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable
from aicq.hot.base import Bus
from aicq.hot.presence import TYPING, Presence

OF_COMPANY = "company:"
"""What topics of this begin with; a room's own topic is its id."""

STOPPED = (TYPING + 100) / 1000
"""Seconds after which it is looked whether those who typed have stopped without a word."""

Mark: TypeAlias = tuple[UUID, str]
"""Who has read a room, and the ULID of the message up to which."""


class Told(Protocol):
    """Somebody who is told."""

    async def typing(self, room_id: UUID, actors: Sequence[UUID]) -> None:
        """These type now, and nobody else."""

    async def reading(self, room_id: UUID, marks: Sequence[Mark]) -> None:
        """These have read up to there."""


class Here:
    """Those of a process who are told of a room."""

    def __init__(self) -> None:
        self.told: dict[Told, None] = {}
        self.is_typing = False
        """Whether they were told last that somebody types."""
        self.marks: Sequence[Mark] = ()
        """What they were told last that was read."""
        self.again: asyncio.TimerHandle | None = None
        """When it is looked again who types."""


class Company:
    """Those of a process who are told of others, by room.

    Args:
        presence: Knows who types and who has read.
        bus: Tells other processes.
        hear: Listens to one more topic.
        begin: Begins what nobody waits for.
    """

    def __init__(
        self,
        presence: Presence,
        bus: Bus,
        *,
        hear: Callable[[str], Awaitable[None]],
        begin: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._presence = presence
        self._bus = bus
        self._hear = hear
        self._begin = begin
        self._rooms: dict[UUID, Here] = {}

    @property
    def topics(self) -> set[str]:
        """What is to be listened to."""
        return {topic_of(room_id) for room_id in self._rooms}

    @asynccontextmanager
    async def joined(self, room_id: UUID, told: Told) -> AsyncIterator[None]:
        """Has somebody told of others in a room while the context is open."""
        here = self._rooms.setdefault(room_id, Here())
        here.told[told] = None
        try:
            await self._hear(topic_of(room_id))
            yield
        finally:
            del here.told[told]
            if not here.told:
                self._rooms.pop(room_id, None)

    async def type(self, room_id: UUID, actor_id: UUID, *, is_typing: bool, now: int) -> None:
        """Somebody types in a room, or does no more.

        Raises:
            HotStoreUnavailable: Nobody can be told.
        """
        if is_typing:
            await self._presence.type(room_id, actor_id, now=now)
        else:
            await self._presence.stop_typing(room_id, actor_id)
        await self._bus.publish([topic_of(room_id)])

    async def read(self, room_id: UUID, actor_id: UUID, message: str, *, now: int) -> None:
        """Somebody is known to have read a room up to a message; those who can be told are."""
        with suppress(HotStoreUnavailable):
            await self._presence.read_up_to(room_id, actor_id, message, now=now)
            await self._bus.publish([topic_of(room_id)])

    async def tell(self, topic: str) -> None:
        """Tells all of this process who are in a room what has changed there."""
        room_id = UUID(topic.removeprefix(OF_COMPANY))
        here = self._rooms.get(room_id)
        if here is None:
            return
        with suppress(HotStoreUnavailable):
            typing, marks = await self._presence.in_room(room_id, now=now_ms())
            if typing:
                self._look_again(topic, here)
            fresh = [mark for mark in marks if mark not in here.marks]
            for told in [*here.told]:
                if typing or here.is_typing:
                    self._begin(told.typing(room_id, typing))
                if fresh:
                    self._begin(told.reading(room_id, fresh))
            here.is_typing, here.marks = bool(typing), marks

    def _look_again(self, topic: str, here: Here) -> None:
        """Looks again when the last of those who type now would have stopped, if no word of them comes before."""
        if here.again is not None:
            here.again.cancel()
        loop = asyncio.get_running_loop()
        here.again = loop.call_later(STOPPED, lambda: self._begin(self.tell(topic)))


def topic_of(room_id: UUID) -> str:
    """The topic of what is told of others in a room."""
    return f"{OF_COMPANY}{room_id}"
