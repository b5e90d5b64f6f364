"""Searching the hot window."""

from collections.abc import Sequence
from uuid import UUID

from aicq.clock import now_ms
from aicq.errors import HotStoreUnavailable, InvalidRequest, NotFound
from aicq.hot.base import Hit, HotStore, HotStoreStale, SearchQuery
from aicq.hot.keeper import Keeper
from aicq.hot.words import query_words
from aicq.messaging.permissions import Permission
from aicq.messaging.repositories.rooms import OpenRoom
from aicq.messaging.schemas.protocol import Result, Results
from aicq.messaging.services.rooms import Attempts, Reader, Rooms
from aicq.messaging.wire import decode_message

MAX_QUERY_BYTES = 100


class Search:
    """Finds messages of the last 24 hours that the caller may read.

    Args:
        hot: The hot store.
        keeper: Knows whether the store holds the whole window.
        rooms: Rooms as they are now; what the index says about them is checked again.
    """

    def __init__(self, hot: HotStore, keeper: Keeper, rooms: Rooms) -> None:
        self._hot = hot
        self._keeper = keeper
        self._rooms = rooms

    async def find(
        self,
        query: str,
        *,
        limit: int,
        room_id: UUID | None,
        after: int,
        key: str,
        attempts: Attempts,
        reader: Reader,
    ) -> Results:
        """Finds messages that hold all words of the query, newest first.

        Raises:
            InvalidRequest: The query is missing or too long.
            Forbidden: The room is private, the key is missing or wrong, and the reader is no member.
        """
        if not query.strip():
            raise InvalidRequest("query parameter 'q' is required", field="q")
        if len(query.encode()) > MAX_QUERY_BYTES:
            raise InvalidRequest(f"query too long (max {MAX_QUERY_BYTES} chars)", field="q")
        found = Results(query=query, results=[], total=0, complete=self._keeper.complete)
        words = query_words(query)
        actor_id: UUID | None = None
        if room_id is not None:
            room = await self._rooms.find(room_id)
            try:
                _, actor_id = await self._rooms.admit(room_id, room, key=key, attempts=attempts, reader=reader)
            except NotFound:
                return found
        if not words:
            return found
        try:
            hits = await self._hot.messages.search(SearchQuery(words, limit, room_id, after), now=now_ms())
        except (HotStoreStale, HotStoreUnavailable):
            self._keeper.notice()
            found.complete = False
            return found
        found.truncated = hits.truncated
        for hit, room in zip(hits.hits, await self._homes(hits.hits, actor_id), strict=True):
            if room is None or (room.is_private and room_id is None):
                continue
            message = decode_message(hit.wire)
            found.results.append(
                Result(message.id, str(hit.room_id), room.name or "", message.author, message.body, message.ts)
            )
        found.total = len(found.results)
        return found

    async def _homes(self, hits: Sequence[Hit], actor_id: UUID | None) -> Sequence[OpenRoom | None]:
        """The rooms of hits as they are now; None for those that may not be seen any more."""
        if actor_id is None:
            return await self._rooms.find_all([hit.room_id for hit in hits])
        rooms = await self._rooms.find_all_for([(hit.room_id, actor_id) for hit in hits])
        return [room if room is not None and room.permissions & Permission.VIEW else None for room in rooms]
