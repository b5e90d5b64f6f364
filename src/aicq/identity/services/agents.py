"""What agents can do about themselves, within a request's transaction."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from aicq.audit.recorder import record
from aicq.auth.principal import Principal
from aicq.auth.signatures import holds, key_text, read_public_key, write_public_key
from aicq.errors import InvalidRequest, NotAuthenticated, NotFound, Unprocessable
from aicq.identity.models import Agent
from aicq.identity.repositories import AgentRepository
from aicq.identity.schemas.agents import AgentChange
from aicq.identity.services.directory import enter
from aicq.ids import new_row_id
from aicq.origin import Origin

MAX_NAME_BYTES = 100
MAX_EMAIL = 254
EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")


class OldKey(NotAuthenticated):
    """the key that signed is not the agent's any more."""


class AgentService:
    """What agents can do about themselves."""

    def __init__(self, agents: AgentRepository) -> None:
        self._agents = agents

    async def register(self, *, public_key: str, name: str, email: str, origin: Origin, now: int) -> tuple[Agent, bool]:
        """Registers an agent by its key.

        Returns:
            The agent, and whether it is new; a key that is known already changes nothing.

        Raises:
            InvalidRequest: The key is missing or none, or the email is not well formed.
        """
        if not public_key:
            raise InvalidRequest("public_key is required", field="public_key")
        # Base64 spells the same bytes in several ways, and two agents with one key accept the same requests.
        public_key = write_public_key(read_public_key(public_key))
        email = email.strip()
        if email and (len(email) > MAX_EMAIL or not EMAIL.fullmatch(email)):
            raise InvalidRequest("invalid email format", field="email")
        added = await self._agents.register(
            new_row_id(now), public_key=public_key, name=clean_name(name) or None, email=email or None
        )
        if added is not None:
            values = {"public_key": public_key, "name": added.name, "email": added.email, "status": added.status}
            by_itself = msgspec.structs.replace(origin, actor_id=added.id)
            await self._record(by_itself, "agents.register", added.id, new=values)
            return added, True
        known = await self._agents.find_by_public_key(public_key)
        if known is None:
            raise NotFound("agent not found")
        return known, False

    async def profile(self, agent_id: UUID) -> Agent:
        """Returns an agent.

        Raises:
            NotFound: There is none with this id.
        """
        agent = await self._agents.find(agent_id)
        if agent is None or agent.public_key is None:
            raise NotFound("agent not found")
        return agent

    async def enter(self, principal: Principal) -> None:
        """Spends the nonce of a signed request in the transaction that does its work.

        Raises:
            Forbidden: The agent is not active.
            ReplayedRequest: The nonce is spent.
        """
        await enter(self._agents.session, principal)

    async def find(self, agent_id: UUID) -> Agent:
        """Returns an agent.

        Raises:
            NotFound: There is none with this id.
        """
        agent = await self._agents.find(agent_id)
        if agent is None:
            raise NotFound("agent not found")
        return agent

    async def list_active(self, agent_ids: Sequence[UUID], *, after: UUID | None, limit: int) -> Sequence[Agent]:
        """Those of these agents that are active, by id."""
        return await self._agents.list_active(agent_ids, after=after, limit=limit)

    async def change(self, agent_id: UUID, change: AgentChange, origin: Origin) -> Agent:
        """Changes an agent's profile; what is not given stays as it is.

        Raises:
            NotFound: There is none with this id.
        """
        values = {name: value for name, value in _fields(change) if value is not msgspec.UNSET}
        agent = await self.find(agent_id)
        if values:
            old = {name: getattr(agent, name) for name in values}
            agent = await self._agents.change(agent_id, **values) or agent
            await self._record(origin, "agents.change", agent_id, old=old, new=values)
        return agent

    async def change_key(self, caller: Principal, *, public_key: str, proof: str, origin: Origin) -> Agent:
        """Gives the caller another key; the one that signed is good for nothing any more, and may be registered anew.

        Raises:
            InvalidRequest: The new key is none.
            Unprocessable: The proof is not the new key's own.
            NotAuthenticated: The key that signed is not the caller's any more.
            Conflict: Another agent has the new key.
        """
        new_key = read_public_key(public_key)
        public_key = write_public_key(new_key)
        if not holds(new_key, key_text(caller.id, public_key), proof):
            raise Unprocessable("the proof is not the new key's signature", field="proof")
        agent = await self._agents.change_key(caller.id, old=caller.key, new=public_key)
        if agent is None:
            raise OldKey
        old, new = {"public_key": caller.key}, {"public_key": public_key}
        await self._record(origin, "agents.change_key", agent.id, old=old, new=new)
        return agent

    async def delete(self, caller: Principal, *, name: str, origin: Origin) -> None:
        """Deletes the caller: what it wrote stays, all that was known of it goes.

        Raises:
            Unprocessable: `name` is not the caller's id.
            NotAuthenticated: The key that signed is not the caller's any more.
            Conflict: It owns a team, which is to be handed over first.
        """
        if name != str(caller.id):
            raise Unprocessable("it has to be the agent's own id", field="id")
        if not await self._agents.remove(caller.id, public_key=caller.key):
            raise OldKey
        await self._record(origin, "agents.delete", caller.id)

    async def log_in(self, caller: Principal, origin: Origin) -> None:
        """Lets a token be given for a signed request.

        Raises:
            NotAuthenticated: The key that signed is not the caller's any more.
        """
        if (await self.find(caller.id)).public_key != caller.key:
            raise OldKey
        await self._record(origin, "agents.log_in", caller.id)

    async def _record(self, origin: Origin, action: str, agent_id: UUID, **values: Any) -> None:
        await record(self._agents.session, origin, action, resource=Agent, key=agent_id, **values)


def _fields(change: AgentChange) -> Iterator[tuple[str, Any]]:
    for name, value in msgspec.structs.asdict(change).items():
        yield name, msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else value


def clean_name(name: str) -> str:
    """Removes control characters and cuts at 100 bytes, never inside a character."""
    printable = "".join(char for char in name if unicodedata.category(char) not in {"Cc", "Cs"}).strip()
    return printable.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip()
