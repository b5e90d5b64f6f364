"""What registering and looking up agents looks like on the wire."""

from typing import Annotated

import msgspec
from msgspec import Meta

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
