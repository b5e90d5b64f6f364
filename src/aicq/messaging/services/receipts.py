"""Who has read what, and the files that belong to messages."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.auth.principal import Principal
from aicq.errors import Forbidden, NotFound
from aicq.identity.services.directory import enter
from aicq.messaging.models import MessageAttachment
from aicq.messaging.repositories.messages import (
    FIRST,
    AttachmentRepository,
    MessageRepository,
    NewAttachment,
    ReceiptRepository,
)
from aicq.messaging.repositories.room_views import RoomView, RoomViewRepository
from aicq.messaging.services.holds import check_visible
from aicq.origin import Origin


class ReceiptService:
    """Read receipts, within a request's transaction.

    Args:
        session: The transaction.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._receipts = ReceiptRepository(session)
        self._views = RoomViewRepository(session)

    async def mark_as_read(self, caller: Principal, room_id: UUID, message_id: UUID, *, proof: str | None) -> RoomView:
        """Notes that the caller has read a room up to a message; an older one than before changes nothing.

        Raises:
            NotFound: There is no such room or message.
            Forbidden: The room is private, and the caller is no member.
        """
        await enter(self._session, caller)
        if not await self._receipts.mark_as_read(room_id, message_id, caller.id, proof=proof):
            await check_visible(self._session, room_id, caller.id, proof=proof)
            raise NotFound("message not found")
        view = await self._views.find(room_id, caller.id)
        if view is None:
            raise NotFound("room not found")
        return view

    async def list_readers(
        self, caller: Principal, room_id: UUID, message_id: UUID, *, proof: str | None, after: UUID | None, limit: int
    ) -> Sequence[Any]:
        """Who has read a room up to a message or beyond.

        Raises:
            NotFound: There is no such room.
            Forbidden: The room is private, and the caller is no member.
        """
        await enter(self._session, caller)
        readers = await self._receipts.list_readers(
            room_id, message_id, caller.id, proof=proof, after=after or FIRST, limit=limit
        )
        if not readers:
            await check_visible(self._session, room_id, caller.id, proof=proof)
        return readers


class AttachmentService:
    """Files that belong to messages, within a request's transaction. Their bytes lie elsewhere.

    Args:
        session: The transaction.
        origin: Who asks, for the audit log.
    """

    def __init__(self, session: AsyncSession, origin: Origin) -> None:
        self._session = session
        self._origin = origin
        self._attachments = AttachmentRepository(session)
        self._messages = MessageRepository(session)

    async def create(
        self, caller: Principal, room_id: UUID, message_id: UUID, file: NewAttachment, *, proof: str | None
    ) -> MessageAttachment:
        """Attaches a file to a message of the caller's own.

        Raises:
            NotFound: There is no such room or message.
            Forbidden: Somebody else wrote the message, or the caller may not write there.
        """
        await enter(self._session, caller)
        attachment = await self._attachments.create(room_id, message_id, caller.id, file, proof=proof)
        if attachment is None:
            await check_visible(self._session, room_id, caller.id, proof=proof)
            if await self._messages.find(room_id, message_id) is None:
                raise NotFound("message not found")
            raise Forbidden("files are attached to messages of your own, where you may write")
        new = {"room_id": room_id, "message_id": message_id, "size_bytes": file.size_bytes}
        await self._record("create", attachment.id, new=new)
        return attachment

    async def list_all(
        self, caller: Principal, room_id: UUID, message_id: UUID, *, proof: str | None, after: UUID | None, limit: int
    ) -> Sequence[MessageAttachment]:
        """The files of a message.

        Raises:
            NotFound: There is no such room or message.
            Forbidden: The room is private, and the caller is no member.
        """
        await enter(self._session, caller)
        attachments = await self._attachments.list_of_message(
            room_id, message_id, caller.id, proof=proof, after=after, limit=limit
        )
        if not attachments:
            await check_visible(self._session, room_id, caller.id, proof=proof)
            if await self._messages.find(room_id, message_id) is None:
                raise NotFound("message not found")
        return attachments

    async def remove(self, caller: Principal, room_id: UUID, message_id: UUID, attachment_id: UUID) -> None:
        """Takes a file from a message: the caller's own, or anybody's where they manage messages.

        Raises:
            NotFound: There is no such file that they may take away.
        """
        await enter(self._session, caller)
        attachment = await self._attachments.remove(room_id, message_id, attachment_id, caller.id)
        if attachment is None:
            raise NotFound("attachment not found")
        old = {"room_id": room_id, "message_id": attachment.message_id, "size_bytes": attachment.size_bytes}
        await self._record("delete", attachment.id, old=old)

    async def _record(self, verb: str, attachment_id: UUID, **values: dict[str, Any]) -> None:
        action = f"message_attachments.{verb}"
        await record(self._session, self._origin, action, resource=MessageAttachment, key=attachment_id, **values)
