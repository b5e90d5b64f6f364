"""Following a room by server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import HeaderParameter
from litestar.response import Stream

from aicq.errors import AICQError, Forbidden, InvalidId, NotFound
from aicq.http import contract
from aicq.http.admission import admission_of, attempts_of, limited
from aicq.http.contract import COUNTED, KEY_IF_PRIVATE, Call, problems
from aicq.http.streams import InTurns, Streams
from aicq.ids import parse_uuid, to_ulid
from aicq.messaging.access import access_to
from aicq.messaging.controllers.protocol import BAD_ROOM_ID, RoomId, room_key
from aicq.messaging.controllers.readers import Anybody
from aicq.messaging.events import Event
from aicq.messaging.feeds import Ended, position_after
from aicq.messaging.live import Follower, Live
from aicq.messaging.schemas.live import Gap
from aicq.messaging.services.rooms import Rooms

HEARTBEAT = 15.0
"""Seconds after which a silent stream shows that it is still there."""

LOOK_EVERY = 5.0
"""Seconds after which it is looked at again whether a token or a key holds still."""

BEGINNING = b"retry: 1000\nid: %b\n\n"
"""The first frame tells where a stream begins, so that whoever is cut off before the first entry misses none."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class StreamController(Controller):
    """Following rooms."""

    tags = ("rooms",)

    @get(
        "/room/{room_id:str}/events",
        operation_id="FollowRoom",
        middleware=[InTurns],
        before_request=limited("room_read"),
        media_type="text/event-stream",
        responses=problems(*COUNTED, InvalidId, Forbidden, NotFound),
        security=KEY_IF_PRIVATE,
        operation_class=Call,
    )
    async def events(
        self,
        request: Request[Any, Any, Any],
        room_id: RoomId,
        live: NamedDependency[Live],
        rooms: NamedDependency[Rooms],
        streams: NamedDependency[Streams],
        after: Annotated[str, contract.query("A ULID: begin with what follows it.")] = "",
        last_event_id: Annotated[
            str, HeaderParameter(name="Last-Event-ID", description="The same; browsers send it by themselves.")
        ] = "",
    ) -> Stream:
        """Follows a room by server-sent events: every entry of its log, once and in order.

        Each event's `id` is the entry's ULID, its type the entry's kind (`message`, `edit`, `delete`), its data a JSON
        object like a message of a page with `kind` besides, and `target` for an edit or a delete. A stream goes on
        from `Last-Event-ID` or `after`, otherwise it begins now; whoever comes back with the last id they have seen
        misses nothing. An event `gap` tells of positions that the log does not hold any more. An event `end` tells why
        the stream ends if it does. A private room wants its key in `X-AICQ-Room-Key`, or the token or the signature of
        a member; a guild's channel and direct messages want those. They are looked at again while the stream is open.
        """
        wanted = parse_uuid(room_id, BAD_ROOM_ID)
        after_seq = position_after(last_event_id or after)
        reader = Anybody(request)
        access, known = await access_to(
            rooms, wanted, key=room_key(request), reader=reader, attempts=attempts_of(request)
        )
        addresses = admission_of(request).addresses
        address = addresses.of(request.scope)

        async def frames() -> AsyncIterator[bytes]:
            async with (
                streams.opened(address, is_limited=not addresses.is_whitelisted(address)),
                live.follow(wanted, access, known=known, after=after_seq) as follower,
            ):
                yield BEGINNING % place(follower.position).encode()
                async for frame in following(follower, reader):
                    yield frame

        source = frames()
        # What can be refused is refused before the answer begins.
        first = await anext(source)
        return Stream(behind(first, source), media_type="text/event-stream", headers=HEADERS)


def place(seq: int) -> str:
    """A cursor behind a position, for streams alone: of an id they look at the position only."""
    return to_ulid(UUID(int=seq << 40))


async def behind(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """One frame, then the others."""
    yield first
    async for frame in rest:
        yield frame


async def following(follower: Follower, reader: Anybody) -> AsyncIterator[bytes]:
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
