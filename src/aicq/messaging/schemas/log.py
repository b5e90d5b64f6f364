"""What the log looks like to admins."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from aicq.messaging.schemas.protocol import Ulid


class AdminEntry(msgspec.Struct):
    """An entry of the log."""

    id: Ulid
    room_id: str
    room_name: Annotated[str | None, Meta(description="Null of direct messages.")]
    seq: Annotated[int, Meta(ge=1, description="The entry's position in its room.")]
    entry: Literal["message", "edit", "delete"]
    target_id: Annotated[str | None, Meta(description="The ULID of the message that an edit or a delete changes.")]
    author_id: str
    body: Annotated[str | None, Meta(description="The text; null of a delete, and of what was deleted.")]
    type: str
    parent_id: Annotated[str | None, Meta(description="The ULID of the message that it answers.")]
    created_at: datetime
    edited_at: datetime | None
    deleted_at: Annotated[
        datetime | None, Meta(description="When it was deleted, or the message that it changes; null if it was not.")
    ]


class AdminEntryPage(msgspec.Struct):
    """A page of the log, the newest entry first."""

    items: list[AdminEntry]
    next: Annotated[str | None, Meta(description="The `cursor` of the next page; null if this is the last.")]
