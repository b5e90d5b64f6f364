"""What memory gives up: conversations past what their teams keep, and memories that have expired."""

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.clock import from_ms
from aicq.housekeeping import HOUR, MINUTE, MOST, Chore, in_chunks
from aicq.memory.repositories import ConversationRepository, MemoryRepository


class Retention:
    """Keeps what is kept as short as it is to be, some at a time, each in a transaction of its own.

    Args:
        sessions: Opens the transactions.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions

    def chores(self) -> list[Chore]:
        """What is to be done now and then."""
        return [
            Chore("old conversations", HOUR, self.prune_conversations),
            Chore("expired memories", MINUTE, self.archive_expired),
        ]

    async def prune_conversations(self, now: int) -> int:
        """Deletes conversations whose last message is older than their team's `conversation_retention_days`.

        What was drawn out of them stays and does not name them any more. A conversation that is written in just now is
        left for the next time.

        Args:
            now: Unix time in milliseconds.
        """

        async def prune_some() -> int:
            async with self._sessions.begin() as session:
                await MemoryRepository(session).explain(changed_by="system", reason="its conversation was pruned")
                return await ConversationRepository(session).prune(now=from_ms(now), limit=MOST)

        return await in_chunks(prune_some, most=MOST)

    async def archive_expired(self, now: int) -> int:
        """Archives memories that have expired. They are not recalled from that moment on in any case.

        Args:
            now: Unix time in milliseconds.
        """

        async def archive_some() -> int:
            async with self._sessions.begin() as session:
                memories = MemoryRepository(session)
                await memories.explain(changed_by="system", reason="it has expired")
                return await memories.archive_expired(now=from_ms(now), limit=MOST)

        return await in_chunks(archive_some, most=MOST)
