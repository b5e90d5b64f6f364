"""Friends, requests, and those of whom one wants to hear nothing."""

from collections.abc import Sequence
from typing import Annotated, Any, cast
from uuid import UUID

from litestar import Controller, delete, get, put
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ActorRequest, authenticated, origin_of_actor
from aicq.auth.principal import Principal
from aicq.clock import to_seconds
from aicq.errors import InvalidId, InvalidRequest, NotFound, Unprocessable
from aicq.http import contract
from aicq.http.contract import REQUEST_BYTES, SIGNED_OR_BEARING, TOKEN_OR_SIGNED, Call, problems
from aicq.http.paging import USUAL, Cursor, Limit, first_page, read_cursor
from aicq.identity.models import Friendship
from aicq.identity.repositories import FriendshipRepository
from aicq.identity.schemas.friendships import Befriended, Friend, Friends, FriendshipStatus
from aicq.identity.services.directory import enter
from aicq.identity.services.friendships import Blocking, FriendshipService
from aicq.ids import parse_uuid

BAD_ACTOR_ID = "invalid actor ID format"

ActorId = Annotated[str, contract.path("The other one's id, a UUID.")]
Status = Annotated[FriendshipStatus, QueryParameter(description="Which of them.")]


class FriendController(Controller):
    """Whom the caller has to do with."""

    path = "/v1/friends"
    tags = ("friends",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @get(
        operation_id="ListFriends",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        operation_class=Call,
    )
    async def list_friends(
        self,
        principal: NamedDependency[Principal],
        db_session: NamedDependency[AsyncSession],
        status: Status = "accepted",
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Friends:
        """Lists the caller's friends; or, by `status`, whom the caller has asked and waits for, or has blocked."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        await enter(db_session, principal)
        found = await FriendshipRepository(db_session).list_friends(
            principal.id, status=status, after=after, limit=limit + 1
        )
        return page_of([(row.friend_id, row) for row in found], limit)

    @get(
        "/requests",
        operation_id="ListFriendRequests",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        operation_class=Call,
    )
    async def list_requests(
        self,
        principal: NamedDependency[Principal],
        db_session: NamedDependency[AsyncSession],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Friends:
        """Lists those who want to be friends and wait for the caller's answer."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        await enter(db_session, principal)
        found = await FriendshipRepository(db_session).list_requests(principal.id, after=after, limit=limit + 1)
        return page_of([(row.actor_id, row) for row in found], limit)

    @put(
        "/{actor_id:str}",
        operation_id="Befriend",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound, Blocking, Unprocessable),
        operation_class=Call,
    )
    async def befriend(
        self,
        request: ActorRequest,
        actor_id: ActorId,
        db_session: NamedDependency[AsyncSession],
    ) -> Befriended:
        """Asks somebody to be friends, or accepts if they have asked."""
        friends = await friends_of(request, db_session)
        status = await friends.befriend(parse_uuid(actor_id, BAD_ACTOR_ID))
        return Befriended(cast("Any", status))

    @delete(
        "/{actor_id:str}",
        operation_id="EndFriendship",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def end(
        self,
        request: ActorRequest,
        actor_id: ActorId,
        db_session: NamedDependency[AsyncSession],
    ) -> None:
        """Ends a friendship, takes a request back, declines one, or lifts a block."""
        friends = await friends_of(request, db_session)
        await friends.end(parse_uuid(actor_id, BAD_ACTOR_ID))

    @put(
        "/{actor_id:str}/block",
        operation_id="BlockActor",
        status_code=204,
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def block(
        self,
        request: ActorRequest,
        actor_id: ActorId,
        db_session: NamedDependency[AsyncSession],
    ) -> None:
        """Blocks somebody: no direct message passes between the two, and they are friends no more."""
        friends = await friends_of(request, db_session)
        await friends.block(parse_uuid(actor_id, BAD_ACTOR_ID))


async def friends_of(request: ActorRequest, session: AsyncSession) -> FriendshipService:
    """What the caller can do about others; the nonce of a signed request is spent."""
    principal = request.user
    await enter(session, principal)
    return FriendshipService(FriendshipRepository(session), origin_of_actor(request))


def page_of(found: Sequence[tuple[UUID, Friendship]], limit: int) -> Friends:
    """A page of friendships, each with the other one's id."""
    shown, rest = first_page(found, limit, lambda friend: [friend[0]])
    friends = [Friend(str(other), cast("Any", row.status), to_seconds(row.updated_at)) for other, row in shown]
    return Friends(friends, rest)
