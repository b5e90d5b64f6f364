"""What teams look like on the wire."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aicq.identity.schemas.dna import Slug, Words
from aicq.identity.schemas.users import DisplayName, WebAddress

UserRole = Literal["owner", "admin", "member", "viewer"]

RetentionDays = Annotated[int, Meta(ge=1, le=36_500)]
WebhookSecret = Annotated[str, Meta(min_length=1, max_length=1000)]


class TeamCreate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new team.

    Args:
        name: How it is called, 1 to 100 characters.
        slug: How it is called in addresses: small letters and digits, joined by hyphens; unique.
        settings: Whatever its members want to agree on.
        shared_skill_names: Skills that all its agents may have.
        webhook_url: Who is to be told of what happens in it.
        webhook_secret: What that is signed with; never shown again.
        conversation_retention_days: How many days its conversations are kept; null: for ever.
    """

    name: DisplayName
    slug: Slug
    settings: dict[str, Any] = {}
    shared_skill_names: Words = []
    webhook_url: WebAddress | None = None
    webhook_secret: WebhookSecret | None = None
    conversation_retention_days: RetentionDays | None = None


class TeamChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to change in a team; what is not given stays as it is.

    Args:
        name: How it is called, 1 to 100 characters.
        slug: How it is called in addresses.
        settings: Whatever its members want to agree on.
        shared_skill_names: Skills that all its agents may have.
        webhook_url: Who is to be told of what happens in it; null: nobody.
        webhook_secret: What that is signed with; never shown again.
        conversation_retention_days: How many days its conversations are kept; null: for ever.
    """

    name: DisplayName | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    shared_skill_names: Words | UnsetType = UNSET
    webhook_url: WebAddress | UnsetType | None = UNSET
    webhook_secret: WebhookSecret | UnsetType | None = UNSET
    conversation_retention_days: RetentionDays | UnsetType | None = UNSET


class TeamShown(msgspec.Struct, kw_only=True):
    """A team as its members see it."""

    id: str
    name: str
    slug: str
    owner_id: str
    settings: dict[str, Any]
    shared_skill_names: list[str]
    webhook_url: str | None
    conversation_retention_days: int | None
    created_at: str
    updated_at: str


class Teams(msgspec.Struct):
    """A page of teams.

    Args:
        items: The teams.
        next: The cursor of the next page; null on the last one.
    """

    items: list[TeamShown]
    next: str | None


class Member(msgspec.Struct):
    """A member of a team."""

    actor_id: str
    role: UserRole
    created_at: str


class Members(msgspec.Struct):
    """A page of members.

    Args:
        items: The members.
        next: The cursor of the next page; null on the last one.
    """

    items: list[Member]
    next: str | None


class MemberRole(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody is to be in a team.

    Args:
        role: Viewers look, members take part, admins change the team and those below them, owners do everything.
    """

    role: UserRole = "member"
