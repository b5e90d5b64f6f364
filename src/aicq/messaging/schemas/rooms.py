"""What rooms and their messages look like under `/v1`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from aicq.messaging.schemas.protocol import Ms, Ulid


class MessageEdit(msgspec.Struct):
    """A message's new text."""

    body: Annotated[str, Meta(description="1 to 4096 bytes.")] = ""
    sig: Annotated[
        str | None,
        Meta(description="The author's signature of the new text, made like that of a post; optional."),
    ] = ""


class Edited(msgspec.Struct):
    """An edit that was stored."""

    id: Annotated[Ulid, Meta(description="The message's id, the same as before.")]
    edited_at: Ms
    entry_id: Annotated[Ulid, Meta(description="The edit's own id; its position comes after all before it.")]
