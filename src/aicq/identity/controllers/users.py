"""People see and change their own account."""

from typing import Annotated, Any, cast

from litestar import Controller, delete, get, patch, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ActorRequest, authenticated, bearing
from aicq.auth.principal import Principal
from aicq.clock import now_ms, to_seconds
from aicq.errors import Conflict, HotStoreUnavailable, InvalidId, NotFound, Unprocessable
from aicq.hot.presence import Presence
from aicq.http import contract
from aicq.http.admission import guesses_of, origin_of
from aicq.http.contract import (
    BEARING,
    REQUEST_BYTES,
    SIGNED_OR_BEARING,
    TOKEN_ONLY,
    TOKEN_OR_SIGNED,
    WITH_BODY,
    Call,
    problems,
)
from aicq.http.resources.bodies import checked
from aicq.identity.models import User
from aicq.identity.schemas.users import Account, Farewell, PasswordChange, PublicProfile, UserChange
from aicq.identity.services.directory import enter
from aicq.identity.services.users import UserService, WrongPassword
from aicq.ids import parse_uuid

UserId = Annotated[str, contract.path("The user's id, a UUID.")]


class PeopleController(Controller):
    """What people may know of each other."""

    path = "/v1/users"
    tags = ("users",)

    @get(
        "/{user_id:str}",
        operation_id="GetUser",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        security=TOKEN_OR_SIGNED,
        operation_class=Call,
    )
    async def show(
        self,
        user_id: UserId,
        principal: NamedDependency[Principal],
        users: NamedDependency[UserService],
        db_session: NamedDependency[AsyncSession],
        presence: NamedDependency[Presence],
    ) -> PublicProfile:
        """Shows what everybody here may know of a person. Who was not seen for five minutes is offline."""
        await enter(db_session, principal)
        user = await users.find(parse_uuid(user_id, "invalid user ID format"))
        return PublicProfile(
            id=str(user.id),
            username=user.username,
            display_name=user.display_name,
            avatar_url=user.avatar_url,
            status=cast("Any", user.status if await is_present(presence, user) else "offline"),
            joined_at=to_seconds(user.created_at),
        )


class UserController(Controller):
    """A person's own account."""

    path = "/v1/users/me"
    tags = ("users",)
    security = TOKEN_ONLY
    request_max_body_size = REQUEST_BYTES

    @get(
        operation_id="GetOwnAccount",
        before_request=bearing("read"),
        responses=problems(*BEARING, NotFound),
        operation_class=Call,
    )
    async def show(self, principal: NamedDependency[Principal], users: NamedDependency[UserService]) -> Account:
        """Shows the caller's account."""
        return account_of(await users.find(principal.id))

    @patch(
        operation_id="ChangeOwnAccount",
        before_request=checked(bearing("write"), UserChange),
        responses=problems(*BEARING, *WITH_BODY, NotFound, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def change(
        self,
        request: ActorRequest,
        data: JSONBody[UserChange],
        principal: NamedDependency[Principal],
        users: NamedDependency[UserService],
    ) -> Account:
        """Changes the caller's account; what is not given stays as it is."""
        return account_of(await users.change(principal, data, origin_of(request, "user", principal.id), now=now_ms()))

    @put(
        "/password",
        operation_id="ChangePassword",
        status_code=204,
        before_request=checked(bearing("write"), PasswordChange),
        responses=problems(*BEARING, *WITH_BODY, WrongPassword, Unprocessable),
        operation_class=Call,
    )
    async def change_password(
        self,
        request: ActorRequest,
        data: JSONBody[PasswordChange],
        principal: NamedDependency[Principal],
        users: NamedDependency[UserService],
    ) -> None:
        """Gives the caller another password and ends all their other sessions."""
        await users.change_password(
            principal,
            old=data.old_password,
            new=data.new_password,
            guesses=guesses_of(request),
            origin=origin_of(request, "user", principal.id),
            now=now_ms(),
        )

    @delete(
        operation_id="DeleteOwnAccount",
        before_request=checked(bearing("write"), Farewell),
        responses=problems(*BEARING, *WITH_BODY, WrongPassword, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def remove(
        self,
        request: ActorRequest,
        data: JSONBody[Farewell],
        principal: NamedDependency[Principal],
        users: NamedDependency[UserService],
    ) -> None:
        """Deletes the caller: what they wrote stays, all that was known of them goes, for good."""
        await users.delete(
            principal,
            password=data.password,
            guesses=guesses_of(request),
            origin=origin_of(request, "user", principal.id),
        )


async def is_present(presence: Presence, user: User) -> bool:
    """Whether a user was seen lately; nobody is while the hot store is away."""
    try:
        [present] = await presence.present([user.id], now=now_ms())
    except HotStoreUnavailable:
        return False
    return present


def account_of(user: User) -> Account:
    """An account as its user sees it."""
    return Account(
        id=str(user.id),
        username=user.username,
        email=user.email,
        display_name=user.display_name,
        avatar_url=user.avatar_url,
        status=cast("Any", user.status),
        role=cast("Any", user.role),
        preferences=user.preferences,
        last_seen_at=to_seconds(user.last_seen_at) if user.last_seen_at else None,
        created_at=to_seconds(user.created_at),
        updated_at=to_seconds(user.updated_at),
    )
