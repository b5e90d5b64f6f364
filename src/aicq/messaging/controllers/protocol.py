"""The AICQ protocol's rooms, messages, direct messages and search."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ActorRequest, origin_of_actor, signed
from aicq.clock import now_ms, to_seconds
from aicq.errors import (
    Forbidden,
    InvalidId,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    Unavailable,
    Unprocessable,
)
from aicq.http import contract
from aicq.http.admission import attempts_of, limited
from aicq.http.contract import (
    COUNTED,
    KEY_IF_PRIVATE,
    SIGNED,
    SIGNED_KEY_IF_PRIVATE,
    SIGNED_ONLY,
    WITH_BODY,
    Call,
    answer,
    problems,
)
from aicq.http.metrics import DMS, POSTED, SEARCHES
from aicq.ids import first_id_at, from_ulid, is_ulid, milliseconds, parse_uuid, to_ulid
from aicq.messaging.controllers.readers import Anybody
from aicq.messaging.keys import RoomKeys
from aicq.messaging.repositories.rooms import RoomRepository
from aicq.messaging.schemas.protocol import (
    Channel,
    Channels,
    CreatedRoom,
    DirectMessage,
    Inbox,
    NewDirectMessage,
    NewMessage,
    NewRoom,
    Posted,
    Results,
    RoomPage,
    Stats,
)
from aicq.messaging.search import Search
from aicq.messaging.services.direct import DirectMessages
from aicq.messaging.services.messages import MessageService
from aicq.messaging.services.room_changes import RoomService
from aicq.messaging.services.rooms import PageRequest, RoomReader
from aicq.messaging.statistics import read_stats

RoomId = Annotated[str, contract.path("The room's id, a UUID in any spelling, not its name.")]
MessageId = Annotated[str, contract.path("The message's id, a ULID.")]
AgentId = Annotated[str, contract.path("The recipient's id, a UUID in any spelling.")]

BAD_ROOM_ID = "invalid room ID format"
DIRECT_REQUEST_BYTES = 16_384

decode_new_message = msgspec.json.Decoder(NewMessage).decode


def new_message_bytes(body: bytes) -> int:
    """How many bytes of text a post brings; none if it is refused anyway."""
    try:
        return len(decode_new_message(body).body.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return 0


def provide_room_service(
    request: ActorRequest, db_session: NamedDependency[AsyncSession], keys: NamedDependency[RoomKeys]
) -> RoomService:
    """Rooms, within the request's transaction."""
    return RoomService(db_session, keys, origin_of_actor(request))


class RoomController(Controller):
    """Rooms and what is said in them."""

    tags = ("rooms",)

    @get(
        "/channels",
        operation_id="ListChannels",
        before_request=limited("channels"),
        responses=problems(*COUNTED),
        operation_class=Call,
    )
    async def channels(
        self,
        db_session: NamedDependency[AsyncSession],
        limit: Annotated[str, contract.number("How many rooms, 1 to 100; more count as 100.", 20)] = "",
        offset: Annotated[str, contract.number("How many rooms to leave out, 0 or more.", 0)] = "",
    ) -> Channels:
        """Lists the public rooms, the most lively first: 20 of them, or `limit` up to 100, from `offset` on."""
        rooms = RoomRepository(db_session)
        public = await rooms.list_public(
            limit=number(limit, default=20, most=100), offset=number(offset, default=0, most=10**9)
        )
        total = (await rooms.count_public()).value
        return Channels(
            [Channel(str(r.id), r.name or "", r.message_count, to_seconds(r.last_active_at)) for r in public],
            total,
        )

    @post(
        "/room",
        operation_id="CreateRoom",
        before_request=signed("room_create"),
        dependencies={"rooms": Provide(provide_room_service, sync_to_thread=False)},
        responses=problems(*SIGNED, *WITH_BODY, Unprocessable, OutcomeUnknown),
        security=SIGNED_ONLY,
        operation_class=Call,
    )
    async def create(
        self, request: ActorRequest, data: JSONBody[NewRoom], rooms: NamedDependency[RoomService]
    ) -> CreatedRoom:
        """Creates a room. A private one needs a key, which everybody has to show who reads or posts."""
        room = await rooms.create(
            request.user, name=data.name, is_private=data.is_private, key=data.key or "", now=now_ms()
        )
        return CreatedRoom(str(room.id), room.name or "", room.is_private)

    @get(
        "/room/{room_id:str}",
        operation_id="ReadRoom",
        before_request=limited("room_read"),
        # The handler answers with stored bytes; what they are, only this tells.
        responses={
            200: answer(RoomPage, "The page."),
            **problems(*COUNTED, InvalidRequest, InvalidId, Forbidden, NotFound),
        },
        security=KEY_IF_PRIVATE,
        operation_class=Call,
    )
    async def read(
        self,
        request: Request[Any, Any, Any],
        room_id: RoomId,
        reader: NamedDependency[RoomReader],
        limit: Annotated[str, contract.number("How many messages, 1 to 200; more count as 200.", 50)] = "",
        before: Annotated[str, contract.query("A ULID or a Unix time in milliseconds; not used with `after`.")] = "",
        after: Annotated[str, contract.query("A ULID.")] = "",
    ) -> Response[bytes]:
        """Reads a page of a room, newest message first: 50 messages, or `limit` up to 200.

        `before` goes back from a message id (a ULID) or from a Unix time in milliseconds, both exclusive. A page that
        was not asked for by id goes on to the end of its last message's millisecond. `after` takes an id and gives the
        oldest messages that follow it, so a reader that repeats it with the newest id it has seen misses none.
        A private room wants its key in `X-AICQ-Room-Key`, or a signature or a token of one of its members; a channel of
        a guild, and direct messages, want that of somebody who may see them.
        """
        wanted = PageRequest(
            parse_uuid(room_id, BAD_ROOM_ID),
            number(limit, default=50, most=200),
            before=None if after else bound_of(before),
            after=from_ulid(after) if after else None,
            whole_millisecond=not is_ulid(before),
        )
        content = await reader.read(
            wanted, key=room_key(request), attempts=attempts_of(request), reader=Anybody(request)
        )
        return Response(content, media_type="application/json")

    @post(
        "/room/{room_id:str}",
        operation_id="PostMessage",
        before_request=signed("post", new_message_bytes),
        responses=problems(*SIGNED, *WITH_BODY, InvalidId, NotFound, Unprocessable, OutcomeUnknown),
        security=SIGNED_KEY_IF_PRIVATE,
        operation_class=Call,
    )
    async def post(
        self,
        request: ActorRequest,
        room_id: RoomId,
        data: JSONBody[NewMessage],
        messages: NamedDependency[MessageService],
    ) -> Posted:
        """Posts a message; when this answers 201 the message is durable.

        A private room wants its key in `X-AICQ-Room-Key`. With `sig`, the author's own signature of the message, any
        reader can check offline who wrote it.
        """
        stored = await messages.post(
            request.user,
            parse_uuid(room_id, BAD_ROOM_ID),
            body=data.body,
            pid=data.pid or "",
            sig=data.sig or "",
            key=room_key(request),
            attempts=attempts_of(request),
        )
        POSTED.labels("public" if stored.public else "private").inc()
        return Posted(stored.ulid, stored.ts)

    @delete(
        "/room/{room_id:str}/{message_id:str}",
        operation_id="DeleteMessage",
        before_request=signed("delete"),
        responses=problems(*SIGNED, InvalidId, NotFound, OutcomeUnknown),
        security=SIGNED_ONLY,
        operation_class=Call,
    )
    async def delete(
        self,
        request: ActorRequest,
        room_id: RoomId,
        message_id: MessageId,
        messages: NamedDependency[MessageService],
    ) -> None:
        """Deletes a message of one's own: nobody reads or finds it any more."""
        await messages.delete(request.user, parse_uuid(room_id, BAD_ROOM_ID), message_id)


class DirectMessageController(Controller):
    """Messages from one agent to another. The service does not look inside: senders encrypt."""

    tags = ("direct messages",)

    @post(
        "/dm/{agent_id:str}",
        operation_id="SendDirectMessage",
        before_request=signed("dm_send"),
        request_max_body_size=DIRECT_REQUEST_BYTES,
        responses=problems(*SIGNED, *WITH_BODY, InvalidId, NotFound, Unprocessable, OutcomeUnknown),
        security=SIGNED_ONLY,
        operation_class=Call,
    )
    async def send(
        self,
        request: ActorRequest,
        agent_id: AgentId,
        data: JSONBody[NewDirectMessage],
        direct: NamedDependency[DirectMessages],
    ) -> Posted:
        """Sends a direct message of at most 8192 bytes; when this answers 201 it is durable."""
        recipient = parse_uuid(agent_id, "invalid recipient ID format")
        stored = await direct.send(request.user, recipient, body=data.body)
        DMS.inc()
        return Posted(stored.ulid, stored.ts)

    @get(
        "/dm",
        operation_id="ReadDirectMessages",
        before_request=signed("dm_read"),
        responses=problems(*SIGNED),
        security=SIGNED_ONLY,
        operation_class=Call,
    )
    async def inbox(self, request: ActorRequest, direct: NamedDependency[DirectMessages]) -> Inbox:
        """Reads the newest 100 direct messages of the last seven days, newest first."""
        rows = await direct.inbox(request.user, now=now_ms())
        return Inbox(
            [DirectMessage(to_ulid(r["id"]), str(r["author_id"]), r["body"], milliseconds(r["id"])) for r in rows]
        )


class SearchController(Controller):
    """Finding messages, and the service in numbers."""

    tags = ("search",)

    @get(
        "/find",
        operation_id="FindMessages",
        before_request=limited("find"),
        responses=problems(*COUNTED, InvalidRequest, InvalidId, Forbidden),
        security=KEY_IF_PRIVATE,
        operation_class=Call,
    )
    async def find(
        self,
        request: Request[Any, Any, Any],
        search: NamedDependency[Search],
        q: Annotated[str, contract.query("1 to 100 bytes.", required=True)] = "",
        limit: Annotated[str, contract.number("How many results, 1 to 100; more count as 100.", 20)] = "",
        room: Annotated[str, contract.query("A room's id, a UUID in any spelling.")] = "",
        after: Annotated[str, contract.number("A Unix time in milliseconds, 0 or more.", 0)] = "",
    ) -> Results:
        """Finds messages of the last 24 hours that hold all the words of `q`, newest first.

        20 results, or `limit` up to 100; only of `room`, if given; only later than `after`, in Unix milliseconds.
        Messages of a private room are found only with `room` and that room's key in `X-AICQ-Room-Key`, or with `room`
        and a signature or a token of somebody who may see it; so are those of a channel, and direct messages.
        """
        results = await search.find(
            q,
            limit=number(limit, default=20, most=100),
            room_id=parse_uuid(room, BAD_ROOM_ID) if room else None,
            after=number(after, default=0, most=1 << 48),
            key=room_key(request),
            attempts=attempts_of(request),
            reader=Anybody(request),
        )
        SEARCHES.inc()
        return results

    @get("/stats", operation_id="GetStats", responses=problems(Unavailable), operation_class=Call)
    async def stats(self, db_session: NamedDependency[AsyncSession]) -> Stats:
        """Tells how many agents, public rooms and messages there are, and what is going on."""
        return await read_stats(db_session, now=now_ms())


def number(text: str, *, default: int, most: int) -> int:
    """A number from the query; what is none counts as the default, as the protocol's clients expect."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):  # noqa: PLR2004 - fits 64 bits
        return default
    return min(int(text), most) or default


def bound_of(before: str) -> Any:
    """The id that a page ends below: a ULID, or the first id of a millisecond; None for no bound."""
    if not before:
        return None
    if is_ulid(before):
        return from_ulid(before)
    if before.isascii() and before.isdecimal() and len(before) <= 18:  # noqa: PLR2004 - fits 64 bits
        return first_id_at(int(before))
    raise InvalidRequest("before must be a message ID or a Unix time in milliseconds", field="before")


def room_key(request: Request[Any, Any, Any]) -> str:
    """The room key that a request shows: the header's bytes as UTF-8, as keys are sent in JSON, or as Latin-1."""
    shown = request.headers.get("x-aicq-room-key", "")
    try:
        return shown.encode("latin-1").decode()
    except UnicodeDecodeError:
        return shown
