"""Following a room by server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import HeaderParameter

from aicq.errors import AICQError, Forbidden, InvalidId, NotFound
from aicq.http import contract
from aicq.http.admission import attempts_of, limited
from aicq.http.contract import COUNTED, KEY_IF_PRIVATE, Call, problems
from aicq.http.streams import EventStream, InTurns, comeback, streams_of
from aicq.ids import parse_uuid, to_ulid
from aicq.messaging.access import Following
from aicq.messaging.controllers.protocol import BAD_ROOM_ID, RoomId, room_key
from aicq.messaging.controllers.readers import Anybody
from aicq.messaging.events import Event
from aicq.messaging.feeds import Ended, position_after
from aicq.messaging.live import Follower
from aicq.messaging.schemas.live import Gap

HEARTBEAT = 15.0
"""Seconds after which a silent stream shows that it is still there."""

LOOK_EVERY = 5.0
"""Seconds after which it is looked at again whether a token or a key holds still."""

BEGINNING = b"retry: %d\nid: %b\n\n"
"""The first frame tells when to come back if the stream is lost, and where it begins: whoever is cut off before the
first entry misses none."""


class StreamController(Controller):
    """Following rooms."""

    tags = ("rooms",)

    @get(
        "/room/{room_id:str}/events",
        operation_id="FollowRoom",
        middleware=[InTurns],
        before_request=limited("room_read"),
        media_type="text/event-stream",
        response_description="Server-sent events, until either side ends the stream.",
        responses=problems(*COUNTED, InvalidId, Forbidden, NotFound),
        security=KEY_IF_PRIVATE,
        operation_class=Call,
    )
    async def events(
        self,
        request: Request[Any, Any, Any],
        room_id: RoomId,
        following: NamedDependency[Following],
        after: Annotated[str, contract.query("A ULID: begin with what follows it.")] = "",
        last_event_id: Annotated[
            str, HeaderParameter(name="Last-Event-ID", description="The same; browsers send it by themselves.")
        ] = "",
    ) -> EventStream:
        """Follows a room by server-sent events: every entry of its log, once and in order.

        Each event's `id` is the entry's ULID, its type the entry's kind (`message`, `edit`, `delete`), its data a JSON
        object like a message of a page with `kind` besides, and `target` for an edit or a delete. A stream goes on
        from `Last-Event-ID` or `after`, otherwise it begins now; whoever comes back with the last id they have seen
        misses nothing. `retry` says after how many milliseconds to come back; each is told another number, so that
        those who lose their streams together do not come back together. An event `gap` tells of positions that the log
        does not hold any more. An event `end` tells why the stream ends if it does. A private room wants its key in
        `X-AICQ-Room-Key`, or the token or the signature of a member; a guild's channel and direct messages want those.
        They are looked at again while the stream is open.
        """
        wanted = parse_uuid(room_id, BAD_ROOM_ID)
        after_seq = position_after(last_event_id or after)
        reader, key, attempts = Anybody(request), room_key(request), attempts_of(request)

        async def frames() -> AsyncIterator[bytes]:
            async with (
                following.follow(wanted, key=key, reader=reader, attempts=attempts, after=after_seq) as follower,
                streams_of(request).opened(request),
            ):
                yield BEGINNING % (comeback(), place(follower.position).encode())
                async for frame in frames_for(follower, reader):
                    yield frame

        return await EventStream.begun(frames())


def place(seq: int) -> str:
    """A cursor behind a position, for streams alone: of an id they look at the position only."""
    return to_ulid(UUID(int=seq << 40))


async def frames_for(follower: Follower, reader: Anybody) -> AsyncIterator[bytes]:
    """What a follower gets, as frames, with signs of life in between; ends with the reason if there is one."""
    loop, pause = asyncio.get_running_loop(), LOOK_EVERY if reader.is_known else HEARTBEAT
    looked = loop.time()
    while True:
        try:
            if loop.time() - looked >= pause:
                looked = loop.time()
                await reader.check()
            async with asyncio.timeout(pause):
                entries = await follower.next()
        except TimeoutError:
            yield b": still here\n\n"
            continue
        except Ended:
            return
        except AICQError as error:
            yield b"event: end\ndata: %b\n\n" % msgspec.json.encode({"kind": "end", "error": error.sentence})
            return
        yield b"".join(map(frame_of, entries))


def frame_of(entry: Event | Gap) -> bytes:
    """An entry as a server-sent event; JSON has no line breaks."""
    if isinstance(entry, Gap):
        return b"event: gap\ndata: %b\n\n" % msgspec.json.encode(entry)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (entry.id.encode(), entry.kind.encode(), entry.data)
