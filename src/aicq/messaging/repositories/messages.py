"""What is kept about messages: who has read them, and the files that belong to them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import delete, exists, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert

from aicq.db.repository import Repository
from aicq.messaging.models import Message, MessageAttachment, MessageReadReceipt, Room
from aicq.messaging.permissions import Permission

PAGE = 100

FIRST = UUID(int=0)

# Whoever has the key may read a private room as well as its members.
MAY_VIEW = f"""r.deleted_at IS NULL AND (
    room_permissions(r.id, :actor_id) & {int(Permission.VIEW)} <> 0
    OR r.kind = 'room' AND r.key_hash = CAST(:proof AS text)
)"""

# Reading goes on, never back.
MARK_READ = f"""
WITH read AS (
    SELECT m.room_id, m.id FROM rooms r JOIN messages m ON m.room_id = r.id
    WHERE r.id = :room_id AND {MAY_VIEW} AND m.id = :message_id AND m.entry = 'message'
), moved AS (
    UPDATE room_members p SET last_read_message_id = read.id FROM read
    WHERE p.room_id = read.room_id AND p.actor_id = :actor_id
        AND (p.last_read_message_id IS NULL OR p.last_read_message_id < read.id)
), receipt AS (
    INSERT INTO message_read_receipts (room_id, message_id, actor_id)
    SELECT room_id, id, :actor_id FROM read ON CONFLICT DO NOTHING
)
SELECT id FROM read
"""  # noqa: S608 - static text

READERS = f"""
SELECT DISTINCT ON (c.actor_id) c.actor_id, c.read_at
FROM rooms r JOIN message_read_receipts c ON c.room_id = r.id
WHERE r.id = :room_id AND {MAY_VIEW} AND c.message_id >= :message_id AND c.actor_id > :after
ORDER BY c.actor_id, c.message_id LIMIT :limit
"""  # noqa: S608 - static text


class MessageRepository(Repository[Message]):
    """Messages of the log, one by one. `History` reads pages, and only `MessageLog` writes."""

    model_type = Message

    async def find(self, room_id: UUID, message_id: UUID) -> Message | None:
        """A message that is not deleted."""
        return (await self.session.execute(select(Message).where(*_live(room_id, message_id)))).scalar_one_or_none()

    async def find_for(
        self, room_id: UUID, message_id: UUID, actor_id: UUID, *, proof: str | None = None
    ) -> Message | None:
        """The same, if `actor_id`, who asks, may see the room."""
        visible = _may(room_id, actor_id, Permission.VIEW, proof)
        statement = select(Message).where(*_live(room_id, message_id), visible)
        return (await self.session.execute(statement)).scalar_one_or_none()


class ReceiptRepository(Repository[MessageReadReceipt]):
    """Who has read a room up to which message."""

    model_type = MessageReadReceipt

    async def mark_as_read(self, room_id: UUID, message_id: UUID, actor_id: UUID, *, proof: str | None = None) -> bool:
        """Notes that an actor has read a room up to a message; False if they may not see it, or it is none.

        Args:
            room_id: The room.
            message_id: The message.
            actor_id: Who has read it.
            proof: The hash that the actor's room key matched.
        """
        given = {"room_id": room_id, "message_id": message_id, "actor_id": actor_id, "proof": proof}
        return (await self.session.execute(text(MARK_READ), given)).first() is not None

    async def list_readers(
        self,
        room_id: UUID,
        message_id: UUID,
        actor_id: UUID,
        *,
        proof: str | None = None,
        after: UUID = FIRST,
        limit: int = PAGE,
    ) -> Sequence[Any]:
        """Who is known to have read up to a message or beyond, and since when: rows of `actor_id` and `read_at`.

        None at all if `actor_id`, who asks, may not see the room.
        """
        given = {"room_id": room_id, "message_id": message_id, "actor_id": actor_id, "proof": proof}
        rows = await self.session.execute(text(READERS), {**given, "after": after, "limit": limit})
        return rows.all()


class NewAttachment(msgspec.Struct, frozen=True):
    """A file that is to belong to a message.

    Args:
        id: The attachment.
        filename: What the file is called.
        content_type: Its media type.
        size_bytes: How long it is.
        storage_key: Where its bytes lie.
    """

    id: UUID
    filename: str
    content_type: str
    size_bytes: int
    storage_key: str


class AttachmentRepository(Repository[MessageAttachment]):
    """The files that belong to messages."""

    model_type = MessageAttachment

    async def create(
        self, room_id: UUID, message_id: UUID, uploader_id: UUID, file: NewAttachment, *, proof: str | None = None
    ) -> MessageAttachment | None:
        """Attaches a file to one's own message; None if it is another's or not there, or one may not write there."""
        values = {"room_id": room_id, "message_id": message_id, "uploader_id": uploader_id}
        values |= msgspec.structs.asdict(file)
        columns = [literal(value, MessageAttachment.__table__.c[name].type) for name, value in values.items()]
        own = exists().where(*_live(room_id, message_id), Message.author_id == uploader_id)
        allowed = select(*columns).where(own, _may(room_id, uploader_id, Permission.POST, proof))
        statement = insert(MessageAttachment).from_select(list(values), allowed).returning(MessageAttachment)
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def list_of_message(
        self,
        room_id: UUID,
        message_id: UUID,
        actor_id: UUID,
        *,
        proof: str | None = None,
        after: UUID | None = None,
        limit: int = PAGE,
    ) -> Sequence[MessageAttachment]:
        """The files of a message that is not deleted; none if `actor_id`, who asks, may not see the room."""
        where = (MessageAttachment.room_id == room_id, MessageAttachment.message_id == message_id)
        statement = select(MessageAttachment).where(
            *where, exists().where(*_live(room_id, message_id)), _may(room_id, actor_id, Permission.VIEW, proof)
        )
        if after is not None:
            statement = statement.where(MessageAttachment.id > after)
        statement = statement.order_by(MessageAttachment.id).limit(limit)
        return (await self.session.execute(statement)).scalars().all()

    async def remove(
        self, room_id: UUID, message_id: UUID, attachment_id: UUID, actor_id: UUID
    ) -> MessageAttachment | None:
        """Takes away what one has attached, or what others have where one manages messages; None if there is none."""
        manages = _may(room_id, actor_id, Permission.MANAGE_MESSAGES, None)
        statement = delete(MessageAttachment).where(
            MessageAttachment.id == attachment_id,
            MessageAttachment.room_id == room_id,
            MessageAttachment.message_id == message_id,
            func.actor_is_active(actor_id),
            (MessageAttachment.uploader_id == actor_id) | manages,
        )
        return (await self.session.execute(statement.returning(MessageAttachment))).scalar_one_or_none()


def _live(room_id: UUID, message_id: UUID) -> tuple[Any, ...]:
    is_there = Message.room_id == room_id, Message.id == message_id
    return *is_there, Message.entry == "message", Message.deleted_at.is_(None)


def _may(room_id: UUID, actor_id: UUID, permission: Permission, proof: str | None) -> Any:
    """Whether an actor may do this in a room, by their permissions or, in a private one, by its key."""
    permitted = func.room_permissions(room_id, actor_id).bitwise_and(int(permission)) != 0
    if proof is None:
        return permitted
    return permitted | exists().where(Room.id == room_id, Room.deleted_at.is_(None), Room.key_hash == proof)
