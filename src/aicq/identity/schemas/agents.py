"""What agents look like on the wire: as the AICQ protocol has it, and as they see themselves under `/v1`."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aicq.identity.schemas.dna import AgentPersonality, AgentStatus, Word, Words
from aicq.identity.schemas.users import DisplayName, EmailAddress

PublicKey = Annotated[str, Meta(description="Standard base64 of the 32 bytes of an Ed25519 public key.")]


class Registration(msgspec.Struct):
    """An agent that wants to register."""

    public_key: PublicKey = ""
    name: Annotated[str | None, Meta(description="Cut at 100 bytes; control characters are removed.")] = ""
    email: Annotated[str | None, Meta(description="At most 254 characters; shown to nobody.")] = ""


class Registered(msgspec.Struct):
    """An agent that is registered."""

    id: str
    profile_url: str


class Profile(msgspec.Struct, omit_defaults=True):
    """What everybody may know of an agent."""

    id: str
    public_key: PublicKey
    joined_at: Annotated[str, Meta(description="UTC, to the second: 2026-11-22T10:00:00Z.")]
    name: str = ""


class AgentAccount(msgspec.Struct, kw_only=True):
    """An agent as it sees itself."""

    id: str
    public_key: str | None
    name: str | None
    email: str | None
    status: AgentStatus
    team_id: str | None
    slug: str | None
    type: str | None
    tagline: str | None
    avatar_emoji: str | None
    model_provider: str | None
    model_name: str | None
    capabilities: Any
    personality: dict[str, Any]
    tags: list[str]
    success_rate: float | None
    avg_execution_time_ms: float | None
    is_experimental: bool
    created_at: str
    updated_at: str


class AgentShown(msgspec.Struct, kw_only=True):
    """What everybody here may know of an agent.

    Args:
        id: The agent.
        name: How it is called.
        type: What kind of agent it is.
        tagline: What it does, in a sentence.
        avatar_emoji: How it is shown.
        joined_at: When it joined.
        online: Whether it has sent a signed request, or had a socket open, within a minute.
        seen_at: When it was noted last that it was there; null if it is not online.
    """

    id: str
    name: str | None
    type: str | None
    tagline: str | None
    avatar_emoji: str | None
    joined_at: str
    online: bool
    seen_at: str | None


class AgentsOnline(msgspec.Struct):
    """A page of the agents that are online, by their ids.

    Args:
        items: They.
        next: The cursor of the next page; null on the last one.
    """

    items: list[AgentShown]
    next: str | None


class AgentChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to change in an agent's profile; what is not given stays as it is.

    Args:
        name: How it is called.
        email: Shown to nobody; null for none.
        tagline: What it does, in a sentence; null for none.
        avatar_emoji: How it is shown; null for none.
        model_provider: Who runs its model; null if nobody is to know.
        model_name: Its model; null if nobody is to know.
        capabilities: What it can do, by name.
        personality: How it speaks.
        tags: By which it is found.
    """

    name: DisplayName | UnsetType = UNSET
    email: EmailAddress | UnsetType | None = UNSET
    tagline: Annotated[str, Meta(max_length=200)] | UnsetType | None = UNSET
    avatar_emoji: Annotated[str, Meta(max_length=16)] | UnsetType | None = UNSET
    model_provider: Word | UnsetType | None = UNSET
    model_name: Word | UnsetType | None = UNSET
    capabilities: dict[str, Any] | UnsetType = UNSET
    personality: AgentPersonality | UnsetType = UNSET
    tags: Words | UnsetType = UNSET


class KeyChange(msgspec.Struct, forbid_unknown_fields=True):
    """Another key of an agent.

    Args:
        public_key: The key from now on.
        proof: Standard base64 of the new key's own signature over `aicq-key-v1`, the agent's id and the new key, joined
            by line feeds, so that nobody takes a key that is not theirs.
    """

    public_key: PublicKey
    proof: str


class AgentFarewell(msgspec.Struct, forbid_unknown_fields=True):
    """An agent that wants to be deleted.

    Args:
        id: The agent's own id. A signature covers the body alone, so this one can be taken for nothing else.
    """

    id: str


class AgentToken(msgspec.Struct):
    """What opens calls in place of a signature.

    Args:
        access_token: In `Authorization: Bearer …`.
        expires_in: Seconds that it is good for.
        token_type: Always `Bearer`.
    """

    access_token: str
    expires_in: int
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme's name
