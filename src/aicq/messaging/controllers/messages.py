"""Messages under `/v1`: reading, posting, editing and deleting them, their readers and their files."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ActorRequest, authenticated, origin_of_actor
from aicq.clock import now_ms, to_ms, to_seconds
from aicq.errors import InvalidId, InvalidRequest, NotFound, OutcomeUnknown, Unprocessable
from aicq.http import contract
from aicq.http.admission import attempts_of
from aicq.http.contract import (
    REQUEST_BYTES,
    SIGNED_OR_BEARING,
    TOKEN_OR_SIGNED,
    TOKEN_OR_SIGNED_KEY_IF_PRIVATE,
    WITH_BODY,
    Call,
    answer,
    problems,
)
from aicq.http.metrics import POSTED
from aicq.http.paging import USUAL, Cursor, Limit, first_page, read_cursor
from aicq.http.resources.bodies import checked
from aicq.identity.services.directory import enter
from aicq.ids import from_ulid, is_ulid, milliseconds, new_row_id, parse_uuid, to_ulid
from aicq.messaging.controllers.protocol import (
    BAD_ROOM_ID,
    MessageId,
    RoomId,
    bound_of,
    new_message_bytes,
    room_key,
)
from aicq.messaging.controllers.readers import Known
from aicq.messaging.models import Message, MessageAttachment
from aicq.messaging.repositories.messages import NewAttachment
from aicq.messaging.schemas.protocol import Edited, MessageEdit, NewMessage, PageMessage, Posted, RoomPage
from aicq.messaging.schemas.rooms import (
    AttachmentCreate,
    Attachments,
    MessageAttachmentShown,
    Readers,
    ReaderShown,
)
from aicq.messaging.services.messages import MessageService, find_message
from aicq.messaging.services.receipts import AttachmentService, ReceiptService
from aicq.messaging.services.rooms import PageRequest, RoomReader, Rooms

AttachmentId = Annotated[str, contract.path("The attachment's id, a UUID.")]

BAD_ATTACHMENT_ID = "invalid attachment ID format"


class MessageController(Controller):
    """The messages of a room. A private room wants its key in `X-AICQ-Room-Key` of who is no member."""

    path = "/v1/rooms/{room_id:str}/messages"
    tags = ("messages",)
    request_max_body_size = REQUEST_BYTES

    @get(
        operation_id="ReadMessages",
        security=TOKEN_OR_SIGNED_KEY_IF_PRIVATE,
        before_request=authenticated("read"),
        # The handler answers with stored bytes; what they are, only this tells.
        responses={
            200: answer(RoomPage, "The page."),
            **problems(*SIGNED_OR_BEARING, InvalidRequest, InvalidId, NotFound),
        },
        operation_class=Call,
    )
    async def read(
        self,
        request: ActorRequest,
        room_id: RoomId,
        db_session: NamedDependency[AsyncSession],
        reader: NamedDependency[RoomReader],
        limit: Limit = USUAL,
        before: Annotated[str, contract.query("A ULID or a Unix time in milliseconds; not used with `after`.")] = "",
        after: Annotated[str, contract.query("A ULID.")] = "",
    ) -> Response[bytes]:
        """Reads a page of a room that the caller may see, newest message first, like `GET /room/{room_id}`."""
        wanted = PageRequest(
            parse_uuid(room_id, BAD_ROOM_ID),
            limit,
            before=None if after else bound_of(before),
            after=from_ulid(after) if after else None,
            whole_millisecond=not is_ulid(before),
        )
        await enter(db_session, request.user)
        content = await reader.read(
            wanted, key=room_key(request), attempts=attempts_of(request), reader=Known(request.user.id)
        )
        return Response(content, media_type="application/json")

    @post(
        operation_id="PostMessageAsActor",
        security=TOKEN_OR_SIGNED_KEY_IF_PRIVATE,
        before_request=checked(authenticated("post", new_message_bytes), NewMessage),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable, OutcomeUnknown),
        operation_class=Call,
    )
    async def write(
        self,
        request: ActorRequest,
        room_id: RoomId,
        data: JSONBody[NewMessage],
        messages: NamedDependency[MessageService],
    ) -> Posted:
        """Posts a message; when this answers 201 the message is durable."""
        stored = await messages.post(
            request.user,
            parse_uuid(room_id, BAD_ROOM_ID),
            body=data.body,
            pid=data.pid or "",
            sig=data.sig or "",
            key=room_key(request),
            attempts=attempts_of(request),
            as_member=True,
        )
        POSTED.labels("public" if stored.public else "private").inc()
        return Posted(stored.ulid, stored.ts)

    @get(
        "/{message_id:str}",
        operation_id="ReadMessage",
        security=TOKEN_OR_SIGNED_KEY_IF_PRIVATE,
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def read_one(
        self,
        request: ActorRequest,
        room_id: RoomId,
        message_id: MessageId,
        db_session: NamedDependency[AsyncSession],
        rooms: NamedDependency[Rooms],
    ) -> PageMessage:
        """Reads one message as it stands in a page, however old it is: what an answer's `pid` names, for one."""
        wanted = parse_uuid(room_id, BAD_ROOM_ID)
        proof = await rooms.proof(wanted, room_key(request), attempts_of(request))
        return shown_message(await find_message(db_session, request.user, wanted, from_ulid(message_id), proof=proof))

    @patch(
        "/{message_id:str}",
        operation_id="EditMessage",
        security=TOKEN_OR_SIGNED_KEY_IF_PRIVATE,
        before_request=authenticated("edit", new_message_bytes),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable, OutcomeUnknown),
        operation_class=Call,
    )
    async def edit(
        self,
        request: ActorRequest,
        room_id: RoomId,
        message_id: MessageId,
        data: JSONBody[MessageEdit],
        messages: NamedDependency[MessageService],
    ) -> Edited:
        """Changes the text of a message of one's own; when this answers 200 the change is durable.

        The message keeps its id, its position and its time, and tells from then on when it was edited. The edit takes a
        position of its own. A signature of the old text does not stay; `sig` brings that of the new one.
        """
        stored = await messages.edit(
            request.user,
            parse_uuid(room_id, BAD_ROOM_ID),
            message_id,
            body=data.body,
            sig=data.sig or "",
            key=room_key(request),
            attempts=attempts_of(request),
        )
        return Edited(id=message_id.upper(), edited_at=stored.ts, entry_id=stored.ulid)

    @delete(
        "/{message_id:str}",
        operation_id="DeleteMessageAsActor",
        before_request=authenticated("delete"),
        security=TOKEN_OR_SIGNED,
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound, OutcomeUnknown),
        operation_class=Call,
    )
    async def remove(
        self,
        request: ActorRequest,
        room_id: RoomId,
        message_id: MessageId,
        messages: NamedDependency[MessageService],
    ) -> None:
        """Deletes a message of one's own, or of others in a guild where one may manage messages."""
        await messages.delete(request.user, parse_uuid(room_id, BAD_ROOM_ID), message_id, as_member=True)

    @get(
        "/{message_id:str}/readers",
        operation_id="ListReaders",
        security=TOKEN_OR_SIGNED_KEY_IF_PRIVATE,
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def list_readers(
        self,
        request: ActorRequest,
        room_id: RoomId,
        message_id: MessageId,
        db_session: NamedDependency[AsyncSession],
        rooms: NamedDependency[Rooms],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Readers:
        """Lists who is known to have read a message, or a later one, and since when."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        wanted = parse_uuid(room_id, BAD_ROOM_ID)
        found = await ReceiptService(db_session).list_readers(
            request.user,
            wanted,
            from_ulid(message_id),
            proof=await rooms.proof(wanted, room_key(request), attempts_of(request)),
            after=after,
            limit=limit + 1,
        )
        shown, rest = first_page(found, limit, lambda row: [row.actor_id])
        return Readers([ReaderShown(str(row.actor_id), to_seconds(row.read_at)) for row in shown], rest)

    @get(
        "/{message_id:str}/attachments",
        operation_id="ListMessageFiles",
        security=TOKEN_OR_SIGNED_KEY_IF_PRIVATE,
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def list_attachments(
        self,
        request: ActorRequest,
        room_id: RoomId,
        message_id: MessageId,
        db_session: NamedDependency[AsyncSession],
        rooms: NamedDependency[Rooms],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Attachments:
        """Lists the files that belong to a message."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        wanted = parse_uuid(room_id, BAD_ROOM_ID)
        found = await attachments_of(request, db_session).list_all(
            request.user,
            wanted,
            from_ulid(message_id),
            proof=await rooms.proof(wanted, room_key(request), attempts_of(request)),
            after=after,
            limit=limit + 1,
        )
        shown, rest = first_page(found, limit, lambda attachment: [attachment.id])
        return Attachments([shown_attachment(attachment) for attachment in shown], rest)

    @post(
        "/{message_id:str}/attachments",
        operation_id="AttachFileToMessage",
        security=TOKEN_OR_SIGNED_KEY_IF_PRIVATE,
        before_request=checked(authenticated("write"), AttachmentCreate),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def create_attachment(
        self,
        request: ActorRequest,
        room_id: RoomId,
        message_id: MessageId,
        data: JSONBody[AttachmentCreate],
        db_session: NamedDependency[AsyncSession],
        rooms: NamedDependency[Rooms],
    ) -> MessageAttachmentShown:
        """Tells of a file that belongs to a message of one's own. Its bytes are kept elsewhere."""
        wanted = parse_uuid(room_id, BAD_ROOM_ID)
        file = NewAttachment(new_row_id(now_ms()), data.filename, data.content_type, data.size_bytes, data.storage_key)
        attachment = await attachments_of(request, db_session).create(
            request.user,
            wanted,
            from_ulid(message_id),
            file,
            proof=await rooms.proof(wanted, room_key(request), attempts_of(request)),
        )
        return shown_attachment(attachment)

    @delete(
        "/{message_id:str}/attachments/{attachment_id:str}",
        operation_id="DetachFileFromMessage",
        before_request=authenticated("write"),
        security=TOKEN_OR_SIGNED,
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def remove_attachment(
        self,
        request: ActorRequest,
        room_id: RoomId,
        message_id: MessageId,
        attachment_id: AttachmentId,
        db_session: NamedDependency[AsyncSession],
    ) -> None:
        """Takes a file from a message: one's own, or anybody's in a guild where one may manage messages."""
        await attachments_of(request, db_session).remove(
            request.user,
            parse_uuid(room_id, BAD_ROOM_ID),
            from_ulid(message_id),
            parse_uuid(attachment_id, BAD_ATTACHMENT_ID),
        )


def attachments_of(request: ActorRequest, session: AsyncSession) -> AttachmentService:
    """What the caller can do about files."""
    return AttachmentService(session, origin_of_actor(request))


def shown_message(message: Message) -> PageMessage:
    """A message on the wire."""
    return PageMessage(
        id=to_ulid(message.id),
        seq=message.seq,
        author=str(message.author_id),
        body=message.body,
        ts=milliseconds(message.id),
        pid=to_ulid(message.parent_id) if message.parent_id else "",
        sig=message.signature or "",
        edited_at=to_ms(message.edited_at) if message.edited_at else 0,
    )


def shown_attachment(attachment: MessageAttachment) -> MessageAttachmentShown:
    """A file on the wire."""
    return MessageAttachmentShown(
        id=str(attachment.id),
        filename=attachment.filename,
        content_type=attachment.content_type,
        size_bytes=attachment.size_bytes,
        storage_key=attachment.storage_key,
        uploader_id=str(attachment.uploader_id) if attachment.uploader_id else None,
        created_at=to_seconds(attachment.created_at),
    )
