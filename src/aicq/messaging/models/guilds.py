"""Guilds: communities with roles."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Guild(Model):
    """A community. A trigger gives it @everyone, and its owner a place among the members."""

    __tablename__ = "guilds"
    __audited__ = ("name", "owner_id", "deleted_at")
    __table_args__ = (CheckConstraint("length(name) BETWEEN 1 AND 100 AND name = btrim(name)", name="name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    owner_id: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="RESTRICT"),
        index=True,  # the foreign key's RESTRICT, and leave_guilds
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]


class GuildMember(Model):
    """An actor's place in a guild."""

    __tablename__ = "guild_members"
    __audited__ = ("guild_id", "actor_id", "nickname", "joined_at")
    __table_args__ = (
        CheckConstraint("length(nickname) BETWEEN 1 AND 100", name="nickname"),
        # GuildRepository.list_of_actor; the foreign key's CASCADE
        Index("ix_guild_members_actor_id", "actor_id", "guild_id"),
    )

    guild_id: Mapped[UUID] = mapped_column(ForeignKey("guilds.id", ondelete="CASCADE"), primary_key=True)
    actor_id: Mapped[UUID] = mapped_column(ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True)
    nickname: Mapped[str | None] = mapped_column(Text)
    joined_at: Mapped[datetime] = mapped_column(server_default=func.now())


class GuildBan(Model):
    """An actor that may not become a member of a guild again."""

    __tablename__ = "guild_bans"
    __audited__ = ("guild_id", "actor_id", "banned_by")

    guild_id: Mapped[UUID] = mapped_column(ForeignKey("guilds.id", ondelete="CASCADE"), primary_key=True)
    actor_id: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,  # the foreign key's CASCADE
    )
    banned_by: Mapped[UUID | None] = mapped_column(
        ForeignKey("actors.id", ondelete="SET NULL"),
        index=True,  # the foreign key's SET NULL
    )
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Role(Model):
    """What members of a guild may do. The role at position 0 is @everyone."""

    __tablename__ = "roles"
    __audited__ = ("guild_id", "name", "permissions", "position")
    __table_args__ = (
        UniqueConstraint("guild_id", "id"),
        # Deferrable, so that one statement can move several; RoleRepository.list_of_guild
        UniqueConstraint("guild_id", "position", deferrable=True),
        CheckConstraint("length(name) BETWEEN 1 AND 100 AND name = btrim(name)", name="name"),
        CheckConstraint("permissions BETWEEN 0 AND 255", name="permissions"),
        CheckConstraint("position >= 0", name="position"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    guild_id: Mapped[UUID] = mapped_column(ForeignKey("guilds.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    permissions: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    position: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class MemberRole(Model):
    """A role of a member. @everyone is everybody's and stands here never."""

    __tablename__ = "member_roles"
    __audited__ = ("guild_id", "actor_id", "role_id")
    __table_args__ = (
        ForeignKeyConstraint(
            ["guild_id", "actor_id"], ["guild_members.guild_id", "guild_members.actor_id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(["guild_id", "role_id"], ["roles.guild_id", "roles.id"], ondelete="CASCADE"),
        # RoleRepository.list_holders; the foreign key's CASCADE
        Index("ix_member_roles_guild_id_role_id", "guild_id", "role_id"),
    )

    guild_id: Mapped[UUID] = mapped_column(primary_key=True)
    actor_id: Mapped[UUID] = mapped_column(primary_key=True)
    role_id: Mapped[UUID] = mapped_column(primary_key=True)
