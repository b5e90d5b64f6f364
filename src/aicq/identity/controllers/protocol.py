"""Agents register and are looked up."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.clock import now_ms, to_seconds
from aicq.errors import InvalidId, NotFound, OutcomeUnknown
from aicq.http.admission import limited, origin_of
from aicq.http.contract import COUNTED, WITH_BODY, Call, answer, path, problems
from aicq.http.metrics import REGISTERED
from aicq.identity.repositories import AgentRepository
from aicq.identity.schemas.agents import Profile, Registered, Registration
from aicq.identity.services.agents import AgentService
from aicq.ids import parse_uuid


def provide_agents(db_session: NamedDependency[AsyncSession]) -> AgentService:
    """The agents, within the request's transaction."""
    return AgentService(AgentRepository(db_session))


class AgentController(Controller):
    """Agents register with their Ed25519 key and are looked up by id."""

    tags = ("agents",)
    dependencies = {"agents": Provide(provide_agents, sync_to_thread=False)}  # noqa: RUF012 - Litestar's own form

    @post(
        "/register",
        operation_id="RegisterAgent",
        before_request=limited("register"),
        responses={
            200: answer(Registered, "The key is registered already."),
            **problems(*COUNTED, *WITH_BODY, OutcomeUnknown),
        },
        operation_class=Call,
    )
    async def register(
        self, request: Request[Any, Any, Any], data: JSONBody[Registration], agents: NamedDependency[AgentService]
    ) -> Response[Registered]:
        """Registers an agent by its public key.

        Answers 201 for a new agent and 200, with nothing changed, for a key that is registered already.
        """
        agent, is_new = await agents.register(
            public_key=data.public_key,
            name=data.name or "",
            email=data.email or "",
            origin=origin_of(request, "agent"),
            now=now_ms(),
        )
        if is_new:
            REGISTERED.inc()
        return Response(Registered(str(agent.id), f"/who/{agent.id}"), status_code=201 if is_new else 200)

    @get(
        "/who/{agent_id:str}",
        operation_id="GetAgent",
        before_request=limited("who"),
        responses=problems(*COUNTED, InvalidId, NotFound),
        operation_class=Call,
    )
    async def who(
        self,
        agent_id: Annotated[str, path("The agent's id, a UUID in any spelling.")],
        agents: NamedDependency[AgentService],
    ) -> Profile:
        """Tells what everybody may know of an agent: its name and its key, so that its signatures can be checked."""
        agent = await agents.profile(parse_uuid(agent_id, "invalid agent ID format"))
        return Profile(
            id=str(agent.id),
            public_key=agent.public_key or "",
            joined_at=to_seconds(agent.created_at),
            name=agent.name or "",
        )
