"""Guilds under `/v1`: founding, changing and deleting them, their members, invitations and bans."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ActorRequest, authenticated, origin_of_actor
from aicq.clock import now_ms, to_seconds
from aicq.errors import InvalidId, InvalidRequest, NotFound, Unprocessable
from aicq.http import contract
from aicq.http.contract import REQUEST_BYTES, SIGNED_OR_BEARING, TOKEN_OR_SIGNED, WITH_BODY, Call, problems
from aicq.http.paging import USUAL, Cursor, Limit, first_page, read_cursor
from aicq.http.resources.bodies import checked
from aicq.ids import parse_uuid
from aicq.messaging.controllers.rooms import BAD_ACTOR_ID, MemberId
from aicq.messaging.invites import Invites
from aicq.messaging.models import Guild
from aicq.messaging.schemas.guilds import (
    BanCreate,
    Bans,
    BanShown,
    GuildChange,
    GuildCreate,
    GuildMembers,
    GuildMemberShown,
    Guilds,
    GuildShown,
    InviteCreate,
    InviteShown,
    Join,
    Nickname,
    OwnGuildShown,
)
from aicq.messaging.services.guild_members import GuildMemberService
from aicq.messaging.services.guilds import GuildService

GuildId = Annotated[str, contract.path("The guild's id, a UUID in any spelling.")]

BAD_GUILD_ID = "invalid guild ID format"


class GuildController(Controller):
    """Guilds of the caller."""

    path = "/v1/guilds"
    tags = ("guilds",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @post(
        operation_id="CreateGuild",
        before_request=checked(authenticated("room_create"), GuildCreate),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, Unprocessable),
        operation_class=Call,
    )
    async def create(
        self, request: ActorRequest, data: JSONBody[GuildCreate], db_session: NamedDependency[AsyncSession]
    ) -> GuildShown:
        """Founds a guild that the caller owns. Everybody in it may view and post, until @everyone is changed."""
        guild = await guilds_of(request, db_session).create(
            request.user, name=data.name, description=data.description, now=now_ms()
        )
        return shown_guild(guild)

    @get(
        operation_id="ListGuilds",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        operation_class=Call,
    )
    async def list_own(
        self,
        request: ActorRequest,
        db_session: NamedDependency[AsyncSession],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Guilds:
        """Lists the guilds that the caller is a member of."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        found = await guilds_of(request, db_session).list_own(request.user, after=after, limit=limit + 1)
        shown, rest = first_page(found, limit, lambda guild: [guild.id])
        return Guilds([shown_guild(guild) for guild in shown], rest)

    @post(
        "/join",
        operation_id="JoinGuild",
        status_code=200,
        before_request=checked(authenticated("write"), Join),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def join(
        self,
        request: ActorRequest,
        data: JSONBody[Join],
        db_session: NamedDependency[AsyncSession],
        invites: NamedDependency[Invites],
    ) -> GuildShown:
        """Joins a guild by an invitation."""
        guild = await members_of(request, db_session, invites).join(request.user, data.code, now=now_ms())
        return shown_guild(guild)

    @get(
        "/{guild_id:str}",
        operation_id="GetGuild",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def show(
        self, request: ActorRequest, guild_id: GuildId, db_session: NamedDependency[AsyncSession]
    ) -> OwnGuildShown:
        """Shows a guild that the caller is a member of, and what they may do there."""
        guild, standing = await guilds_of(request, db_session).find(request.user, parse_uuid(guild_id, BAD_GUILD_ID))
        return OwnGuildShown(**msgspec.structs.asdict(shown_guild(guild)), permissions=standing.permissions)

    @patch(
        "/{guild_id:str}",
        operation_id="ChangeGuild",
        before_request=checked(authenticated("write"), GuildChange),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def change(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        data: JSONBody[GuildChange],
        db_session: NamedDependency[AsyncSession],
    ) -> GuildShown:
        """Renames or describes a guild, as its administrators may, or hands it over, as its owner may."""
        guild = await guilds_of(request, db_session).change(
            request.user,
            parse_uuid(guild_id, BAD_GUILD_ID),
            name=data.name or None,
            description=None if data.description is msgspec.UNSET else data.description,
            owner_id=data.owner_id or None,
        )
        return shown_guild(guild)

    @delete(
        "/{guild_id:str}",
        operation_id="DeleteGuild",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def remove(self, request: ActorRequest, guild_id: GuildId, db_session: NamedDependency[AsyncSession]) -> None:
        """Deletes a guild of the caller's own with all its channels."""
        await guilds_of(request, db_session).delete(request.user, parse_uuid(guild_id, BAD_GUILD_ID), now=now_ms())

    @post(
        "/{guild_id:str}/invites",
        operation_id="CreateInvite",
        before_request=checked(authenticated("write"), InviteCreate),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def invite(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        data: JSONBody[InviteCreate],
        db_session: NamedDependency[AsyncSession],
        invites: NamedDependency[Invites],
    ) -> InviteShown:
        """Makes an invitation that whoever has it can join with. Who may kick may invite."""
        code, expires = await members_of(request, db_session, invites).invite(
            request.user, parse_uuid(guild_id, BAD_GUILD_ID), seconds=data.hours * 3600, now=now_ms()
        )
        return InviteShown(code, expires)

    @get(
        "/{guild_id:str}/members",
        operation_id="ListGuildMembers",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def list_members(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        db_session: NamedDependency[AsyncSession],
        invites: NamedDependency[Invites],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> GuildMembers:
        """Lists who is in a guild, with the roles that each was given."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        found, roles = await members_of(request, db_session, invites).list_all(
            request.user, parse_uuid(guild_id, BAD_GUILD_ID), after=after, limit=limit + 1
        )
        shown, rest = first_page(found, limit, lambda member: [member.actor_id])
        members = [
            GuildMemberShown(
                actor_id=str(member.actor_id),
                nickname=member.nickname,
                joined_at=to_seconds(member.joined_at),
                roles=[str(role_id) for role_id in roles[member.actor_id]],
            )
            for member in shown
        ]
        return GuildMembers(members, rest)

    @put(
        "/{guild_id:str}/nickname",
        operation_id="SetNickname",
        status_code=204,
        before_request=checked(authenticated("write"), Nickname),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def set_nickname(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        data: JSONBody[Nickname],
        db_session: NamedDependency[AsyncSession],
        invites: NamedDependency[Invites],
    ) -> None:
        """Sets what the caller is called in a guild."""
        await members_of(request, db_session, invites).rename(
            request.user, parse_uuid(guild_id, BAD_GUILD_ID), data.nickname
        )

    @put(
        "/{guild_id:str}/members/{actor_id:str}",
        operation_id="AddGuildMember",
        status_code=204,
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def add_member(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        actor_id: MemberId,
        db_session: NamedDependency[AsyncSession],
        invites: NamedDependency[Invites],
    ) -> None:
        """Makes somebody a member. Who may kick may let in."""
        await members_of(request, db_session, invites).add(
            request.user, parse_uuid(guild_id, BAD_GUILD_ID), parse_uuid(actor_id, BAD_ACTOR_ID)
        )

    @delete(
        "/{guild_id:str}/members/{actor_id:str}",
        operation_id="RemoveGuildMember",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def remove_member(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        actor_id: MemberId,
        db_session: NamedDependency[AsyncSession],
        invites: NamedDependency[Invites],
    ) -> None:
        """Kicks somebody who stands lower, or leaves. Roles and places in channels end with the membership."""
        await members_of(request, db_session, invites).remove(
            request.user, parse_uuid(guild_id, BAD_GUILD_ID), parse_uuid(actor_id, BAD_ACTOR_ID)
        )

    @get(
        "/{guild_id:str}/bans",
        operation_id="ListBans",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def list_bans(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        db_session: NamedDependency[AsyncSession],
        invites: NamedDependency[Invites],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Bans:
        """Lists who is banned from a guild, for those who may ban."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        found = await members_of(request, db_session, invites).list_bans(
            request.user, parse_uuid(guild_id, BAD_GUILD_ID), after=after, limit=limit + 1
        )
        shown, rest = first_page(found, limit, lambda ban: [ban.actor_id])
        bans = [
            BanShown(
                actor_id=str(ban.actor_id),
                banned_by=str(ban.banned_by) if ban.banned_by else None,
                reason=ban.reason,
                created_at=to_seconds(ban.created_at),
            )
            for ban in shown
        ]
        return Bans(bans, rest)

    @put(
        "/{guild_id:str}/bans/{actor_id:str}",
        operation_id="BanFromGuild",
        status_code=204,
        before_request=checked(authenticated("write"), BanCreate),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def ban(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        actor_id: MemberId,
        data: JSONBody[BanCreate],
        db_session: NamedDependency[AsyncSession],
        invites: NamedDependency[Invites],
    ) -> None:
        """Bans somebody who stands lower, or is no member: they are out, and cannot come back until it is lifted."""
        await members_of(request, db_session, invites).ban(
            request.user,
            parse_uuid(guild_id, BAD_GUILD_ID),
            parse_uuid(actor_id, BAD_ACTOR_ID),
            reason=data.reason,
        )

    @delete(
        "/{guild_id:str}/bans/{actor_id:str}",
        operation_id="LiftBan",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def unban(
        self,
        request: ActorRequest,
        guild_id: GuildId,
        actor_id: MemberId,
        db_session: NamedDependency[AsyncSession],
        invites: NamedDependency[Invites],
    ) -> None:
        """Lifts a ban; that alone makes nobody a member."""
        await members_of(request, db_session, invites).unban(
            request.user, parse_uuid(guild_id, BAD_GUILD_ID), parse_uuid(actor_id, BAD_ACTOR_ID)
        )


def guilds_of(request: ActorRequest, session: AsyncSession) -> GuildService:
    """What the caller can do about guilds."""
    return GuildService(session, origin_of_actor(request))


def members_of(request: ActorRequest, session: AsyncSession, invites: Invites) -> GuildMemberService:
    """What the caller can do about members of guilds."""
    return GuildMemberService(session, invites, origin_of_actor(request))


def shown_guild(guild: Guild) -> GuildShown:
    """A guild on the wire."""
    return GuildShown(
        id=str(guild.id),
        name=guild.name,
        description=guild.description,
        owner_id=str(guild.owner_id),
        created_at=to_seconds(guild.created_at),
        updated_at=to_seconds(guild.updated_at),
    )
