"""What agents do in rooms: create them, post, read, delete, send direct messages."""

import asyncio
import re
import unicodedata
from typing import Protocol, cast
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.auth.nonces import is_spent, spend
from aicq.auth.requests import Caller, Directory
from aicq.auth.signatures import holds, message_text
from aicq.batches import Batcher
from aicq.errors import (
    Forbidden,
    InvalidId,
    InvalidRequest,
    NotFound,
    ReplayedRequest,
    Unprocessable,
)
from aicq.identity.repositories import AgentRepository
from aicq.ids import direct_room_id, from_ulid, new_row_id, to_ulid
from aicq.messaging.history import from_ms
from aicq.messaging.keys import MIN_KEY, RoomKeys
from aicq.messaging.log import Draft, KeyNeeded, MessageLog, Stored
from aicq.messaging.models import Room
from aicq.messaging.pages import Pages
from aicq.messaging.repositories import INBOX, OpenRoom, RoomRepository, open_rooms
from aicq.messaging.wire import page_json

NAME = re.compile(r"[a-zA-Z0-9_-]{1,50}")
MAX_BODY = 4096
MAX_DIRECT_BODY = 8192
INBOX_DAYS = 7


class Attempts(Protocol):
    """The wrong room keys that an address has shown, and what else of that kind it has done."""

    def check(self) -> None:
        """Raises RateLimited if there were too many."""

    async def failed(self) -> None:
        """Counts one more; raises RateLimited if that is too many."""


class Rooms:
    """Rooms as readers find them, and the keys that open the private ones.

    Args:
        pool: Postgres.
        keys: Checks keys.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", keys: RoomKeys) -> None:
        self._pool = pool
        self._keys = keys
        self._find: Batcher[UUID, OpenRoom | None] = Batcher(self.find_all)
        self._checking = asyncio.Lock()

    async def find(self, room_id: UUID) -> OpenRoom | None:
        """The room as it is now, or None."""
        return await self._find(room_id)

    async def prove(self, room_id: UUID, key: str, key_hash: str | None, attempts: Attempts) -> str:
        """Checks a private room's key and returns the hash that it matches.

        Raises:
            Forbidden: The key is missing or wrong, or no key opens the room.
        """
        if not key:
            raise KeyNeeded
        if key_hash is None:
            raise Forbidden("invalid room key", field="X-AICQ-Room-Key")
        if not await self._keys.is_known(room_id, key, key_hash):
            await self._check(room_id, key, key_hash, attempts)
        return key_hash

    async def _check(self, room_id: UUID, key: str, key_hash: str, attempts: Attempts) -> None:
        # One after the other: of guesses made at once none is checked that the one before has used up, and of those
        # who come with the right key the first is checked for all.
        async with self._checking:
            if await self._keys.is_known(room_id, key, key_hash):
                return
            attempts.check()
            try:
                await self._keys.check(room_id, key, key_hash)
            except Forbidden:
                await attempts.failed()
                raise

    async def find_all(self, room_ids: list[UUID]) -> list[OpenRoom | None]:
        """The rooms as they are now, each in its place, or None; one statement."""
        return await open_rooms(self._pool, room_ids)


class PageRequest(msgspec.Struct, frozen=True):
    """Which page of a room is wanted.

    Args:
        room_id: The room.
        limit: The most messages.
        before: Going back: only messages with lower ids; None for the newest of all.
        after: Going forth: only messages with higher ids. Not together with `before`.
        whole_millisecond: Going back, end with the last message's millisecond.
    """

    room_id: UUID
    limit: int
    before: UUID | None = None
    after: UUID | None = None
    whole_millisecond: bool = False


class RoomReader:
    """Reading rooms: whoever waits together is answered together, and those who want the same page share it.

    Args:
        rooms: Says which rooms there are, and checks keys.
        pages: Reads the pages.
    """

    def __init__(self, rooms: Rooms, pages: Pages) -> None:
        self._rooms = rooms
        self._pages = pages
        self._read: Batcher[PageRequest, tuple[OpenRoom, bytes]] = Batcher(self._read_all)

    async def read(self, wanted: PageRequest, *, key: str, attempts: Attempts) -> bytes:
        """A page as JSON: `room`, `messages` newest first, `has_more`.

        Raises:
            NotFound: There is no such room.
            Forbidden: It is private and the key is missing or wrong.
        """
        room, page = await self._read(wanted)
        if room.is_private:
            await self._rooms.prove(room.id, key, room.key_hash, attempts)
        return page

    async def _read_all(self, wanted: list[PageRequest]) -> list[tuple[OpenRoom, bytes] | Exception]:
        different = list(dict.fromkeys(wanted))
        rooms = await self._rooms.find_all([request.room_id for request in different])
        pages = await asyncio.gather(
            *(self._page(room, request) for room, request in zip(rooms, different, strict=True)), return_exceptions=True
        )
        answers = dict(zip(different, pages, strict=True))
        return [cast("tuple[OpenRoom, bytes] | Exception", answers[request]) for request in wanted]

    async def _page(self, room: OpenRoom | None, request: PageRequest) -> tuple[OpenRoom, bytes]:
        if room is None:
            raise NotFound("room not found")
        if request.after is not None:
            page = await self._pages.after(room.id, request.after, last_seq=room.last_seq, limit=request.limit)
        else:
            page = await self._pages.before(
                room.id,
                request.before,
                last_seq=room.last_seq,
                limit=request.limit,
                whole_millisecond=request.whole_millisecond,
            )
        return room, page_json(str(room.id), room.name or "", page.messages, has_more=page.has_more)


class MessageService:
    """Posting and deleting.

    Args:
        log: The message log.
        rooms: Checks room keys.
        directory: Agents' keys, for messages that their authors signed.
        moderator: The one agent that may delete what others wrote.
    """

    def __init__(self, log: MessageLog, rooms: Rooms, directory: Directory, moderator: UUID | None) -> None:
        self._log = log
        self._rooms = rooms
        self._directory = directory
        self._moderator = moderator

    async def post(
        self, caller: Caller, room_id: UUID, *, body: str, pid: str, sig: str, key: str, attempts: Attempts
    ) -> Stored:
        """Posts a message.

        Raises:
            InvalidRequest: The body is missing.
            Unprocessable: The body is too long, the parent is not in the room, or the signature is not the caller's.
            Forbidden: The room is private and the key is missing or wrong.
            NotFound: There is no such room.
        """
        check_body(body, MAX_BODY)
        parent_id = parent_of(pid)
        if sig:
            await self._check_signature(caller, room_id, parent_id, body, sig)
        room = await self._rooms.find(room_id) if key else None
        proof = None
        if room is not None and room.is_private:
            proof = await self._rooms.prove(room_id, key, room.key_hash, attempts)
        return await self._log.append(
            Draft(
                room_id=room_id,
                author_id=caller.id,
                body=body,
                parent_id=parent_id,
                signature=sig or None,
                proof=proof,
                nonce=caller.nonce,
            )
        )

    async def delete(self, caller: Caller, room_id: UUID, message_id: str) -> None:
        """Deletes a message: an entry in the log that makes the message unreadable everywhere.

        Raises:
            NotFound: There is no such room or message.
            Forbidden: Somebody else wrote it.
        """
        try:
            target_id = from_ulid(message_id)
        except InvalidId:
            raise NotFound("message not found") from None
        await self._log.append(
            Draft(
                room_id=room_id,
                author_id=caller.id,
                entry="delete",
                target_id=target_id,
                may_moderate=caller.id == self._moderator,
                nonce=caller.nonce,
            )
        )

    async def _check_signature(
        self, caller: Caller, room_id: UUID, parent_id: UUID | None, body: str, sig: str
    ) -> None:
        key = await self._directory.verify_key(caller.id)
        text = message_text(room_id, to_ulid(parent_id) if parent_id else "", body)
        if key is None or not holds(key, text, sig):
            raise Unprocessable("invalid message signature", field="sig")


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

    async def send(self, caller: Caller, recipient: UUID, *, body: str) -> Stored:
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

    async def inbox(self, caller: Caller, *, now: int) -> list[asyncpg.Record]:
        """The newest 100 messages of the last seven days that others sent to the caller, newest first.

        Raises:
            ReplayedRequest: The nonce is spent.
            Forbidden: The agent is not active.
        """
        since = from_ms(now - INBOX_DAYS * 86_400_000)
        own_room = direct_room_id(caller.id, caller.id)
        rows = await self._pool.fetch(INBOX, caller.id, caller.nonce, since, own_room)
        if not rows or not rows[0]["is_active"]:
            raise Forbidden("agent is not active")
        if not rows[0]["is_fresh"]:
            raise ReplayedRequest
        return [row for row in rows if row["id"] is not None]

    async def _make_room(self, room_id: UUID, caller: Caller, recipient: UUID) -> None:
        """Makes the room of a pair, unless the message that needs it would be refused anyway."""
        async with self._sessions.begin() as session:
            agents = AgentRepository(session)
            if await agents.find(recipient) is None:
                raise NotFound("recipient not found")
            sender = await agents.find(caller.id)
            if sender is None or not sender.is_active:
                raise Forbidden("agent is not active")
            if await is_spent(session, caller):
                raise ReplayedRequest
            await RoomRepository(session).create_direct(room_id, [caller.id, recipient])


class RoomService:
    """Creating rooms and telling about the public ones, within a request's transaction."""

    def __init__(self, session: AsyncSession, keys: RoomKeys) -> None:
        self._session = session
        self._rooms = RoomRepository(session)
        self._keys = keys

    async def create(self, caller: Caller, *, name: str, is_private: bool, key: str, now: int) -> Room:
        """Creates a room; the caller owns it.

        Raises:
            InvalidRequest: The name is missing or not allowed, or a private room's key is missing or short.
            Unprocessable: The key is too long.
            ReplayedRequest: The nonce is spent.
            Forbidden: The agent is not active.
        """
        name = unicodedata.normalize("NFC", name.strip())
        if not name:
            raise InvalidRequest("name is required", field="name")
        if not NAME.fullmatch(name):
            raise InvalidRequest("name must be 1-50 characters: letters, digits, hyphens, underscores", field="name")
        if is_private and len(key) < MIN_KEY:
            raise InvalidRequest(f"private rooms require key (min {MIN_KEY} chars)", field="key")
        # Before anything is asked of the session: its connection is not to be held while keys wait for their turn.
        key_hash = await self._keys.hash(key) if is_private else None
        agent = await AgentRepository(self._session).find(caller.id)
        if agent is None or not agent.is_active:
            raise Forbidden("agent is not active")
        await spend(self._session, caller)
        room = Room(
            id=new_row_id(now),
            name=name,
            kind="room",
            is_private=is_private,
            key_hash=key_hash,
            created_by=caller.id,
        )
        await self._rooms.create(room)
        return room


def check_body(body: str, limit: int) -> None:
    """Refuses an empty body and one over `limit` bytes."""
    if not body:
        raise InvalidRequest("body is required", field="body")
    if len(body) > limit or len(body.encode(errors="surrogatepass")) > limit:
        raise Unprocessable(f"body too long (max {limit} bytes)", field="body")


def parent_of(pid: str) -> UUID | None:
    """The parent that a message names, or None."""
    if not pid:
        return None
    try:
        return from_ulid(pid)
    except InvalidId:
        raise Unprocessable("parent message not found in this room", field="pid") from None
