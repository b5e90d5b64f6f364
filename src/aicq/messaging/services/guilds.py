"""Guilds: founding them, changing them, handing them over, deleting them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.auth.principal import Principal
from aicq.clock import from_ms
from aicq.errors import Forbidden, NotFound, Unprocessable
from aicq.identity.services.directory import enter
from aicq.ids import new_row_id
from aicq.messaging.models import Guild
from aicq.messaging.permissions import Permission
from aicq.messaging.repositories.guilds import GuildMemberRepository, GuildRepository, Standing
from aicq.messaging.services.holds import hold_guild
from aicq.messaging.services.texts import describe, line
from aicq.origin import Origin


class GuildService:
    """Guilds, within a request's transaction.

    Args:
        session: The transaction.
        origin: Who asks, for the audit log.
    """

    def __init__(self, session: AsyncSession, origin: Origin) -> None:
        self._session = session
        self._origin = origin
        self._guilds = GuildRepository(session)
        self._members = GuildMemberRepository(session)

    async def create(self, caller: Principal, *, name: str, description: str, now: int) -> Guild:
        """Founds a guild; the caller owns it, and everybody in it may view and post.

        Raises:
            Unprocessable: The name is missing or too long.
            Forbidden: The caller is not active.
            ReplayedRequest: The nonce is spent.
        """
        await enter(self._session, caller)
        guild = await self._guilds.create(
            new_row_id(now), name=line(name, "name"), description=describe(description), owner_id=caller.id
        )
        await self._record("create", guild, new={"name": guild.name, "owner_id": guild.owner_id})
        return guild

    async def find(self, caller: Principal, guild_id: UUID) -> tuple[Guild, Standing]:
        """A guild that the caller is a member of, and how they stand there.

        Raises:
            NotFound: There is no such guild, or they are no member.
        """
        await enter(self._session, caller)
        found = await self._guilds.find_for(guild_id, caller.id)
        if found is None:
            raise NotFound("guild not found")
        return found

    async def list_own(self, caller: Principal, *, after: UUID | None, limit: int) -> Sequence[Guild]:
        """The guilds that the caller is a member of."""
        await enter(self._session, caller)
        return await self._guilds.list_of_actor(caller.id, after=after, limit=limit)

    async def change(
        self, caller: Principal, guild_id: UUID, *, name: str | None, description: str | None, owner_id: UUID | None
    ) -> Guild:
        """Renames or describes a guild, or hands it over to another of its members; whoever owned it stays one.

        None leaves a value as it is, an empty description takes it away.

        Raises:
            NotFound: There is no such guild, or the caller is no member.
            Forbidden: They are no administrator, or they hand over a guild that is not theirs.
            Unprocessable: The name is empty or too long, or the new owner is no member.
        """
        guild, _ = await hold_guild(self._session, guild_id, caller, Permission.ADMINISTRATOR)
        values: dict[str, Any] = {}
        if name is not None:
            values["name"] = line(name, "name")
        if description is not None:
            values["description"] = describe(description)
        if owner_id is not None:
            check_owner(guild, caller)
            if not await self._members.is_member(guild_id, owner_id):
                raise Unprocessable("the new owner must be a member", field="owner_id")
            values["owner_id"] = owner_id
        if not values:
            return guild
        old = {column: getattr(guild, column) for column in values}
        changed = await self._guilds.change(guild_id, **values)
        await self._record("change", changed, old=old, new=values)
        return changed

    async def delete(self, caller: Principal, guild_id: UUID, *, now: int) -> None:
        """Deletes a guild with its channels: nobody finds or reads them any more.

        Raises:
            NotFound: There is no such guild, or the caller is no member.
            Forbidden: They do not own it.
        """
        guild, _ = await hold_guild(self._session, guild_id, caller)
        check_owner(guild, caller)
        await self._guilds.remove(guild_id, at=from_ms(now))
        await self._record("delete", guild, old={"name": guild.name, "owner_id": guild.owner_id})

    async def _record(
        self, verb: str, guild: Guild, *, old: Mapping[str, Any] | None = None, new: Mapping[str, Any] | None = None
    ) -> None:
        await record(self._session, self._origin, f"guilds.{verb}", resource=Guild, key=guild.id, old=old, new=new)


def check_owner(guild: Guild, caller: Principal) -> None:
    """Refuses whoever does not own a guild."""
    if guild.owner_id != caller.id:
        raise Forbidden("only the owner of the guild may do this")
