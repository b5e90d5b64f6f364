"""Messages under `/admin`: every entry of every room, private ones and direct messages included."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Meta

from aicq.auth.admin import admin_only
from aicq.clock import from_ms, to_ms
from aicq.errors import Conflict, InvalidId, InvalidRequest, NotFound, OutcomeUnknown
from aicq.http import contract
from aicq.http.admission import origin_of
from aicq.http.contract import ADMIN_ONLY, ADMITTED, Call, problems
from aicq.http.paging import USUAL, Cursor, Limit, read_cursor, write_cursor
from aicq.http.resources.controllers import AdminRequest, fresh, refuse_unknown
from aicq.ids import first_id_at, from_ulid, parse_uuid, to_ulid
from aicq.messaging.controllers.protocol import BAD_ROOM_ID, RoomId
from aicq.messaging.logbook import LAST_ID, LogBook, LogEntry, LogQuery
from aicq.messaging.schemas.log import AdminEntry, AdminEntryPage
from aicq.messaging.services.moderation import Moderation

MAX_TEXT = 200

Moment = Annotated[datetime, Meta(tz=True)]

EntryId = Annotated[str, contract.path("The entry's id, a ULID.")]
MessageId = Annotated[str, contract.path("The message's id, a ULID.")]


def uuid_query(description: str) -> QueryParameter:
    """A query parameter that is a UUID."""
    return QueryParameter(description=description, schema_extra={"format": "uuid"})


def time_query(description: str) -> QueryParameter:
    """A query parameter that is a time."""
    return QueryParameter(description=description, schema_extra={"format": "date-time"})


class AdminMessageController(Controller):
    """The log, for admins."""

    path = "/admin/messages"
    tags = ("admin",)
    security = ADMIN_ONLY

    @get(
        operation_id="AdminListMessages",
        before_request=admin_only,
        responses=problems(*ADMITTED, InvalidRequest, InvalidId),
        operation_class=Call,
    )
    async def list(
        self,
        request: AdminRequest,
        logbook: NamedDependency[LogBook],
        limit: Limit = USUAL,
        cursor: Cursor = None,
        room: Annotated[str, uuid_query("Only of this room.")] = "",
        author: Annotated[str, uuid_query("Only by this actor.")] = "",
        since: Annotated[str, time_query("Only at this time or later.")] = "",
        until: Annotated[str, time_query("Only before this time.")] = "",
        q: Annotated[
            str, QueryParameter(description=f"Only whose text holds this, in any case; 1 to {MAX_TEXT} characters.")
        ] = "",
    ) -> Response[AdminEntryPage]:
        """Lists what the log holds, the newest first: messages, edits and deletes, of all rooms, private or not.

        The text of what was deleted is not shown. With `q`, a page looks at the newest twenty thousand entries that
        the other filters leave; it may hold few or none, and `next` goes on from there.
        """
        refuse_unknown(request, {"limit", "cursor", "room", "author", "since", "until", "q"})
        query = LogQuery(
            since=first_id_at(milliseconds_of(since, "since")) if since else UUID(int=0),
            below=min(
                first_id_at(milliseconds_of(until, "until")) if until else LAST_ID,
                LAST_ID if cursor is None else read_entry_id(*read_cursor(cursor, [str])),
            ),
            room_id=parse_uuid(room, BAD_ROOM_ID) if room else None,
            author_id=parse_uuid(author, "invalid author ID format") if author else None,
            text=read_text(q),
            limit=limit,
        )
        page = await logbook.page(query)
        following = write_cursor([to_ulid(page.below)]) if page.below is not None else None
        return fresh(AdminEntryPage([shown(entry) for entry in page.entries], following))

    @get(
        "/{room_id:str}/{entry_id:str}",
        operation_id="AdminGetMessage",
        before_request=admin_only,
        responses=problems(*ADMITTED, InvalidId, NotFound),
        operation_class=Call,
    )
    async def get(self, room_id: RoomId, entry_id: EntryId, logbook: NamedDependency[LogBook]) -> Response[AdminEntry]:
        """Returns an entry of the log."""
        entry = await logbook.find(parse_uuid(room_id, BAD_ROOM_ID), from_ulid(entry_id))
        if entry is None:
            raise NotFound("message not found")
        return fresh(shown(entry))

    @delete(
        "/{room_id:str}/{message_id:str}",
        operation_id="AdminDeleteMessage",
        before_request=admin_only,
        responses=problems(*ADMITTED, InvalidId, NotFound, Conflict, OutcomeUnknown),
        operation_class=Call,
    )
    async def delete(
        self,
        request: AdminRequest,
        room_id: RoomId,
        message_id: MessageId,
        moderation: NamedDependency[Moderation],
    ) -> None:
        """Deletes a message, whoever wrote it: nobody reads or finds it any more.

        It is an entry in the log like any delete. Its author is the admin; for the holder of the admin token that is
        the service user `admin-token`.
        """
        origin = origin_of(request, "admin", request.user.id)
        await moderation.delete(origin, parse_uuid(room_id, BAD_ROOM_ID), message_id)


def shown(entry: LogEntry) -> AdminEntry:
    """An entry as admins see it."""
    return AdminEntry(
        id=to_ulid(entry.id),
        room_id=str(entry.room_id),
        room_name=entry.room_name,
        seq=entry.seq,
        entry=entry.entry,
        target_id=to_ulid(entry.target_id) if entry.target_id else None,
        author_id=str(entry.author_id),
        body=entry.body,
        type=entry.type,
        parent_id=to_ulid(entry.parent_id) if entry.parent_id else None,
        created_at=from_ms(entry.ts),
        edited_at=entry.edited_at,
        deleted_at=entry.deleted_at,
    )


def milliseconds_of(text: str, field: str) -> int:
    """The time that a query tells, in Unix milliseconds, rounded up."""
    try:
        # A plus sign that was not escaped arrives as a space.
        return to_ms(msgspec.convert(text.replace(" ", "+"), Moment))
    except (msgspec.ValidationError, OverflowError):
        raise InvalidRequest(f"{field} must be a time such as 2026-11-22T10:00:00Z", field=field) from None


def read_entry_id(text: str) -> UUID:
    """The entry that a page has ended with."""
    try:
        return from_ulid(text)
    except InvalidId:
        raise InvalidRequest("invalid cursor", field="cursor") from None


def read_text(text: str) -> str:
    """The text that is looked for."""
    if len(text) > MAX_TEXT:
        raise InvalidRequest(f"q too long (max {MAX_TEXT} characters)", field="q")
    if "\x00" in text:
        raise InvalidRequest("q must not contain U+0000", field="q")
    return text
