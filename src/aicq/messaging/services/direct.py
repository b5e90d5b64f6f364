"""Direct messages: sending them, and reading the inbox."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.audit.recorder import record
from aicq.auth.nonces import is_spent
from aicq.auth.principal import Principal
from aicq.clock import from_ms
from aicq.db.engine import fetch
from aicq.errors import Forbidden, NotFound, ReplayedRequest
from aicq.identity.repositories import AgentRepository
from aicq.identity.services.directory import enter
from aicq.ids import direct_room_id, new_row_id
from aicq.messaging.log import Draft, MessageLog, Stored
from aicq.messaging.models import Room
from aicq.messaging.repositories.rooms import INBOX, RoomRepository
from aicq.messaging.services.messages import check_body
from aicq.origin import Origin

MAX_DIRECT_BODY = 8192
INBOX_DAYS = 7

PAIR = 2


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
            rooms = RoomRepository(session)
            if not await rooms.living([recipient]):
                raise NotFound("recipient not found")
            if await AgentRepository(session).hold_active(caller.id) is None:
                raise Forbidden("agent is not active")
            if await is_spent(session, caller):
                raise ReplayedRequest
            await rooms.create_direct(room_id, [caller.id, recipient])


class DirectRoomService:
    """Rooms for direct messages, of two or of several, within a request's transaction.

    Args:
        session: The transaction.
        origin: Who asks, for the audit log.
    """

    def __init__(self, session: AsyncSession, origin: Origin) -> None:
        self._session = session
        self._origin = origin
        self._rooms = RoomRepository(session)

    async def open(self, caller: Principal, others: Sequence[UUID], *, now: int) -> UUID:
        """The room for messages between the caller and others: of a pair always the same one, of more a new one.

        Raises:
            NotFound: One of the others is nobody, or gone.
            Forbidden: The caller has blocked one of them, or is blocked by them.
        """
        await enter(self._session, caller)
        members = {caller.id, *others}
        living = await self._rooms.living(members)
        if members - living:
            raise NotFound("actor not found")
        if await self._rooms.is_blocked_among(caller.id, members):
            raise Forbidden("one of you has blocked the other")
        if len(members) <= PAIR:
            room_id = direct_room_id(caller.id, *(members - {caller.id} or members))
            await self._rooms.create_direct(room_id, list(members))
            return room_id
        room = Room(id=new_row_id(now), kind="group_dm", is_private=True, created_by=caller.id)
        await self._rooms.create(room)
        await self._rooms.enter(room.id, members - {caller.id})
        await record(self._session, self._origin, "rooms.create", resource=Room, key=room.id, new={"kind": room.kind})
        return room.id
