"""Conversations: beginning them, talking, rating what was said, ending them."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from aicq.auth.gate import authenticated
from aicq.clock import now_ms
from aicq.errors import Conflict, InvalidRequest, NotFound, Unprocessable
from aicq.http.contract import NAMED, REQUEST_BYTES, SIGNED_OR_BEARING, TOKEN_OR_SIGNED, WITH_BODY, Call, path, problems
from aicq.http.paging import USUAL, Cursor, Limit, end_of, first_page, key_of, read_cursor
from aicq.http.resources.bodies import checked
from aicq.http.resources.fields import read_moment
from aicq.ids import parse_uuid
from aicq.memory.controllers.memories import Team
from aicq.memory.controllers.visit import Visit
from aicq.memory.repositories import ConversationFilter
from aicq.memory.schemas.conversations import (
    ConversationChange,
    ConversationCreate,
    ConversationPage,
    ConversationRecord,
    ConversationStatus,
    Feedback,
    NewTurns,
    TurnPage,
    Turns,
)

ConversationId = Annotated[str, path("The conversation's id, a UUID.")]
MessageId = Annotated[str, path("The message's id, a UUID.")]


class ConversationController(Controller):
    """A team's conversations, with tokens and tool calls."""

    path = "/v1/conversations"
    tags = ("conversations",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @post(
        operation_id="CreateConversation",
        before_request=checked(authenticated("write"), ConversationCreate),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def begin(self, data: JSONBody[ConversationCreate], visit: NamedDependency[Visit]) -> ConversationRecord:
        """Begins a conversation of a team."""
        await (await visit.enter()).team(data.team_id, to_change=True, field="team_id")
        return await visit.conversations.begin(data, now=now_ms())

    @get(
        operation_id="ListConversations",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def list_conversations(
        self,
        visit: NamedDependency[Visit],
        team: Team,
        agent: Annotated[UUID | None, QueryParameter(description="Only those of this agent.")] = None,
        user: Annotated[UUID | None, QueryParameter(description="Only those with this actor.")] = None,
        status: Annotated[ConversationStatus | None, QueryParameter(description="Only those in this status.")] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> ConversationPage:
        """Lists a team's conversations, the newest first."""
        before = end_of(cursor)
        await (await visit.enter()).team(team, field="team")
        wanted = ConversationFilter(team_id=team, agent_id=agent, user_id=user, status=status)
        found = await visit.conversations.page(wanted, before=before, limit=limit + 1)
        rows, following = first_page(found, limit, key_of)
        return ConversationPage(list(rows), following)

    @get(
        "/{conversation_id:str}",
        operation_id="GetConversation",
        before_request=authenticated("read"),
        responses=problems(*NAMED),
        operation_class=Call,
    )
    async def show(self, conversation_id: ConversationId, visit: NamedDependency[Visit]) -> ConversationRecord:
        """Shows a conversation, and how many turns and tokens it has."""
        key = conversation_key(conversation_id)
        team_id = await (await visit.enter()).conversation(key)
        return await visit.conversations.get(team_id, key)

    @patch(
        "/{conversation_id:str}",
        operation_id="ChangeConversation",
        before_request=checked(authenticated("write"), ConversationChange),
        responses=problems(*NAMED, *WITH_BODY, Unprocessable),
        operation_class=Call,
    )
    async def change(
        self, conversation_id: ConversationId, data: JSONBody[ConversationChange], visit: NamedDependency[Visit]
    ) -> ConversationRecord:
        """Changes what is told of a conversation, or ends it: once it is `closed`, nobody says anything more."""
        key = conversation_key(conversation_id)
        team_id = await (await visit.enter()).conversation(key, to_change=True)
        return await visit.conversations.change(team_id, key, data)

    @delete(
        "/{conversation_id:str}",
        operation_id="DeleteConversation",
        before_request=authenticated("write"),
        responses=problems(*NAMED),
        operation_class=Call,
    )
    async def remove(self, conversation_id: ConversationId, visit: NamedDependency[Visit]) -> None:
        """Deletes a conversation with its turns; what was drawn out of it stays."""
        key = conversation_key(conversation_id)
        team_id = await (await visit.enter()).conversation(key, to_change=True)
        await visit.conversations.remove(team_id, key)

    @post(
        "/{conversation_id:str}/messages",
        operation_id="AddTurns",
        before_request=checked(authenticated("write"), NewTurns),
        responses=problems(*NAMED, *WITH_BODY, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def say(
        self, conversation_id: ConversationId, data: JSONBody[NewTurns], visit: NamedDependency[Visit]
    ) -> Turns:
        """Adds turns to a conversation, all of them or none."""
        key = conversation_key(conversation_id)
        team_id = await (await visit.enter()).conversation(key, to_change=True)
        return Turns(await visit.conversations.say(team_id, key, data.messages, now=now_ms()))

    @get(
        "/{conversation_id:str}/messages",
        operation_id="ListTurns",
        before_request=authenticated("read"),
        responses=problems(*NAMED, InvalidRequest),
        operation_class=Call,
    )
    async def turns(
        self,
        conversation_id: ConversationId,
        visit: NamedDependency[Visit],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> TurnPage:
        """Lists the turns of a conversation, in the order in which they were said."""
        key, after = conversation_key(conversation_id), last_turn(cursor)
        team_id = await (await visit.enter()).conversation(key)
        found = await visit.conversations.turns(team_id, key, after=after, limit=limit + 1)
        rows, following = first_page(found, limit, lambda turn: [turn.created_at.astimezone(UTC).isoformat(), turn.id])
        return TurnPage(list(rows), following)

    @put(
        "/{conversation_id:str}/messages/{message_id:str}/feedback",
        operation_id="RateTurn",
        status_code=204,
        before_request=checked(authenticated("write"), Feedback),
        responses=problems(*NAMED, *WITH_BODY, Unprocessable),
        operation_class=Call,
    )
    async def rate(
        self,
        conversation_id: ConversationId,
        message_id: MessageId,
        data: JSONBody[Feedback],
        visit: NamedDependency[Visit],
    ) -> None:
        """Keeps what the team thinks of a turn."""
        key, turn = conversation_key(conversation_id), parse_uuid(message_id, "invalid message ID format")
        await (await visit.enter()).conversation(key, to_change=True)
        await visit.conversations.rate(key, turn, data)


def conversation_key(text: str) -> UUID:
    """A conversation's id, as a path tells it.

    Raises:
        InvalidId: It is none.
    """
    return parse_uuid(text, "invalid conversation ID format")


def last_turn(cursor: str | None) -> tuple[datetime, UUID] | None:
    """The turn that the page before has ended with.

    Raises:
        InvalidRequest: No list has given the cursor.
    """
    if cursor is None:
        return None
    moment, turn = read_cursor(cursor, [str, UUID])
    return read_moment("cursor", moment), turn
