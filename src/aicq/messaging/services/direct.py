"""Direct messages: sending them, and reading the inbox."""

from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.auth.nonces import is_spent
from aicq.auth.principal import Principal
from aicq.clock import from_ms
from aicq.db.engine import fetch
from aicq.errors import Forbidden, NotFound, ReplayedRequest
from aicq.identity.repositories import AgentRepository
from aicq.ids import direct_room_id
from aicq.messaging.log import Draft, MessageLog, Stored
from aicq.messaging.repositories.rooms import INBOX, RoomRepository
from aicq.messaging.services.messages import check_body

MAX_DIRECT_BODY = 8192
INBOX_DAYS = 7


class DirectMessages:
    """Messages between two agents: a private room that only they are members of, unique by their pair.

    Args:
        log: The message log.
        pool: Postgres.
        sessions: For the transaction that makes a room.
    """

    def __init__(
        self,
        log: MessageLog,
        pool: "asyncpg.Pool[asyncpg.Record]",
        sessions: async_sessionmaker[AsyncSession],
    ) -> None:
        self._log = log
        self._pool = pool
        self._sessions = sessions

    async def send(self, caller: Principal, recipient: UUID, *, body: str) -> Stored:
        """Sends a direct message; the first between two agents makes their room.

        Raises:
            NotFound: There is no such recipient.
            InvalidRequest: The body is missing.
            Unprocessable: The body is too long.
        """
        check_body(body, MAX_DIRECT_BODY)
        draft = Draft(
            room_id=direct_room_id(caller.id, recipient),
            author_id=caller.id,
            body=body,
            as_member=True,
            nonce=caller.nonce,
        )
        try:
            return await self._log.append(draft)
        except NotFound:
            await self._make_room(draft.room_id, caller, recipient)
        return await self._log.append(draft)

    async def inbox(self, caller: Principal, *, now: int) -> list[asyncpg.Record]:
        """The newest 100 messages of the last seven days that others sent to the caller, newest first.

        Raises:
            ReplayedRequest: The nonce is spent.
            Forbidden: The agent is not active.
        """
        since = from_ms(now - INBOX_DAYS * 86_400_000)
        own_room = direct_room_id(caller.id, caller.id)
        rows = await fetch(self._pool, INBOX, caller.id, caller.nonce, since, own_room)
        if not rows or not rows[0]["is_active"]:
            raise Forbidden("agent is not active")
        if not rows[0]["is_fresh"]:
            raise ReplayedRequest
        return [row for row in rows if row["id"] is not None]

    async def _make_room(self, room_id: UUID, caller: Principal, recipient: UUID) -> None:
        """Makes the room of a pair, unless the message that needs it would be refused anyway."""
        async with self._sessions.begin() as session:
            agents = AgentRepository(session)
            if await agents.find(recipient) is None:
                raise NotFound("recipient not found")
            if await agents.hold_active(caller.id) is None:
                raise Forbidden("agent is not active")
            if await is_spent(session, caller):
                raise ReplayedRequest
            await RoomRepository(session).create_direct(room_id, [caller.id, recipient])
