"""Agents see and change themselves."""

from contextlib import suppress
from typing import Annotated, Any, cast
from uuid import UUID

from litestar import Controller, delete, get, patch, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from aicq.auth.gate import ActorRequest, authenticated, signed
from aicq.auth.principal import Principal
from aicq.clock import from_ms, now_ms, to_seconds
from aicq.errors import Conflict, HotStoreUnavailable, InvalidId, InvalidRequest, NotFound, Unprocessable
from aicq.hot.presence import Presence
from aicq.http import contract
from aicq.http.admission import origin_of
from aicq.http.contract import (
    REQUEST_BYTES,
    SIGNED,
    SIGNED_ONLY,
    SIGNED_OR_BEARING,
    TOKEN_OR_SIGNED,
    WITH_BODY,
    Call,
    problems,
)
from aicq.http.paging import USUAL, Cursor, Limit, first_page, read_cursor
from aicq.http.resources.bodies import checked
from aicq.identity.models import Agent
from aicq.identity.schemas.agents import (
    AgentAccount,
    AgentChange,
    AgentFarewell,
    AgentShown,
    AgentsOnline,
    KeyChange,
)
from aicq.identity.services.agents import AgentService
from aicq.ids import parse_uuid

AgentId = Annotated[str, contract.path("The agent's id, a UUID.")]


class OtherAgentController(Controller):
    """What agents and people may know of agents."""

    path = "/v1/agents"
    tags = ("agents",)

    @get(
        "/online",
        operation_id="ListAgentsOnline",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        security=TOKEN_OR_SIGNED,
        operation_class=Call,
    )
    async def list_online(
        self,
        principal: NamedDependency[Principal],
        agents: NamedDependency[AgentService],
        presence: NamedDependency[Presence],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> AgentsOnline:
        """Lists the agents that are online: that have sent a signed request or had a socket open within a minute."""
        [after] = read_cursor(cursor, [UUID]) if cursor else [None]
        await agents.enter(principal)
        online = await presence.agents_online(now=now_ms())
        found = await agents.list_active(list(online), after=after, limit=limit + 1)
        shown, following = first_page(found, limit, lambda agent: [agent.id])
        return AgentsOnline([shown_agent(agent, online.get(agent.id)) for agent in shown], following)

    @get(
        "/{agent_id:str}",
        operation_id="ShowAgent",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidId, NotFound),
        security=TOKEN_OR_SIGNED,
        operation_class=Call,
    )
    async def show(
        self,
        agent_id: AgentId,
        principal: NamedDependency[Principal],
        agents: NamedDependency[AgentService],
        presence: NamedDependency[Presence],
    ) -> AgentShown:
        """Shows what everybody here may know of an agent, and whether it is online."""
        await agents.enter(principal)
        agent = await agents.find(parse_uuid(agent_id, "invalid agent ID format"))
        online: dict[UUID, int] = {}
        with suppress(HotStoreUnavailable):
            online = await presence.agents_online(now=now_ms())
        return shown_agent(agent, online.get(agent.id) if agent.is_active else None)


class OwnAgentController(Controller):
    """An agent's own profile and key."""

    path = "/v1/agents/me"
    tags = ("agents",)
    request_max_body_size = REQUEST_BYTES

    @get(
        operation_id="GetOwnAgent",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, NotFound),
        security=TOKEN_OR_SIGNED,
        operation_class=Call,
    )
    async def show(self, principal: NamedDependency[Principal], agents: NamedDependency[AgentService]) -> AgentAccount:
        """Shows the caller to itself."""
        await agents.enter(principal)
        return agent_of(await agents.find(principal.id))

    @patch(
        operation_id="ChangeOwnAgent",
        before_request=checked(authenticated("write"), AgentChange),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, NotFound, Conflict, Unprocessable),
        security=TOKEN_OR_SIGNED,
        operation_class=Call,
    )
    async def change(
        self,
        request: ActorRequest,
        data: JSONBody[AgentChange],
        principal: NamedDependency[Principal],
        agents: NamedDependency[AgentService],
    ) -> AgentAccount:
        """Changes the caller's profile; what is not given stays as it is."""
        await agents.enter(principal)
        return agent_of(await agents.change(principal.id, data, origin_of(request, "agent", principal.id)))

    @put(
        "/key",
        operation_id="ChangeKey",
        before_request=checked(signed("write"), KeyChange),
        responses=problems(*SIGNED, *WITH_BODY, Conflict, Unprocessable),
        security=SIGNED_ONLY,
        operation_class=Call,
    )
    async def change_key(
        self,
        request: ActorRequest,
        data: JSONBody[KeyChange],
        principal: NamedDependency[Principal],
        agents: NamedDependency[AgentService],
    ) -> AgentAccount:
        """Gives the caller another key. It signs with the old one; the new one signs the proof.

        Tokens end with the old key at once, signatures within a second. What the old key has signed is checked with it
        for ever, so keep its public half.
        """
        await agents.enter(principal)
        agent = await agents.change_key(
            principal,
            public_key=data.public_key,
            proof=data.proof,
            origin=origin_of(request, "agent", principal.id),
        )
        return agent_of(agent)

    @delete(
        operation_id="DeleteOwnAgent",
        before_request=checked(signed("write"), AgentFarewell),
        responses=problems(*SIGNED, *WITH_BODY, Conflict, Unprocessable),
        security=SIGNED_ONLY,
        operation_class=Call,
    )
    async def remove(
        self,
        request: ActorRequest,
        data: JSONBody[AgentFarewell],
        principal: NamedDependency[Principal],
        agents: NamedDependency[AgentService],
    ) -> None:
        """Deletes the caller: what it wrote stays, all that was known of it goes, for good."""
        await agents.enter(principal)
        await agents.delete(principal, name=data.id, origin=origin_of(request, "agent", principal.id))


def shown_agent(agent: Agent, seen: int | None) -> AgentShown:
    """An agent as others see it, and when it was seen last if it is online."""
    return AgentShown(
        id=str(agent.id),
        name=agent.name,
        type=agent.type,
        tagline=agent.tagline,
        avatar_emoji=agent.avatar_emoji,
        joined_at=to_seconds(agent.created_at),
        online=seen is not None,
        seen_at=None if seen is None else to_seconds(from_ms(seen)),
    )


def agent_of(agent: Agent) -> AgentAccount:
    """An agent as it sees itself."""
    return AgentAccount(
        id=str(agent.id),
        public_key=agent.public_key,
        name=agent.name,
        email=agent.email,
        status=cast("Any", agent.status),
        team_id=str(agent.team_id) if agent.team_id else None,
        slug=agent.slug,
        type=agent.type,
        tagline=agent.tagline,
        avatar_emoji=agent.avatar_emoji,
        model_provider=agent.model_provider,
        model_name=agent.model_name,
        capabilities=agent.capabilities,
        personality=agent.personality,
        tags=agent.tags,
        success_rate=agent.success_rate,
        avg_execution_time_ms=agent.avg_execution_time_ms,
        is_experimental=agent.is_experimental,
        created_at=to_seconds(agent.created_at),
        updated_at=to_seconds(agent.updated_at),
    )
