"""What guilds, their members and their roles look like under `/v1`."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aicq.messaging.schemas.protocol import Ms, Seconds
from aicq.messaging.schemas.rooms import Permissions

Name = Annotated[str, Meta(min_length=1, max_length=100)]


class GuildCreate(msgspec.Struct, forbid_unknown_fields=True):
    """A guild to be founded.

    Args:
        name: How it is called, 1 to 100 characters.
        description: What it is about, at most 2,000 characters.
    """

    name: Name
    description: str = ""


class GuildChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is to change in a guild; what is not given stays as it is.

    Args:
        name: How it is called, 1 to 100 characters.
        description: What it is about; an empty one takes it away.
        owner_id: The member who is to own it.
    """

    name: Name | UnsetType = UNSET
    description: str | UnsetType = UNSET
    owner_id: UUID | UnsetType = UNSET


class GuildShown(msgspec.Struct, kw_only=True):
    """A guild as its members see it."""

    id: str
    name: str
    description: str | None
    owner_id: str
    created_at: Seconds
    updated_at: Seconds


class OwnGuildShown(GuildShown, kw_only=True):
    """A guild as the caller sees it.

    Args:
        permissions: What the caller may do there.
    """

    permissions: Permissions


class Guilds(msgspec.Struct):
    """A page of guilds.

    Args:
        items: The guilds.
        next: The cursor of the next page; null on the last one.
    """

    items: list[GuildShown]
    next: str | None


class InviteCreate(msgspec.Struct, forbid_unknown_fields=True):
    """An invitation to be given.

    Args:
        hours: For how long it is good, a week at most.
    """

    hours: Annotated[int, Meta(ge=1, le=168)] = 24


class InviteShown(msgspec.Struct):
    """An invitation: whoever has it can join, while its giver may let others in."""

    code: str
    expires_at: Ms


class Join(msgspec.Struct, forbid_unknown_fields=True):
    """An invitation that is to be taken."""

    code: Annotated[str, Meta(max_length=2048)]


class GuildMemberShown(msgspec.Struct, kw_only=True):
    """A member of a guild.

    Args:
        actor_id: Who.
        nickname: What they are called there; null for their own name.
        joined_at: Since when.
        roles: The roles that they were given; everybody has @everyone besides.
    """

    actor_id: str
    nickname: str | None
    joined_at: Seconds
    roles: list[str]


class GuildMembers(msgspec.Struct):
    """A page of members.

    Args:
        items: The members.
        next: The cursor of the next page; null on the last one.
    """

    items: list[GuildMemberShown]
    next: str | None


class Nickname(msgspec.Struct, forbid_unknown_fields=True):
    """What the caller is to be called in a guild; null for their own name."""

    nickname: Name | None


class BanCreate(msgspec.Struct, forbid_unknown_fields=True):
    """Why somebody is banned."""

    reason: Name | None = None


class BanShown(msgspec.Struct, kw_only=True):
    """Somebody who is banned."""

    actor_id: str
    banned_by: str | None
    reason: str | None
    created_at: Seconds


class Bans(msgspec.Struct):
    """A page of those who are banned.

    Args:
        items: The bans.
        next: The cursor of the next page; null on the last one.
    """

    items: list[BanShown]
    next: str | None


class RoleCreate(msgspec.Struct, forbid_unknown_fields=True):
    """A role to be made."""

    name: Name
    permissions: Permissions = 0


class RoleChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is to change in a role; what is not given stays as it is.

    Args:
        name: How it is called.
        permissions: What it allows.
        position: Where it stands, from 1; the roles between give way.
    """

    name: Name | UnsetType = UNSET
    permissions: Permissions | UnsetType = UNSET
    position: Annotated[int, Meta(ge=1, le=1_000_000)] | UnsetType = UNSET


class RoleShown(msgspec.Struct, kw_only=True):
    """A role.

    Args:
        id: The role.
        name: How it is called.
        permissions: What it allows.
        position: Where it stands; @everyone at 0, below all others.
    """

    id: str
    name: str
    permissions: Permissions
    position: int


class Roles(msgspec.Struct):
    """A page of roles, the highest first.

    Args:
        items: The roles.
        next: The cursor of the next page; null on the last one.
    """

    items: list[RoleShown]
    next: str | None


class ChannelCreate(msgspec.Struct, forbid_unknown_fields=True):
    """A channel to be opened.

    Args:
        name: 1 to 50 letters, digits, hyphens and underscores.
        kind: Whether people write there, or talk besides.
        description: What it is about, at most 2,000 characters.
        members_only: Whether it is for its own members alone, not for all of the guild.
    """

    name: str
    kind: Literal["text", "voice"] = "text"
    description: str = ""
    members_only: bool = False
