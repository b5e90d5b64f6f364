"""Registering agents, and knowing them again."""

import re
import unicodedata
from uuid import UUID

import msgspec
from nacl.signing import VerifyKey
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.audit.recorder import record
from aicq.auth.signatures import read_public_key, write_public_key
from aicq.errors import InvalidRequest, NotFound
from aicq.identity.models import Agent
from aicq.identity.repositories import AgentRepository
from aicq.ids import new_row_id
from aicq.origin import Origin

MAX_NAME_BYTES = 100
MAX_EMAIL = 254
EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")

MAX_KEYS = 100_000


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
            await self._record(added, origin)
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

    async def _record(self, agent: Agent, origin: Origin) -> None:
        values = {"public_key": agent.public_key, "name": agent.name, "email": agent.email, "status": agent.status}
        by_itself = msgspec.structs.replace(origin, actor_id=agent.id)
        session = self._agents.session
        await record(session, by_itself, "agents.register", resource=Agent, key=agent.id, new=values)


def clean_name(name: str) -> str:
    """Removes control characters and cuts at 100 bytes, never inside a character."""
    printable = "".join(char for char in name if unicodedata.category(char) not in {"Cc", "Cs"}).strip()
    return printable.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip()


class AgentDirectory:
    """Agents' keys for the check of signatures. A key never changes, so it is kept in memory once it was read."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions
        self._keys: dict[UUID, VerifyKey] = {}

    async def verify_key(self, agent_id: UUID) -> VerifyKey | None:
        """The agent's key, or None if there is no such agent or it never signs."""
        known = self._keys.get(agent_id)
        if known is not None:
            return known
        async with self._sessions() as session:
            agent = await AgentRepository(session).find(agent_id)
        if agent is None or agent.public_key is None:
            return None
        if len(self._keys) >= MAX_KEYS:
            del self._keys[next(iter(self._keys))]
        key = self._keys[agent_id] = read_public_key(agent.public_key)
        return key
