"""Where guilds, their members and those who are banned are kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import delete, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from aicq.db.repository import Repository
from aicq.identity.models import Actor
from aicq.messaging.models import Guild, GuildBan, GuildMember, Room, RoomMember

PAGE = 100


class Standing(msgspec.Struct, frozen=True):
    """How an actor stands in a guild.

    Args:
        permissions: What they may do there.
        rank: The position of their highest role; the owner stands above all.
    """

    permissions: int
    rank: int


class GuildRepository(Repository[Guild]):
    """Guilds that are not deleted."""

    model_type = Guild

    async def create(self, guild_id: UUID, *, name: str, description: str | None, owner_id: UUID) -> Guild:
        """Adds a guild, with its owner as a member and @everyone."""
        return await self.added(id=guild_id, name=name, description=description, owner_id=owner_id)

    async def find(self, guild_id: UUID) -> Guild | None:
        """The guild with this id."""
        return (await self.session.execute(select(Guild).where(*_live(guild_id)))).scalar_one_or_none()

    async def find_for(self, guild_id: UUID, actor_id: UUID) -> tuple[Guild, Standing] | None:
        """A guild as one of its members sees it; None for who is none."""
        permissions, rank = func.guild_permissions(guild_id, actor_id), func.guild_rank(guild_id, actor_id)
        statement = select(Guild, permissions, rank).where(*_live(guild_id))
        statement = statement.where(_is_member(guild_id, actor_id), func.actor_is_active(actor_id))
        row = (await self.session.execute(statement)).one_or_none()
        if row is None:
            return None
        return row[0], Standing(row[1], row[2])

    async def standing(self, guild_id: UUID, actor_id: UUID) -> Standing | None:
        """How an actor stands in a guild; None for who is no member."""
        statement = select(func.guild_permissions(guild_id, actor_id), func.guild_rank(guild_id, actor_id))
        permissions, rank = (await self.session.execute(statement)).one()
        return None if rank is None else Standing(permissions, rank)

    async def lock(self, guild_id: UUID) -> Guild | None:
        """The guild as it is, for this transaction alone to change: its roles, its members, its channels."""
        statement = select(Guild).where(*_live(guild_id)).with_for_update(key_share=True)
        statement = statement.execution_options(populate_existing=True)
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def list_of_actor(self, actor_id: UUID, *, after: UUID | None = None, limit: int = PAGE) -> Sequence[Guild]:
        """The guilds that an actor is a member of."""
        statement = select(Guild).join(GuildMember, GuildMember.guild_id == Guild.id)
        statement = statement.where(GuildMember.actor_id == actor_id, Guild.deleted_at.is_(None))
        if after is not None:
            statement = statement.where(GuildMember.guild_id > after)
        statement = statement.order_by(GuildMember.guild_id).limit(limit)
        return (await self.session.execute(statement)).scalars().all()

    async def change(self, guild_id: UUID, **values: Any) -> Guild:
        """Changes a guild that is locked."""
        statement = update(Guild).where(Guild.id == guild_id).values(values).returning(Guild)
        statement = statement.execution_options(populate_existing=True)
        return (await self.session.execute(statement)).scalar_one()

    async def remove(self, guild_id: UUID, *, at: datetime) -> None:
        """Deletes a guild that is locked, with its channels; `purge` takes them out of the tables later."""
        rooms = update(Room).where(Room.guild_id == guild_id, Room.deleted_at.is_(None)).values(deleted_at=at)
        await self.session.execute(rooms.execution_options(synchronize_session=False))
        await self.change(guild_id, deleted_at=at)


class GuildMemberRepository(Repository[GuildMember]):
    """Members of guilds, and those who are banned."""

    model_type = GuildMember

    async def add_member(self, guild_id: UUID, actor_id: UUID) -> bool:
        """Has an actor be a member; False if they were one before, are banned, or are gone."""
        living = select(literal(guild_id), Actor.id).where(Actor.id == actor_id, Actor.deleted_at.is_(None))
        living = living.where(~_is_banned(guild_id, actor_id)).with_for_update(read=True, key_share=True, of=Actor)
        statement = insert(GuildMember).from_select(["guild_id", "actor_id"], living).on_conflict_do_nothing()
        return (await self.session.execute(statement.returning(GuildMember.actor_id))).first() is not None

    async def is_member(self, guild_id: UUID, actor_id: UUID) -> bool:
        """Whether an actor is a member of a guild."""
        return bool(await self.session.scalar(select(_is_member(guild_id, actor_id))))

    async def is_banned(self, guild_id: UUID, actor_id: UUID) -> bool:
        """Whether an actor may not become a member of a guild."""
        return bool(await self.session.scalar(select(_is_banned(guild_id, actor_id))))

    async def list_of_guild(
        self, guild_id: UUID, *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[GuildMember]:
        """A guild's members."""
        statement = select(GuildMember).where(GuildMember.guild_id == guild_id)
        return await self._page(statement, GuildMember.actor_id, after=after, limit=limit)

    async def rename(self, guild_id: UUID, actor_id: UUID, nickname: str | None) -> bool:
        """Sets what a member is called in a guild; False if they are none."""
        where = (GuildMember.guild_id == guild_id, GuildMember.actor_id == actor_id)
        statement = update(GuildMember).where(*where).values(nickname=nickname).returning(GuildMember.actor_id)
        statement = statement.execution_options(synchronize_session=False)
        return (await self.session.execute(statement)).first() is not None

    async def remove_member(self, guild_id: UUID, actor_id: UUID) -> bool:
        """Ends a membership, with its roles and its places in the guild's channels; False if there was none."""
        channels = select(Room.id).where(Room.guild_id == guild_id)
        places = delete(RoomMember).where(RoomMember.actor_id == actor_id, RoomMember.room_id.in_(channels))
        await self.session.execute(places.execution_options(synchronize_session=False))
        where = (GuildMember.guild_id == guild_id, GuildMember.actor_id == actor_id)
        statement = delete(GuildMember).where(*where).returning(GuildMember.actor_id)
        statement = statement.execution_options(synchronize_session=False)
        return (await self.session.execute(statement)).first() is not None

    async def ban(self, guild_id: UUID, actor_id: UUID, *, banned_by: UUID, reason: str | None) -> bool:
        """Keeps an actor from becoming a member again; False if they are banned already, or unknown."""
        known = select(literal(guild_id), Actor.id, literal(banned_by), literal(reason)).where(Actor.id == actor_id)
        columns = ["guild_id", "actor_id", "banned_by", "reason"]
        statement = insert(GuildBan).from_select(columns, known).on_conflict_do_nothing()
        return (await self.session.execute(statement.returning(GuildBan.actor_id))).first() is not None

    async def unban(self, guild_id: UUID, actor_id: UUID) -> bool:
        """Lets an actor become a member again; False if they were not banned."""
        where = (GuildBan.guild_id == guild_id, GuildBan.actor_id == actor_id)
        statement = delete(GuildBan).where(*where).returning(GuildBan.actor_id)
        return (await self.session.execute(statement)).first() is not None

    async def list_bans(self, guild_id: UUID, *, after: UUID | None = None, limit: int = PAGE) -> Sequence[GuildBan]:
        """Those who are banned from a guild."""
        statement = select(GuildBan).where(GuildBan.guild_id == guild_id)
        return await self._page(statement, GuildBan.actor_id, after=after, limit=limit)

    async def _page(self, statement: Any, by: Any, *, after: UUID | None, limit: int) -> Sequence[Any]:
        if after is not None:
            statement = statement.where(by > after)
        return (await self.session.execute(statement.order_by(by).limit(limit))).scalars().all()


def _live(guild_id: UUID) -> tuple[Any, ...]:
    return Guild.id == guild_id, Guild.deleted_at.is_(None)


def _is_member(guild_id: UUID, actor_id: UUID) -> Any:
    return exists().where(GuildMember.guild_id == guild_id, GuildMember.actor_id == actor_id)


def _is_banned(guild_id: UUID, actor_id: UUID) -> Any:
    return exists().where(GuildBan.guild_id == guild_id, GuildBan.actor_id == actor_id)
