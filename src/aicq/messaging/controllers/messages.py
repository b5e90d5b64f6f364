"""Messages under `/v1`."""

from typing import Any

from litestar import Controller, Request, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody

from aicq.auth.gate import signed
from aicq.auth.principal import Principal
from aicq.errors import InvalidId, NotFound, OutcomeUnknown, Unprocessable
from aicq.http.admission import attempts_of
from aicq.http.contract import SIGNED, SIGNED_KEY_IF_PRIVATE, WITH_BODY, Call, problems
from aicq.ids import parse_uuid
from aicq.messaging.controllers.protocol import BAD_ROOM_ID, MessageId, RoomId, new_message_bytes, room_key
from aicq.messaging.schemas.rooms import Edited, MessageEdit
from aicq.messaging.services.messages import MessageService


class MessageController(Controller):
    """The messages of a room."""

    path = "/v1/rooms/{room_id:str}/messages"
    tags = ("messages",)

    @patch(
        "/{message_id:str}",
        operation_id="EditMessage",
        before_request=signed("edit", new_message_bytes),
        responses=problems(*SIGNED, *WITH_BODY, InvalidId, NotFound, Unprocessable, OutcomeUnknown),
        security=SIGNED_KEY_IF_PRIVATE,
        operation_class=Call,
    )
    async def edit(
        self,
        request: Request[Principal, Any, Any],
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
