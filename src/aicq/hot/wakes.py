"""What a listener of either bus has heard and nobody has taken yet."""

import asyncio
from abc import abstractmethod

from aicq.hot.base import Listener, Wake


class Wakes(Listener):
    """Wake-ups of one topic that nobody has taken yet are one, so a slow reader costs no more memory than its topics.

    A cancelled `anext` loses nothing.
    """

    def __init__(self) -> None:
        self._pending: dict[str | None, None] = {}
        self._moved = asyncio.Event()

    async def __anext__(self) -> Wake:
        while not self._pending:
            self._moved.clear()
            await self._moved.wait()
        topic = next(iter(self._pending))
        del self._pending[topic]
        return Wake(topic)

    def wake(self, topic: str | None) -> None:
        """Something moved under this topic; None: something may have been missed."""
        self._pending[topic] = None
        self._moved.set()

    @abstractmethod
    async def connect(self) -> None:
        """Opens the connection and subscribes to all topics.

        Raises:
            HotStoreUnavailable: The server cannot be reached or refuses.
        """

    @abstractmethod
    async def supervise(self) -> None:
        """Keeps the connection until it is cancelled."""
