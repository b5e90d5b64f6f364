"""Read receipts and attachments under `/admin`."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.errors import Conflict, Unprocessable
from aicq.http.resources.resource import Resource, Row
from aicq.messaging.models import Message, MessageAttachment, MessageReadReceipt
from aicq.messaging.repositories.messages import MessageRepository, ReceiptRepository

FILE = ("filename", "content_type", "size_bytes", "storage_key")


class ReadReceipts(Resource):
    """Read receipts. Reading goes on, never back, so none is changed or deleted; one moves its reader's place."""

    def __init__(self) -> None:
        super().__init__(
            MessageReadReceipt,
            create=("room_id", "message_id", "actor_id"),
            filters=("room_id", "message_id", "actor_id"),
        )

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Notes that an actor, who may see it, has read a room up to a message."""
        await message_of(session, values)
        key = tuple(values[name] for name in self.key)
        if await self.find(session, key) is not None:
            raise Conflict("they have read it already", field="actor_id")
        if not await ReceiptRepository(session).mark_as_read(**values):
            raise Unprocessable("they may not see the room", field="actor_id")
        row = await self.find(session, key)
        assert row is not None  # noqa: S101 - it was written in this transaction
        return row


class Attachments(Resource):
    """Attachments. Whoever wrote the message is the one who attaches to it."""

    def __init__(self) -> None:
        super().__init__(
            MessageAttachment,
            create=("room_id", "message_id", *FILE),
            update=FILE,
            delete=True,
            filters=("room_id", "message_id", "uploader_id", "content_type"),
            search=("filename",),
        )

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds an attachment."""
        message = await message_of(session, values)
        return await super().add(session, {**values, "uploader_id": message.author_id})


async def message_of(session: AsyncSession, values: dict[str, Any]) -> Message:
    """The message that something is added to.

    Raises:
        Unprocessable: There is none, or it is deleted.
    """
    message = await MessageRepository(session).find(values["room_id"], values["message_id"])
    if message is None:
        raise Unprocessable("message_id points at nothing", field="message_id")
    return message
