"""Rooms: finding them, opening the private ones, reading their pages."""

import asyncio
import re
import unicodedata
from contextlib import suppress
from typing import Protocol, cast
from uuid import UUID

import asyncpg
import msgspec

from aicq.batches import Batcher
from aicq.errors import Forbidden, InvalidRequest, NotFound
from aicq.hot.base import PageQuery
from aicq.messaging.keys import RoomKeys
from aicq.messaging.log import KeyNeeded
from aicq.messaging.models.rooms import NAME
from aicq.messaging.pages import Ahead, Pages, first_query
from aicq.messaging.permissions import Permission
from aicq.messaging.repositories.rooms import OpenRoom, open_rooms, rooms_open_to
from aicq.messaging.wire import page_json


class Attempts(Protocol):
    """The wrong room keys that an address has shown, and what else of that kind it has done."""

    async def check(self) -> None:
        """Raises RateLimited if there were too many."""

    async def failed(self) -> None:
        """Counts one more; raises RateLimited if that is too many."""


class Reader(Protocol):
    """Whoever wants to read; who they are is asked only where it matters."""

    async def actor(self) -> UUID | None:
        """The actor, if they have said who they are.

        Raises:
            NotAuthenticated: They have, but it does not hold.
        """


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
        self._find_for: Batcher[tuple[UUID, UUID], OpenRoom | None] = Batcher(self.find_all_for)
        self._checking = asyncio.Lock()

    async def find(self, room_id: UUID) -> OpenRoom | None:
        """The room as it is now, if it is public or has a key; or None."""
        return await self._find(room_id)

    async def find_for(self, room_id: UUID, actor_id: UUID) -> OpenRoom | None:
        """The room as it is now, of whatever kind, if the actor may know of it; or None."""
        return await self._find_for((room_id, actor_id))

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

    async def admit(
        self, room_id: UUID, room: OpenRoom | None, *, key: str, attempts: Attempts, reader: Reader
    ) -> tuple[OpenRoom, UUID | None]:
        """A room that a reader may see, and who they are if that had to be asked.

        Args:
            room_id: The room.
            room: What `find` has found.
            key: The room key that they show.
            attempts: Counts wrong keys.
            reader: Who they are.

        Raises:
            NotFound: There is no such room, or none that they may know of.
            Forbidden: It is private, the key is missing or wrong, and they are no member.
        """
        if room is not None and not room.is_private:
            return room, None
        actor_id = await reader.actor() if room is None or not key else None
        if actor_id is not None:
            return await self.admit_actor(room_id, actor_id), actor_id
        if room is None:
            raise NotFound("room not found")
        await self.prove(room_id, key, room.key_hash, attempts)
        return room, None

    async def admit_actor(self, room_id: UUID, actor_id: UUID) -> OpenRoom:
        """A room that an actor may see.

        Raises:
            NotFound: There is no such room, or none that they may know of.
            Forbidden: It is private and they are no member.
        """
        room = await self.find_for(room_id, actor_id)
        if room is None:
            raise NotFound("room not found")
        if not room.permissions & Permission.VIEW:
            raise Forbidden("you are not a member of this room")
        return room

    async def proof(self, room_id: UUID, key: str, attempts: Attempts) -> str | None:
        """The hash that a private room's key matches; None if no key was shown, or the room wants none.

        Raises:
            Forbidden: The key is wrong, or no key opens the room.
        """
        room = await self.find(room_id) if key else None
        if room is None or not room.is_private:
            return None
        return await self.prove(room_id, key, room.key_hash, attempts)

    async def _check(self, room_id: UUID, key: str, key_hash: str, attempts: Attempts) -> None:
        # One after the other: of guesses made at once none is checked that the one before has used up, and of those
        # who come with the right key the first is checked for all.
        async with self._checking:
            if await self._keys.is_known(room_id, key, key_hash):
                return
            await attempts.check()
            try:
                await self._keys.check(room_id, key, key_hash)
            except Forbidden:
                await attempts.failed()
                raise

    async def find_all(self, room_ids: list[UUID]) -> list[OpenRoom | None]:
        """The rooms as they are now, each in its place, or None; one statement."""
        return await open_rooms(self._pool, room_ids)

    async def find_all_for(self, asked: list[tuple[UUID, UUID]]) -> list[OpenRoom | None]:
        """Rooms as actors may know of them, for each pair of room and actor; one statement."""
        return await rooms_open_to(self._pool, asked)


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

    def first_query(self) -> PageQuery:
        """What the hot store is asked first."""
        return first_query(self.room_id, self.limit, before=self.before, after=self.after)


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

    async def read(self, wanted: PageRequest, *, key: str, attempts: Attempts, reader: Reader) -> bytes:
        """A page as JSON: `room`, `messages` newest first, `has_more`.

        Raises:
            NotFound: There is no such room, or none that the reader may know of.
            Forbidden: It is private, the key is missing or wrong, and the reader is no member.
        """
        room: OpenRoom | None = None
        page = b""
        with suppress(NotFound):
            room, page = await self._read(wanted)
        if room is not None and not room.is_private:
            return page
        _, actor_id = await self._rooms.admit(wanted.room_id, room, key=key, attempts=attempts, reader=reader)
        return page if actor_id is None else await self.read_for(actor_id, wanted)

    async def read_for(self, actor_id: UUID, wanted: PageRequest) -> bytes:
        """A page for somebody who says who they are.

        Raises:
            NotFound: There is no such room, or none that they may know of.
            Forbidden: It is private and they are no member.
        """
        _, page = await self._page(await self._rooms.admit_actor(wanted.room_id, actor_id), wanted)
        return page

    async def _read_all(self, wanted: list[PageRequest]) -> list[tuple[OpenRoom, bytes] | Exception]:
        different = list(dict.fromkeys(wanted))
        # Both at once: a room's rows and its entries are not waited for one after the other.
        rooms, ahead = await asyncio.gather(
            self._rooms.find_all([request.room_id for request in different]),
            self._pages.look_ahead([request.first_query() for request in different]),
        )
        pages = await asyncio.gather(*map(self._page, rooms, different, ahead), return_exceptions=True)
        answers = dict(zip(different, pages, strict=True))
        return [cast("tuple[OpenRoom, bytes] | Exception", answers[request]) for request in wanted]

    async def _page(
        self, room: OpenRoom | None, request: PageRequest, ahead: Ahead | None = None
    ) -> tuple[OpenRoom, bytes]:
        if room is None:
            raise NotFound("room not found")
        if request.after is not None:
            page = await self._pages.after(
                room.id, request.after, last_seq=room.last_seq, limit=request.limit, ahead=ahead
            )
        else:
            page = await self._pages.before(
                room.id,
                request.before,
                last_seq=room.last_seq,
                limit=request.limit,
                whole_millisecond=request.whole_millisecond,
                ahead=ahead,
            )
        return room, page_json(str(room.id), room.name or "", page.messages, has_more=page.has_more)


def room_name(name: str) -> str:
    """A room's name, trimmed and in NFC.

    Raises:
        InvalidRequest: It is missing or not allowed.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not name:
        raise InvalidRequest("name is required", field="name")
    if not re.fullmatch(NAME, name):
        raise InvalidRequest("name must be 1-50 characters: letters, digits, hyphens, underscores", field="name")
    return name
