"""Conversations: what is begun, what is said, and what is told of them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

ConversationStatus = Literal["active", "idle", "closed"]
MessageRole = Literal["user", "assistant", "system", "tool"]
FeedbackRating = Literal["positive", "negative"]

Title = Annotated[str, Meta(min_length=1, max_length=200)]


class ConversationCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A conversation that begins.

    Args:
        team_id: Whose it is.
        agent_id: The agent that talks.
        user_id: Whom it talks to: a user, or another agent.
        title: What it is about, 1 to 200 characters.
        metadata: Whatever else belongs to it.
    """

    team_id: UUID
    agent_id: UUID | None = None
    user_id: UUID | None = None
    title: Title | None = None
    metadata: dict[str, Any] = {}


class MessageCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A turn of a conversation.

    Args:
        role: Who speaks. What the assistant says counts as output, all else as input.
        content: What is said, at most 262,144 characters.
        agent_id: The agent that speaks, if it is one.
        tool_calls: What the assistant wants done.
        tool_results: What came of it.
        token_count: How many tokens it has, for the model.
        model: Which model said it.
    """

    role: MessageRole
    content: Annotated[str, Meta(max_length=262_144)]
    agent_id: UUID | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_results: list[dict[str, Any]] | None = None
    token_count: Annotated[int, Meta(ge=0, le=2_147_483_647)] | None = None
    model: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class NewTurns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Turns of a conversation, in the order in which they were said.

    Args:
        messages: The turns, 1 to 100.
    """

    messages: Annotated[list[MessageCreate], Meta(min_length=1, max_length=100)]


class ConversationChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is to change in a conversation; what is not given stays as it is.

    Args:
        title: What it is about; None for nothing in particular.
        status: Whether it goes on.
        summary: What was said, in short, at most 65,536 characters; None for none.
        metadata: Whatever else belongs to it, all of it.
    """

    title: Title | UnsetType | None = UNSET
    status: ConversationStatus | UnsetType = UNSET
    summary: Annotated[str, Meta(max_length=65_536)] | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class ConversationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as it is.

    Args:
        message_count: How many turns it has.
        total_input_tokens: The tokens of all that users, systems and tools said.
        total_output_tokens: The tokens of all that assistants said.
        last_message_at: When the last turn came; None: there was none.
    """

    id: UUID
    team_id: UUID
    agent_id: UUID | None
    user_id: UUID | None
    title: str | None
    status: ConversationStatus
    message_count: int
    total_input_tokens: int
    total_output_tokens: int
    summary: str | None
    details: dict[str, Any] = msgspec.field(name="metadata")
    created_at: datetime
    updated_at: datetime
    last_message_at: datetime | None


class MessageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A turn of a conversation as it is."""

    id: UUID
    conversation_id: UUID
    agent_id: UUID | None
    role: MessageRole
    content: str
    tool_calls: Any
    tool_results: Any
    token_count: int | None
    model: str | None
    feedback_rating: FeedbackRating | None
    feedback_comment: str | None
    created_at: datetime


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody thinks of a turn.

    Args:
        rating: Whether it was good; None takes it back.
        comment: Why, at most 4,096 characters.
    """

    rating: FeedbackRating | None
    comment: Annotated[str, Meta(max_length=4096)] | None = None


class ConversationPage(msgspec.Struct, frozen=True):
    """A page of a team's conversations.

    Args:
        items: The conversations, the newest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[ConversationRecord]
    next: str | None


class Turns(msgspec.Struct, frozen=True):
    """Turns that were added to a conversation.

    Args:
        messages: The turns, in their order.
    """

    messages: list[MessageRecord]


class TurnPage(msgspec.Struct, frozen=True):
    """A page of a conversation's turns.

    Args:
        items: The turns, in the order in which they were said.
        next: The cursor of the next page; null on the last one.
    """

    items: list[MessageRecord]
    next: str | None
