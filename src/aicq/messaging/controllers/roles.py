"""Roles and channels of guilds under `/v1`."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ActorRequest, authenticated, origin_of_actor
from aicq.clock import now_ms
from aicq.errors import InvalidId, InvalidRequest, NotFound, Unprocessable
from aicq.http import contract
from aicq.http.contract import REQUEST_BYTES, SIGNED_OR_BEARING, TOKEN_OR_SIGNED, WITH_BODY, Call, problems
from aicq.http.paging import USUAL, Cursor, Limit, first_page, read_cursor
from aicq.http.resources.bodies import checked
from aicq.ids import parse_uuid
from aicq.messaging.controllers.guilds import BAD_GUILD_ID, GuildId
from aicq.messaging.controllers.rooms import BAD_ACTOR_ID, MemberId, shown_room
from aicq.messaging.models import Role
from aicq.messaging.schemas.guilds import ChannelCreate, RoleChange, RoleCreate, Roles, RoleShown
from aicq.messaging.schemas.rooms import Rooms, RoomShown
from aicq.messaging.services.channels import ChannelService
from aicq.messaging.services.roles import RoleService

RoleId = Annotated[str, contract.path("The role's id, a UUID in any spelling.")]

BAD_ROLE_ID = "invalid role ID format"


class RoleController(Controller):
    """What members of a guild may do. Nobody allows more than they may do, or changes what stands as high."""

    path = "/v1/guilds/{guild_id:str}"
    tags = ("guilds",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @get(
        "/roles",
        operation_id="ListRoles",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def list_roles(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        db_session: NamedDependency[AsyncSession],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Roles:
        """Lists a guild's roles, the highest first and @everyone last."""
        [below] = read_cursor(cursor, [int]) if cursor else [None]
        found = await roles_of(request, db_session).list_all(
            request.user, parse_uuid(guild_id, BAD_GUILD_ID), below=below, limit=limit + 1
        )
        shown, rest = first_page(found, limit, lambda role: [role.position])
        return Roles([shown_role(role) for role in shown], rest)

    @post(
        "/roles",
        operation_id="CreateRole",
        before_request=checked(authenticated("write"), RoleCreate),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def create(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        data: JSONBody[RoleCreate],
        db_session: NamedDependency[AsyncSession],
    ) -> RoleShown:
        """Makes a role, just above @everyone. Who may manage roles does."""
        role = await roles_of(request, db_session).create(
            request.user,
            parse_uuid(guild_id, BAD_GUILD_ID),
            name=data.name,
            permissions=data.permissions,
            now=now_ms(),
        )
        return shown_role(role)

    @patch(
        "/roles/{role_id:str}",
        operation_id="ChangeRole",
        before_request=checked(authenticated("write"), RoleChange),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def change(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        role_id: RoleId,
        data: JSONBody[RoleChange],
        db_session: NamedDependency[AsyncSession],
    ) -> RoleShown:
        """Renames or moves a role, or changes what it allows. Of @everyone only the latter can be changed."""
        role = await roles_of(request, db_session).change(
            request.user,
            parse_uuid(guild_id, BAD_GUILD_ID),
            parse_uuid(role_id, BAD_ROLE_ID),
            name=data.name or None,
            permissions=None if data.permissions is msgspec.UNSET else data.permissions,
            position=data.position or None,
        )
        return shown_role(role)

    @delete(
        "/roles/{role_id:str}",
        operation_id="DeleteRole",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def remove(
        self, request: ActorRequest, guild_id: GuildId, role_id: RoleId, db_session: NamedDependency[AsyncSession]
    ) -> None:
        """Deletes a role; nobody has it any more."""
        await roles_of(request, db_session).delete(
            request.user, parse_uuid(guild_id, BAD_GUILD_ID), parse_uuid(role_id, BAD_ROLE_ID)
        )

    @put(
        "/members/{actor_id:str}/roles/{role_id:str}",
        operation_id="GiveRole",
        status_code=204,
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def give(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        actor_id: MemberId,
        role_id: RoleId,
        db_session: NamedDependency[AsyncSession],
    ) -> None:
        """Gives a role to a member."""
        await roles_of(request, db_session).give(
            request.user,
            parse_uuid(guild_id, BAD_GUILD_ID),
            parse_uuid(actor_id, BAD_ACTOR_ID),
            parse_uuid(role_id, BAD_ROLE_ID),
        )

    @delete(
        "/members/{actor_id:str}/roles/{role_id:str}",
        operation_id="TakeRole",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def take(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        actor_id: MemberId,
        role_id: RoleId,
        db_session: NamedDependency[AsyncSession],
    ) -> None:
        """Takes a role from a member."""
        await roles_of(request, db_session).take(
            request.user,
            parse_uuid(guild_id, BAD_GUILD_ID),
            parse_uuid(actor_id, BAD_ACTOR_ID),
            parse_uuid(role_id, BAD_ROLE_ID),
        )

    @get(
        "/channels",
        operation_id="ListGuildChannels",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def list_channels(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        db_session: NamedDependency[AsyncSession],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Rooms:
        """Lists the channels of a guild that the caller may see, with what is unread in each."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        found = await channels_of(request, db_session).list_visible(
            request.user, parse_uuid(guild_id, BAD_GUILD_ID), after=after, limit=limit + 1
        )
        shown, rest = first_page(found, limit, lambda view: [view.id])
        return Rooms([shown_room(view) for view in shown], rest)

    @post(
        "/channels",
        operation_id="CreateChannel",
        before_request=checked(authenticated("write"), ChannelCreate),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def create_channel(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        data: JSONBody[ChannelCreate],
        db_session: NamedDependency[AsyncSession],
    ) -> RoomShown:
        """Opens a channel, a room of the guild: what is done to it from then on is done under `/v1/rooms/{id}`."""
        view = await channels_of(request, db_session).create(
            request.user,
            parse_uuid(guild_id, BAD_GUILD_ID),
            name=data.name,
            kind=data.kind,
            description=data.description,
            members_only=data.members_only,
            now=now_ms(),
        )
        return shown_room(view)


def roles_of(request: ActorRequest, session: AsyncSession) -> RoleService:
    """What the caller can do about roles."""
    return RoleService(session, origin_of_actor(request))


def channels_of(request: ActorRequest, session: AsyncSession) -> ChannelService:
    """What the caller can do about channels."""
    return ChannelService(session, origin_of_actor(request))


def shown_role(role: Role) -> RoleShown:
    """A role on the wire."""
    return RoleShown(id=str(role.id), name=role.name, permissions=role.permissions, position=role.position)
