"""`/v1/live`: opening the socket, and the schema of what is said over it."""

from typing import Any

from litestar import Controller, get, websocket
from litestar.di import NamedDependency

from aicq.db.plugin import Database
from aicq.errors import AICQError
from aicq.hot.presence import Presence
from aicq.http.admission import admission_of
from aicq.http.streams import InTurns, streams_of
from aicq.messaging.access import Following
from aicq.messaging.controllers.sockets import TRY_LATER, AnySocket, Conversation
from aicq.messaging.live import Live
from aicq.messaging.schemas import live as frames
from aicq.messaging.services.messages import MessageService
from aicq.messaging.services.rooms import Rooms


class LiveController(Controller):
    """Rooms, live."""

    path = "/v1/live"
    tags = ("live",)

    @websocket("/", middleware=[InTurns])
    async def live(
        self,
        socket: AnySocket,
        following: NamedDependency[Following],
        live: NamedDependency[Live],
        rooms: NamedDependency[Rooms],
        messages: NamedDependency[MessageService],
        presence: NamedDependency[Presence],
        database: NamedDependency[Database],
    ) -> None:
        """Follows many rooms over one socket; `docs/live.md` tells the frames."""
        admission = admission_of(socket)
        address = admission.addresses.of(socket.scope)
        await socket.accept()
        conversation = Conversation(socket, address, following, live.company, rooms, messages, presence, database)
        try:
            await admission.admit(socket, "live", subject=address)
            async with streams_of(socket).opened(socket):
                await conversation.hold()
        except AICQError as error:
            await conversation.fail(error, "")
            await conversation.close(TRY_LATER, error.sentence)

    @get("/schema", operation_id="GetLiveSchema", sync_to_thread=False)
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of all frames of the WebSocket `/v1/live`, in both directions."""
        return frames.schema()
