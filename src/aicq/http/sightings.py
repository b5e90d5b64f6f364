"""Who has shown themselves by a request: agents are online for a minute after it, people present for five.

It is noted beside the requests, in one call for all who came meanwhile, and of each only now and then.
"""

import asyncio
from contextlib import suppress
from uuid import UUID

import msgspec

from aicq.batches import Batcher
from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable, Unavailable
from aicq.hot.base import HotStore
from aicq.hot.presence import Presence

NOTED_FOR = 5.0
"""Seconds for which somebody who was noted is not noted again."""


class Sighting(msgspec.Struct, frozen=True):
    """Somebody who has shown who they are.

    Args:
        actor_id: Who.
        is_agent: Whether they are an agent; else a person.
    """

    actor_id: UUID
    is_agent: bool


class Sightings:
    """Those whom a process has seen.

    Args:
        hot: Where it is noted.
    """

    def __init__(self, hot: HotStore) -> None:
        self._presence = Presence(hot)
        self._noted: dict[UUID, float] = {}
        self._note: Batcher[Sighting, None] = Batcher(self._note_all)

    def note(self, sighting: Sighting) -> None:
        """Notes that somebody was seen; waits for nothing, and nothing comes of it if it cannot be noted."""
        now = asyncio.get_running_loop().time()
        while self._noted and next(iter(self._noted.values())) <= now - NOTED_FOR:
            del self._noted[next(iter(self._noted))]
        if sighting.actor_id in self._noted:
            return
        self._noted[sighting.actor_id] = now
        with suppress(Unavailable):
            self._note.send(sighting)

    async def drain(self) -> None:
        """Waits until all is noted."""
        await self._note.drain()

    async def _note_all(self, sightings: list[Sighting]) -> list[None]:
        agents = [sighting.actor_id for sighting in sightings if sighting.is_agent]
        people = [sighting.actor_id for sighting in sightings if not sighting.is_agent]
        with suppress(HotStoreUnavailable):
            await self._presence.see_all(agents, people, now=now_ms())
        return [None] * len(sightings)
