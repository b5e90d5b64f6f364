"""Teams and their members."""

from typing import Annotated, Any, cast
from uuid import UUID

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ActorRequest, authenticated, origin_of_actor
from aicq.auth.principal import Principal
from aicq.auth.secrets import Box
from aicq.clock import now_ms, to_seconds
from aicq.errors import Conflict, InvalidId, InvalidRequest, NotFound, Unprocessable
from aicq.http import contract
from aicq.http.contract import REQUEST_BYTES, SIGNED_OR_BEARING, TOKEN_OR_SIGNED, WITH_BODY, Call, problems
from aicq.http.paging import USUAL, Cursor, Limit, first_page, read_cursor
from aicq.http.resources.bodies import checked
from aicq.identity.models import Team
from aicq.identity.repositories import TeamRepository
from aicq.identity.schemas.teams import Member, MemberRole, Members, TeamChange, TeamCreate, Teams, TeamShown
from aicq.identity.services.directory import enter
from aicq.identity.services.teams import OnlyOwner, TeamService
from aicq.ids import parse_uuid

TeamId = Annotated[str, contract.path("The team's id, a UUID.")]
ActorId = Annotated[str, contract.path("The member's id, a UUID.")]

BAD_TEAM_ID = "invalid team ID format"
BAD_ACTOR_ID = "invalid actor ID format"


class TeamController(Controller):
    """The caller's teams."""

    path = "/v1/teams"
    tags = ("teams",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @post(
        operation_id="CreateTeam",
        before_request=checked(authenticated("write"), TeamCreate),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def create(
        self,
        request: ActorRequest,
        data: JSONBody[TeamCreate],
        db_session: NamedDependency[AsyncSession],
        box: NamedDependency[Box],
    ) -> TeamShown:
        """Makes a team that the caller owns."""
        teams = await teams_of(request, db_session, box)
        return shown_team(await teams.create(data, now=now_ms()))

    @get(
        operation_id="ListTeams",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        operation_class=Call,
    )
    async def list_teams(
        self,
        principal: NamedDependency[Principal],
        db_session: NamedDependency[AsyncSession],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Teams:
        """Lists the teams that the caller belongs to."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        await enter(db_session, principal)
        found = await TeamRepository(db_session).list_of(principal.id, after=after, limit=limit + 1)
        shown, rest = first_page(found, limit, lambda team: [team.id])
        return Teams([shown_team(team) for team in shown], rest)

    @get(
        "/{team_id:str}",
        operation_id="GetTeam",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        operation_class=Call,
    )
    async def show(
        self,
        request: ActorRequest,
        team_id: TeamId,
        db_session: NamedDependency[AsyncSession],
        box: NamedDependency[Box],
    ) -> TeamShown:
        """Shows a team that the caller belongs to."""
        teams = await teams_of(request, db_session, box)
        return shown_team(await teams.find(parse_uuid(team_id, BAD_TEAM_ID)))

    @patch(
        "/{team_id:str}",
        operation_id="ChangeTeam",
        before_request=checked(authenticated("write"), TeamChange),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, Conflict, Unprocessable),
        operation_class=Call,
    )
    async def change(
        self,
        request: ActorRequest,
        team_id: TeamId,
        data: JSONBody[TeamChange],
        db_session: NamedDependency[AsyncSession],
        box: NamedDependency[Box],
    ) -> TeamShown:
        """Changes a team; what is not given stays as it is. Its admins and owners do."""
        teams = await teams_of(request, db_session, box)
        return shown_team(await teams.change(parse_uuid(team_id, BAD_TEAM_ID), data))

    @delete(
        "/{team_id:str}",
        operation_id="DeleteTeam",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound, Conflict),
        operation_class=Call,
    )
    async def remove(
        self,
        request: ActorRequest,
        team_id: TeamId,
        db_session: NamedDependency[AsyncSession],
        box: NamedDependency[Box],
    ) -> None:
        """Deletes a team for good, and its agents and memories with it. Its owners do."""
        teams = await teams_of(request, db_session, box)
        await teams.delete(parse_uuid(team_id, BAD_TEAM_ID))

    @get(
        "/{team_id:str}/members",
        operation_id="ListTeamMembers",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def list_members(
        self,
        request: ActorRequest,
        team_id: TeamId,
        db_session: NamedDependency[AsyncSession],
        box: NamedDependency[Box],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Members:
        """Lists who belongs to a team of the caller's."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        teams = await teams_of(request, db_session, box)
        found = await teams.list_members(parse_uuid(team_id, BAD_TEAM_ID), after=after, limit=limit + 1)
        shown, rest = first_page(found, limit, lambda member: [member.actor_id])
        members = [Member(str(row.actor_id), cast("Any", row.role), to_seconds(row.created_at)) for row in shown]
        return Members(members, rest)

    @put(
        "/{team_id:str}/members/{actor_id:str}",
        operation_id="PutTeamMember",
        status_code=204,
        before_request=checked(authenticated("write"), MemberRole),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, InvalidId, NotFound, OnlyOwner, Unprocessable),
        operation_class=Call,
    )
    async def put_member(
        self,
        request: ActorRequest,
        team_id: TeamId,
        actor_id: ActorId,
        data: JSONBody[MemberRole],
        db_session: NamedDependency[AsyncSession],
        box: NamedDependency[Box],
    ) -> None:
        """Has somebody belong to a team with this role. Its admins do it for those below them, its owners for all."""
        teams = await teams_of(request, db_session, box)
        await teams.put_member(parse_uuid(team_id, BAD_TEAM_ID), parse_uuid(actor_id, BAD_ACTOR_ID), data.role)

    @delete(
        "/{team_id:str}/members/{actor_id:str}",
        operation_id="RemoveTeamMember",
        before_request=authenticated("write"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound, OnlyOwner),
        operation_class=Call,
    )
    async def remove_member(
        self,
        request: ActorRequest,
        team_id: TeamId,
        actor_id: ActorId,
        db_session: NamedDependency[AsyncSession],
        box: NamedDependency[Box],
    ) -> None:
        """Ends somebody's membership of a team, or the caller's own."""
        teams = await teams_of(request, db_session, box)
        await teams.remove_member(parse_uuid(team_id, BAD_TEAM_ID), parse_uuid(actor_id, BAD_ACTOR_ID))


async def teams_of(request: ActorRequest, session: AsyncSession, box: Box) -> TeamService:
    """What the caller can do about teams; the nonce of a signed request is spent."""
    principal = request.user
    await enter(session, principal)
    return TeamService(TeamRepository(session), box, origin_of_actor(request))


def shown_team(team: Team) -> TeamShown:
    """A team as its members see it."""
    return TeamShown(
        id=str(team.id),
        name=team.name,
        slug=team.slug,
        owner_id=str(team.owner_id),
        settings=team.settings,
        shared_skill_names=team.shared_skill_names,
        webhook_url=team.webhook_url,
        conversation_retention_days=team.conversation_retention_days,
        created_at=to_seconds(team.created_at),
        updated_at=to_seconds(team.updated_at),
    )
