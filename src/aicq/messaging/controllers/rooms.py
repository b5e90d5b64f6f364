"""Rooms under `/v1`: those of the caller, what is done to them, who is in them, how far they were read."""

from typing import Annotated, Any, Literal, cast
from uuid import UUID

import msgspec
from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ActorRequest, authenticated, origin_of_actor
from aicq.auth.principal import Principal
from aicq.clock import now_ms, to_seconds
from aicq.db.plugin import Database
from aicq.errors import InvalidId, InvalidRequest, NotFound, Unprocessable
from aicq.http import contract
from aicq.http.admission import attempts_of
from aicq.http.contract import (
    REQUEST_BYTES,
    SIGNED_OR_BEARING,
    TOKEN_OR_SIGNED,
    TOKEN_OR_SIGNED_KEY_IF_PRIVATE,
    WITH_BODY,
    Call,
    problems,
)
from aicq.http.paging import USUAL, Cursor, Limit, first_page, read_cursor
from aicq.http.resources.bodies import checked
from aicq.identity.services.directory import enter
from aicq.ids import from_ulid, parse_uuid, to_ulid
from aicq.messaging.controllers.protocol import BAD_ROOM_ID, RoomId, room_key
from aicq.messaging.keys import RoomKeys
from aicq.messaging.live import Live
from aicq.messaging.repositories.members import RoomMemberRepository
from aicq.messaging.repositories.room_views import FIRST, KINDS, RoomView, RoomViewRepository
from aicq.messaging.schemas.rooms import (
    MOST_OTHERS,
    DirectRoom,
    ReadMark,
    ReadState,
    RoomChange,
    RoomCreate,
    RoomMemberRole,
    RoomMembers,
    RoomMemberShown,
    Rooms,
    RoomShown,
)
from aicq.messaging.services.direct import DirectRoomService
from aicq.messaging.services.holds import check_visible
from aicq.messaging.services.memberships import MembershipService
from aicq.messaging.services.receipts import ReceiptService
from aicq.messaging.services.room_changes import RoomService
from aicq.messaging.services.rooms import Rooms as RoomKeeper

MemberId = Annotated[str, contract.path("The actor's id, a UUID in any spelling.")]

Kind = Annotated[
    Literal["room", "channel", "dm"] | None,
    QueryParameter(description="Only plain rooms, only channels, or only direct messages, of two or of several."),
]

BAD_ACTOR_ID = "invalid actor ID format"

DIRECT = ("dm", "group_dm")

OF_KIND = {"room": ("room",), "channel": ("text", "voice"), "dm": DIRECT}


class OwnRoomController(Controller):
    """Rooms and their members."""

    path = "/v1/rooms"
    tags = ("rooms",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @get(
        operation_id="ListOwnRooms",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        operation_class=Call,
    )
    async def list_own(
        self,
        principal: NamedDependency[Principal],
        db_session: NamedDependency[AsyncSession],
        kind: Kind = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Rooms:
        """Lists the rooms, channels and direct messages that the caller is a member of, with what is unread in each."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [FIRST]
        await enter(db_session, principal)
        kinds = OF_KIND[kind] if kind else KINDS
        views = RoomViewRepository(db_session)
        found = await views.list_of_actor(principal.id, kinds=kinds, after=after, limit=limit + 1)
        shown, rest = first_page(found, limit, lambda view: [view.id])
        direct = [view.id for view in shown if view.kind in DIRECT]
        members = await RoomMemberRepository(db_session).list_of_rooms(direct, most=MOST_OTHERS + 1)
        return Rooms([shown_room(view, members.get(view.id)) for view in shown], rest)

    @post(
        operation_id="CreateOwnRoom",
        before_request=checked(authenticated("room_create"), RoomCreate),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, Unprocessable),
        operation_class=Call,
    )
    async def create(
        self,
        request: ActorRequest,
        data: JSONBody[RoomCreate],
        db_session: NamedDependency[AsyncSession],
        keys: NamedDependency[RoomKeys],
    ) -> RoomShown:
        """Creates a room that the caller owns. A private one without a key is for its members alone."""
        principal = request.user
        rooms = RoomService(db_session, keys, origin_of_actor(request))
        room = await rooms.create(
            principal,
            name=data.name,
            description=data.description,
            is_private=data.is_private,
            key=data.key or "",
            keyless=True,
            now=now_ms(),
        )
        return await show(db_session, room.id, principal)

    @post(
        "/direct",
        operation_id="OpenDirectRoom",
        status_code=200,
        before_request=checked(authenticated("write"), DirectRoom),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def open_direct(
        self, request: ActorRequest, data: JSONBody[DirectRoom], db_session: NamedDependency[AsyncSession]
    ) -> RoomShown:
        """Opens the room for direct messages with somebody, the same each time, or a new one with several."""
        principal = request.user
        direct = DirectRoomService(db_session, origin_of_actor(request))
        return await show(db_session, await direct.open(principal, data.members, now=now_ms()), principal)

    @get(
        "/{room_id:str}",
        operation_id="GetOwnRoom",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def show(
        self, principal: NamedDependency[Principal], room_id: RoomId, db_session: NamedDependency[AsyncSession]
    ) -> RoomShown:
        """Shows a room that the caller may see: what it is, what they may do there, what is unread."""
        await enter(db_session, principal)
        wanted = parse_uuid(room_id, BAD_ROOM_ID)
        await check_visible(db_session, wanted, principal.id)
        return await show(db_session, wanted, principal)

    @patch(
        "/{room_id:str}",
        operation_id="ChangeRoom",
        before_request=checked(authenticated("room_change"), RoomChange),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def change(
        self,
        request: ActorRequest,
        room_id: RoomId,
        data: JSONBody[RoomChange],
        db_session: NamedDependency[AsyncSession],
        keys: NamedDependency[RoomKeys],
    ) -> RoomShown:
        """Renames or describes a room, or gives it a new key. Its admins do, and who manages a guild's rooms."""
        principal = request.user
        rooms = RoomService(db_session, keys, origin_of_actor(request))
        wanted = parse_uuid(room_id, BAD_ROOM_ID)
        await rooms.change(principal, wanted, **given(data))
        return await show(db_session, wanted, principal)

    @delete(
        "/{room_id:str}",
        operation_id="DeleteRoom",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def remove(
        self,
        request: ActorRequest,
        room_id: RoomId,
        db_session: NamedDependency[AsyncSession],
        keys: NamedDependency[RoomKeys],
    ) -> None:
        """Deletes a room: nobody finds or reads it any more. Its owners do, and who manages a guild's rooms."""
        principal = request.user
        rooms = RoomService(db_session, keys, origin_of_actor(request))
        await rooms.delete(principal, parse_uuid(room_id, BAD_ROOM_ID), now=now_ms())

    @post(
        "/{room_id:str}/read",
        operation_id="MarkRoomAsRead",
        status_code=200,
        before_request=checked(authenticated("write"), ReadMark),
        security=TOKEN_OR_SIGNED_KEY_IF_PRIVATE,
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def mark_as_read(
        self,
        request: ActorRequest,
        room_id: RoomId,
        data: JSONBody[ReadMark],
        database: NamedDependency[Database],
        rooms: NamedDependency[RoomKeeper],
        live: NamedDependency[Live],
    ) -> ReadState:
        """Notes that the caller has read a room up to a message. Reading goes on, never back.

        Those who follow the room over `/v1/live` are told.

        A private room wants its key in `X-AICQ-Room-Key` of who is no member.
        """
        wanted = parse_uuid(room_id, BAD_ROOM_ID)
        message_id = from_ulid(data.message_id)
        proof = await rooms.proof(wanted, room_key(request), attempts_of(request))
        async with database.transaction() as session:
            view = await ReceiptService(session).mark_as_read(request.user, wanted, message_id, proof=proof)
        last_read = to_ulid(view.last_read) if view.last_read else None
        await live.company.read(wanted, request.user.id, last_read or data.message_id, now=now_ms())
        return ReadState(last_read, view.unread)

    @get(
        "/{room_id:str}/members",
        operation_id="ListRoomMembers",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def list_members(
        self,
        request: ActorRequest,
        room_id: RoomId,
        db_session: NamedDependency[AsyncSession],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> RoomMembers:
        """Lists who is in a room. Those of a private room are told to its members, not to who holds its key."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        found = await memberships_of(request, db_session).list_all(
            request.user, parse_uuid(room_id, BAD_ROOM_ID), after=after, limit=limit + 1
        )
        shown, rest = first_page(found, limit, lambda member: [member.actor_id])
        members = [
            RoomMemberShown(str(member.actor_id), cast("Any", member.role), to_seconds(member.joined_at))
            for member in shown
        ]
        return RoomMembers(members, rest)

    @put(
        "/{room_id:str}/members/{actor_id:str}",
        operation_id="PutRoomMember",
        status_code=204,
        before_request=checked(authenticated("write"), RoomMemberRole),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def put_member(
        self,
        request: ActorRequest,
        room_id: RoomId,
        actor_id: MemberId,
        data: JSONBody[RoomMemberRole],
        db_session: NamedDependency[AsyncSession],
    ) -> None:
        """Has somebody be in a room with this role. A public room is joined by everybody who wants to."""
        await memberships_of(request, db_session).put(
            request.user, parse_uuid(room_id, BAD_ROOM_ID), parse_uuid(actor_id, BAD_ACTOR_ID), data.role
        )

    @delete(
        "/{room_id:str}/members/{actor_id:str}",
        operation_id="RemoveRoomMember",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def remove_member(
        self, request: ActorRequest, room_id: RoomId, actor_id: MemberId, db_session: NamedDependency[AsyncSession]
    ) -> None:
        """Takes somebody out of a room, or the caller themselves."""
        await memberships_of(request, db_session).remove(
            request.user, parse_uuid(room_id, BAD_ROOM_ID), parse_uuid(actor_id, BAD_ACTOR_ID)
        )


def memberships_of(request: ActorRequest, session: AsyncSession) -> MembershipService:
    """What the caller can do about members of rooms."""
    return MembershipService(session, origin_of_actor(request))


async def show(session: AsyncSession, room_id: UUID, principal: Principal) -> RoomShown:
    """A room as the caller sees it now."""
    view = await RoomViewRepository(session).find(room_id, principal.id)
    if view is None:
        raise NotFound("room not found")
    members: dict[UUID, list[UUID]] = {}
    if view.kind in DIRECT:
        members = await RoomMemberRepository(session).list_of_rooms([room_id], most=MOST_OTHERS + 1)
    return shown_room(view, members.get(room_id))


def shown_room(view: RoomView, members: list[UUID] | None = None) -> RoomShown:
    """A room on the wire."""
    return RoomShown(
        id=str(view.id),
        name=view.name,
        description=view.description,
        kind=cast("Any", view.kind),
        guild_id=str(view.guild_id) if view.guild_id else None,
        is_private=view.is_private,
        members_only=view.members_only,
        has_key=view.has_key,
        created_by=str(view.created_by) if view.created_by else None,
        created_at=to_seconds(view.created_at),
        last_active_at=to_seconds(view.last_active_at),
        message_count=view.message_count,
        last_seq=view.last_seq,
        role=cast("Any", view.role),
        permissions=view.permissions,
        last_read=to_ulid(view.last_read) if view.last_read else None,
        unread=view.unread,
        members=[str(member) for member in members] if members is not None else None,
    )


def given(data: msgspec.Struct) -> dict[str, Any]:
    """The fields that a request gives."""
    values = msgspec.structs.asdict(data)
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}
