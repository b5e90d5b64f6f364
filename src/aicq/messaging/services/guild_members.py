"""Who is in a guild: joining by invitation, adding, leaving, kicking, banning."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.auth.principal import Principal
from aicq.errors import Forbidden, NotFound
from aicq.identity.services.directory import enter
from aicq.messaging.invites import Invite, Invites
from aicq.messaging.models import Guild, GuildBan, GuildMember
from aicq.messaging.permissions import Permission
from aicq.messaging.repositories.guilds import GuildMemberRepository, GuildRepository
from aicq.messaging.repositories.roles import RoleRepository
from aicq.messaging.services.holds import hold_guild
from aicq.messaging.services.texts import line
from aicq.origin import Origin


class GuildMemberService:
    """Members of guilds, within a request's transaction. Who may kick may also let in.

    Args:
        session: The transaction.
        invites: Writes and reads invitations.
        origin: Who asks, for the audit log.
    """

    def __init__(self, session: AsyncSession, invites: Invites, origin: Origin) -> None:
        self._session = session
        self._invites = invites
        self._origin = origin
        self._guilds = GuildRepository(session)
        self._members = GuildMemberRepository(session)
        self._roles = RoleRepository(session)

    async def invite(self, caller: Principal, guild_id: UUID, *, seconds: int, now: int) -> tuple[str, int]:
        """An invitation that everybody who has it can join with, and when it ends, in Unix milliseconds.

        Raises:
            NotFound: There is no such guild, or the caller is no member.
            Forbidden: They may not let anybody in.
        """
        await hold_guild(self._session, guild_id, caller, Permission.KICK)
        expires = now + seconds * 1000
        return self._invites.write(Invite(guild_id, caller.id, expires)), expires

    async def join(self, caller: Principal, code: str, *, now: int) -> Guild:
        """Makes the caller a member; who is one already stays one.

        Raises:
            Unprocessable: It is no invitation, or too old.
            NotFound: The guild is gone.
            Forbidden: The caller is banned or not active, or whoever invited them may let nobody in any more.
        """
        invite = self._invites.read(code, now=now)
        await enter(self._session, caller)
        guild = await self._guilds.lock(invite.guild_id)
        if guild is None:
            raise NotFound("guild not found")
        if not await self._roles.permissions(guild.id, invite.invited_by) & Permission.KICK:
            raise Forbidden("the invitation is not good any more", field="code")
        await self._let_in(guild.id, caller.id, "join")
        return guild

    async def add(self, caller: Principal, guild_id: UUID, actor_id: UUID) -> None:
        """Makes somebody a member.

        Raises:
            NotFound: There is no such guild, or nobody of that id.
            Forbidden: The caller may let nobody in, or they are banned.
        """
        await hold_guild(self._session, guild_id, caller, Permission.KICK)
        await self._let_in(guild_id, actor_id, "add")

    async def remove(self, caller: Principal, guild_id: UUID, actor_id: UUID) -> None:
        """Ends a membership: one's own, or that of somebody who stands lower.

        Raises:
            NotFound: There is no such guild, or no such member.
            Forbidden: They stand as high as the caller or higher, or the caller may not kick, or owns the guild.
        """
        leaves = actor_id == caller.id
        guild, standing = await hold_guild(self._session, guild_id, caller, None if leaves else Permission.KICK)
        if guild.owner_id == actor_id:
            raise Forbidden("the owner stays, until the guild is handed over")
        if not leaves:
            await self._check_outranked(guild_id, actor_id, standing.rank)
        if not await self._members.remove_member(guild_id, actor_id):
            raise NotFound("member not found")
        await self._record("leave" if leaves else "kick", (guild_id, actor_id), old={})

    async def ban(self, caller: Principal, guild_id: UUID, actor_id: UUID, *, reason: str | None) -> None:
        """Ends somebody's membership, if they have one, and lets them in no more.

        Raises:
            NotFound: There is no such guild, or nobody of that id.
            Forbidden: The caller may not ban, or not them.
        """
        guild, standing = await hold_guild(self._session, guild_id, caller, Permission.BAN)
        if actor_id in {guild.owner_id, caller.id}:
            raise Forbidden("you cannot ban the owner or yourself")
        await self._check_outranked(guild_id, actor_id, standing.rank)
        reason = line(reason, "reason") if reason else None
        banned = await self._members.ban(guild_id, actor_id, banned_by=caller.id, reason=reason)
        if not banned and not await self._members.is_banned(guild_id, actor_id):
            raise NotFound("actor not found")
        await self._members.remove_member(guild_id, actor_id)
        if banned:
            key = (guild_id, actor_id)
            await record(self._session, self._origin, "guild_bans.create", resource=GuildBan, key=key, new={})

    async def unban(self, caller: Principal, guild_id: UUID, actor_id: UUID) -> None:
        """Lets somebody in again; that alone makes them no member.

        Raises:
            NotFound: There is no such guild, or they are not banned.
            Forbidden: The caller may not ban.
        """
        await hold_guild(self._session, guild_id, caller, Permission.BAN)
        if not await self._members.unban(guild_id, actor_id):
            raise NotFound("ban not found")
        key = (guild_id, actor_id)
        await record(self._session, self._origin, "guild_bans.delete", resource=GuildBan, key=key, old={})

    async def rename(self, caller: Principal, guild_id: UUID, nickname: str | None) -> None:
        """Sets what the caller is called in a guild; None for their own name.

        Raises:
            NotFound: There is no such guild, or the caller is no member.
            Unprocessable: The nickname is too long.
        """
        await hold_guild(self._session, guild_id, caller)
        nickname = line(nickname, "nickname") if nickname else None
        await self._members.rename(guild_id, caller.id, nickname)
        await self._record("rename", (guild_id, caller.id), new={"nickname": nickname})

    async def list_all(
        self, caller: Principal, guild_id: UUID, *, after: UUID | None, limit: int
    ) -> tuple[Sequence[GuildMember], dict[UUID, list[UUID]]]:
        """A guild's members, with the roles that each was given.

        Raises:
            NotFound: There is no such guild, or the caller is no member.
        """
        await self._begin_reading(caller, guild_id, None)
        members = await self._members.list_of_guild(guild_id, after=after, limit=limit)
        return members, await self._roles.list_of_members(guild_id, [member.actor_id for member in members])

    async def list_bans(
        self, caller: Principal, guild_id: UUID, *, after: UUID | None, limit: int
    ) -> Sequence[GuildBan]:
        """Those who are banned from a guild.

        Raises:
            NotFound: There is no such guild, or the caller is no member.
            Forbidden: They may not ban.
        """
        await self._begin_reading(caller, guild_id, Permission.BAN)
        return await self._members.list_bans(guild_id, after=after, limit=limit)

    async def _let_in(self, guild_id: UUID, actor_id: UUID, verb: str) -> None:
        if await self._members.add_member(guild_id, actor_id):
            await self._record(verb, (guild_id, actor_id), new={})
        elif await self._members.is_banned(guild_id, actor_id):
            raise Forbidden("banned from this guild")
        elif not await self._members.is_member(guild_id, actor_id):
            raise NotFound("actor not found")

    async def _check_outranked(self, guild_id: UUID, actor_id: UUID, rank: int) -> None:
        standing = await self._guilds.standing(guild_id, actor_id)
        if standing is not None and standing.rank >= rank:
            raise Forbidden("they stand as high as you or higher")

    async def _begin_reading(self, caller: Principal, guild_id: UUID, needing: Permission | None) -> None:
        await enter(self._session, caller)
        found = await self._guilds.find_for(guild_id, caller.id)
        if found is None:
            raise NotFound("guild not found")
        if needing is not None and not found[1].permissions & needing:
            raise Forbidden("your roles in this guild do not allow it")

    async def _record(
        self,
        verb: str,
        key: tuple[UUID, UUID],
        *,
        old: Mapping[str, Any] | None = None,
        new: Mapping[str, Any] | None = None,
    ) -> None:
        action = f"guild_members.{verb}"
        await record(self._session, self._origin, action, resource=GuildMember, key=key, old=old, new=new)
