"""Users and their sessions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, Enum, ForeignKey, Index, Text, func, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class User(Model):
    """A person, or a service that is known by name rather than by key."""

    __tablename__ = "users"
    __audited__ = ("username", "status", "role", "is_active")
    __table_args__ = (
        CheckConstraint("username ~ '^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$'", name="username"),
        CheckConstraint(
            r"email ~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+\.[^@.[:space:][:cntrl:]]+$'"
            r" AND email !~ '\.\.' AND length(email) <= 254",
            name="email",
        ),
        CheckConstraint("email IS NOT NULL OR role = 'service'", name="email_of_all_but_services"),
        CheckConstraint(
            r"password_hash ~ '^\$2[aby]\$(1[2-9]|2[0-9]|3[01])\$[./A-Za-z0-9]{53}$'", name="password_hash"
        ),
        CheckConstraint("length(display_name) BETWEEN 1 AND 100", name="display_name"),
        CheckConstraint(
            "avatar_url ~ '^https?://[^[:space:][:cntrl:]]+$' AND length(avatar_url) <= 2048", name="avatar_url"
        ),
        CheckConstraint("jsonb_typeof(preferences) = 'object'", name="preferences"),
        CheckConstraint("jsonb_typeof(metadata) = 'object'", name="metadata"),
        Index("uq_users_lower_email", text("lower(email)"), unique=True),  # UserRepository.find_by_email
        Index("uq_users_lower_username", text("lower(username)"), unique=True),  # UserRepository.find_by_username
        Index(
            "uq_users_lower_github_username",  # UserRepository.find_by_github_username
            text("lower(github_username)"),
            unique=True,
        ),
        Index(
            "ix_users_online",  # UserRepository.list_online
            text("last_seen_at DESC NULLS LAST"),
            "id",
            postgresql_where=text("is_online AND is_active"),
        ),
    )

    id: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True, server_default=func.gen_random_uuid()
    )
    username: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    password_hash: Mapped[str | None] = mapped_column(Text)
    display_name: Mapped[str | None] = mapped_column(Text)
    avatar_url: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(
        Enum("online", "away", "busy", "offline", name="user_status"), server_default="offline"
    )
    is_online: Mapped[bool] = mapped_column(Computed("(status <> 'offline'::user_status)", persisted=True))
    last_seen_at: Mapped[datetime | None]
    role: Mapped[str] = mapped_column(
        Enum("admin", "manager", "user", "service", name="platform_role"), server_default="user"
    )
    mfa_secret: Mapped[str | None] = mapped_column(Text)
    github_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    github_username: Mapped[str | None] = mapped_column(Text)
    preferences: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    # `metadata` is SQLAlchemy's own name.
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Session(Model):
    """A user's session: all refresh tokens that descend from one log-in, of which only the newest is good."""

    __tablename__ = "sessions"
    __audited__ = ("user_id", "expires_at", "revoked_at", "revoked_because")
    __table_args__ = (
        CheckConstraint("token_hash ~ '^[0-9a-f]{64}$'", name="token_hash"),
        CheckConstraint(
            "revoked_because IN ('logged out', 'revoked', 'token used twice', 'password changed')"
            " AND (revoked_at IS NULL) = (revoked_because IS NULL)",
            name="revoked_because",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"),
        index=True,  # SessionRepository.list_live, revoke_all; the foreign key's CASCADE
    )
    token_hash: Mapped[str] = mapped_column(Text, unique=True)
    user_agent: Mapped[str | None] = mapped_column(Text)
    ip: Mapped[str | None] = mapped_column(INET)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    refreshed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)  # SessionRepository.drop_dead
    revoked_at: Mapped[datetime | None]
    revoked_because: Mapped[str | None] = mapped_column(Text)
