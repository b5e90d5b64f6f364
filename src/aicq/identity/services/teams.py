"""Teams and who belongs to them."""

from typing import Any
from uuid import UUID

import msgspec

from aicq.audit.recorder import record
from aicq.auth.secrets import Box
from aicq.errors import Conflict, Forbidden, NotFound
from aicq.identity.models import Team, TeamMembership
from aicq.identity.repositories import TeamRepository
from aicq.identity.schemas.teams import TeamChange, TeamCreate
from aicq.ids import new_row_id
from aicq.origin import Origin

RANKS = {"viewer": 0, "member": 1, "admin": 2, "owner": 3}


class OnlyOwner(Conflict):
    """They are the team's only owner; make somebody else one first."""


class TeamService:
    """What an actor can do about teams, within a transaction.

    Args:
        teams: The teams.
        box: Encrypts the webhooks' secrets.
        origin: The actor, and from where.
    """

    def __init__(self, teams: TeamRepository, box: Box, origin: Origin) -> None:
        assert origin.actor_id is not None  # noqa: S101 - who holds the admin token alone is in no team
        self._teams = teams
        self._box = box
        self._actor_id = origin.actor_id
        self._origin = origin

    async def create(self, wanted: TeamCreate, *, now: int) -> Team:
        """Makes a team that the actor owns. Postgres refuses a slug that another one has.

        Raises:
            NotFound: The actor is gone.
        """
        values = self._values(wanted)
        team = await self._teams.create(new_row_id(now), owner_id=self._actor_id, **values)
        if team is None:
            raise NotFound("actor not found")
        await self._record("teams.create", Team, team.id, new={**values, "owner_id": self._actor_id})
        return team

    async def find(self, team_id: UUID) -> Team:
        """A team that the actor belongs to.

        Raises:
            NotFound: There is none with this id.
        """
        await self._rank(team_id)
        team = await self._teams.find(team_id)
        if team is None:
            raise NotFound("team not found")
        return team

    async def change(self, team_id: UUID, change: TeamChange) -> Team:
        """Changes a team; what is not given stays as it is. Its admins and owners do.

        Raises:
            NotFound: The actor belongs to no such team.
            Forbidden: The actor ranks too low for that.
        """
        team = await self.find(team_id)
        await self._need(team_id, "admin")
        values = self._values(change)
        if not values:
            return team
        old = {name: getattr(team, name) for name in values}
        team = await self._teams.change(team_id, **values) or team
        await self._record("teams.change", Team, team_id, old=old, new=values)
        return team

    async def delete(self, team_id: UUID) -> None:
        """Deletes a team, and its agents and memories with it. Its owners do.

        Raises:
            NotFound: The actor belongs to no such team.
            Forbidden: The actor ranks too low for that.
        """
        await self._need(team_id, "owner")
        await self._teams.remove(team_id)
        await self._record("teams.delete", Team, team_id)

    async def list_members(self, team_id: UUID, *, after: UUID | None, limit: int) -> list[TeamMembership]:
        """Who belongs to a team of the actor's.

        Raises:
            NotFound: The actor belongs to no such team.
        """
        await self._rank(team_id)
        return list(await self._teams.list_members(team_id, after=after, limit=limit))

    async def put_member(self, team_id: UUID, actor_id: UUID, role: str) -> None:
        """Has somebody be a member with this role. A team's admins do it for those below them, its owners for all.

        Raises:
            NotFound: The actor belongs to no such team, or there is no such actor.
            Forbidden: The actor ranks too low for that.
            OnlyOwner: The team would be left without an owner.
        """
        before = await self._may_set(team_id, actor_id, role)
        if before == "owner" and role != "owner":
            await self._hand_over(team_id, actor_id)
        if not await self._teams.put_member(team_id, actor_id, role):
            raise NotFound("actor not found")
        await self._record_member("team_memberships.put", team_id, actor_id, old=before, new=role)

    async def remove_member(self, team_id: UUID, actor_id: UUID) -> None:
        """Ends somebody's membership, or one's own.

        Raises:
            NotFound: The actor belongs to no such team, or they do not.
            Forbidden: The actor ranks too low for that.
            OnlyOwner: The team would be left without an owner.
        """
        before = await self._may_set(team_id, actor_id, "viewer")
        if before == "owner":
            await self._hand_over(team_id, actor_id)
        if not await self._teams.remove_member(team_id, actor_id):
            raise NotFound("member not found")
        await self._record_member("team_memberships.delete", team_id, actor_id, old=before, new=None)

    async def _rank(self, team_id: UUID) -> str:
        role = await self._teams.role_of(team_id, self._actor_id)
        if role is None:
            # Nobody else is to know which teams there are.
            raise NotFound("team not found")
        return role

    async def _need(self, team_id: UUID, role: str) -> None:
        if RANKS[await self._rank(team_id)] < RANKS[role]:
            raise Forbidden("your role in the team does not allow it")

    async def _may_set(self, team_id: UUID, actor_id: UUID, role: str) -> str | None:
        """The role that somebody has, if the actor may change it to this one."""
        # Roles change one at a time, or two owners could each take the other's role away.
        await self._teams.lock(team_id)
        own = await self._rank(team_id)
        before = await self._teams.role_of(team_id, actor_id)
        steps_down = actor_id == self._actor_id and RANKS[role] <= RANKS[own]
        is_above_all = own == "admin" and max(RANKS[before or "viewer"], RANKS[role]) < RANKS["admin"]
        if not (own == "owner" or steps_down or is_above_all):
            raise Forbidden("your role in the team does not allow it")
        return before

    async def _hand_over(self, team_id: UUID, actor_id: UUID) -> None:
        """Has another owner own the team, if it is this one who does."""
        other = await self._teams.other_owner(team_id, actor_id)
        if other is None:
            raise OnlyOwner
        await self._teams.hand_over(team_id, owner_id=other, from_id=actor_id)

    def _values(self, wanted: TeamCreate | TeamChange) -> dict[str, Any]:
        given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not msgspec.UNSET}
        if given.get("webhook_secret") is not None:
            given["webhook_secret"] = self._box.seal(given["webhook_secret"])
        return given

    async def _record_member(
        self, action: str, team_id: UUID, actor_id: UUID, *, old: str | None, new: str | None
    ) -> None:
        roles = {"old": {"role": old} if old else None, "new": {"role": new} if new else None}
        await self._record(action, TeamMembership, (team_id, actor_id), **roles)

    async def _record(
        self, action: str, resource: type[Team | TeamMembership], key: object, **values: dict[str, Any] | None
    ) -> None:
        await record(self._teams.session, self._origin, action, resource=resource, key=key, **values)
