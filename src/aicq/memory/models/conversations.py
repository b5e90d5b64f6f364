"""Conversations: an agent's exchanges with a model and with whoever it talks to, with tokens and tool calls."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Enum,
    FetchedValue,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Conversation(Model):
    """A conversation of a team. Its counts are kept by a trigger; nothing here writes them."""

    __tablename__ = "conversations"
    __audited__ = ("team_id", "agent_id", "user_id", "status")
    __table_args__ = (
        UniqueConstraint("team_id", "id"),
        ForeignKeyConstraint(
            ["team_id", "agent_id"],
            ["agents.team_id", "agents.id"],
            name="fk_conversations_agent_id_agents",
            ondelete="SET NULL (agent_id)",
        ),
        CheckConstraint("length(title) BETWEEN 1 AND 200", name="title"),
        CheckConstraint("jsonb_typeof(metadata) = 'object'", name="metadata"),
        Index(
            "ix_conversations_agent_id",  # ConversationRepository.page by agent; the foreign key's SET NULL
            "team_id",
            "agent_id",
            "id",
            postgresql_where=text("agent_id IS NOT NULL"),
        ),
        Index(
            "ix_conversations_user_id",  # ConversationRepository.page by user; the foreign key's SET NULL
            "user_id",
            "id",
            postgresql_where=text("user_id IS NOT NULL"),
        ),
        Index(
            "ix_conversations_active",  # ConversationRepository.page of active ones
            "team_id",
            "id",
            postgresql_where=text("status = 'active'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    agent_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("actors.id", ondelete="SET NULL"))
    title: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(
        Enum("active", "idle", "closed", name="conversation_status"), server_default="active"
    )
    message_count: Mapped[int] = mapped_column(server_default=text("0"))
    total_input_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total_output_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    summary: Mapped[str | None] = mapped_column(Text)
    # `metadata` is SQLAlchemy's own name.
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), server_onupdate=FetchedValue())
    last_message_at: Mapped[datetime | None]


class ConversationMessage(Model):
    """One turn of a conversation."""

    __tablename__ = "conversation_messages"
    __audited__ = ("team_id", "conversation_id", "agent_id", "role", "token_count", "model", "feedback_rating")
    __table_args__ = (
        ForeignKeyConstraint(
            ["team_id", "conversation_id"],
            ["conversations.team_id", "conversations.id"],
            name="fk_conversation_messages_conversation_id_conversations",
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["team_id", "agent_id"],
            ["agents.team_id", "agents.id"],
            name="fk_conversation_messages_agent_id_agents",
            ondelete="SET NULL (agent_id)",
        ),
        CheckConstraint("token_count >= 0", name="token_count"),
        CheckConstraint("feedback_rating IN ('positive', 'negative')", name="feedback_rating"),
        Index(
            "ix_conversation_messages_conversation_id",  # ConversationMessageRepository.list_of; the key's CASCADE
            "conversation_id",
            "created_at",
            "id",
        ),
        Index(
            "ix_conversation_messages_agent_id",  # the foreign key's SET NULL
            "team_id",
            "agent_id",
            postgresql_where=text("agent_id IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    team_id: Mapped[UUID]
    conversation_id: Mapped[UUID]
    agent_id: Mapped[UUID | None]
    role: Mapped[str] = mapped_column(Enum("user", "assistant", "system", "tool", name="message_role"))
    content: Mapped[str] = mapped_column(Text)
    tool_calls: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    tool_results: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    token_count: Mapped[int | None]
    model: Mapped[str | None] = mapped_column(Text)
    feedback_rating: Mapped[str | None] = mapped_column(Text)
    feedback_comment: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
