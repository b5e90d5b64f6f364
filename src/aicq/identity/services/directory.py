"""Knowing actors again: by the key that signs a request, and by what an access token names."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.principal import Principal
from aicq.auth.requests import Key
from aicq.auth.signatures import read_public_key
from aicq.auth.tokens import Claims, fingerprint
from aicq.batches import Batcher
from aicq.clock import to_ms
from aicq.db.engine import fetch
from aicq.db.plugin import Database
from aicq.errors import Forbidden, ReplayedRequest
from aicq.identity.repositories import AgentRepository

MAX_KEYS = 100_000

TRUSTED_FOR = 1.0
"""Seconds that a key is taken for an agent's without looking again. Who has changed theirs waits no longer than that
until no worker accepts the old one."""

KEYS = "SELECT id, public_key FROM agents WHERE id = ANY ($1) AND public_key IS NOT NULL"

AGENTS = "SELECT id, public_key FROM agents WHERE id = ANY ($1) AND is_active AND public_key IS NOT NULL"

SESSIONS = """
SELECT s.id, s.user_id, s.expires_at, u.role::text FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.id = ANY ($1) AND s.revoked_at IS NULL AND u.is_active
"""


async def enter(session: AsyncSession, principal: Principal) -> None:
    """Begins the work of a request: the nonce of a signed one is spent in the transaction that does the work.

    Whoever shows a token was looked up a moment ago. Not to be called by a dependency: where one fails, the framework
    never closes the request's session.

    Raises:
        Forbidden: The agent is not active.
        ReplayedRequest: The nonce is spent.
    """
    if principal.nonce is None:
        return
    is_active, is_fresh = await AgentRepository(session).enter(principal.id, principal.nonce)
    if not is_active:
        raise Forbidden("agent is not active")
    if not is_fresh:
        raise ReplayedRequest


class Known(msgspec.Struct, frozen=True):
    """A key as it was read, and when."""

    key: Key
    at: float


class AgentDirectory:
    """Agents' keys for the check of signatures, kept in memory for a second.

    Args:
        database: Postgres.
        clock: Seconds that only go forward.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[UUID, Known] = {}
        self._read: Batcher[UUID, str | None] = Batcher(self._read_all)

    async def key(self, agent_id: UUID, *, anew: bool = False) -> Key | None:
        """The agent's key, or None if there is no such agent or it never signs.

        Args:
            agent_id: The agent.
            anew: Look again, even if it was read just now.
        """
        now = self._clock()
        known = self._known.get(agent_id)
        if known is not None and not anew and now - known.at < TRUSTED_FOR:
            return known.key
        public_key = await self._read(agent_id)
        if public_key is None:
            self._known.pop(agent_id, None)
            return None
        if known is not None and known.key.text == public_key:
            key = known.key
        else:
            key = Key(public_key, read_public_key(public_key))
        self._keep(agent_id, Known(key, now))
        return key

    def forget(self, agent_id: UUID) -> None:
        """Looks an agent's key up again when it is needed next."""
        self._known.pop(agent_id, None)

    def _keep(self, agent_id: UUID, known: Known) -> None:
        if agent_id not in self._known and len(self._known) >= MAX_KEYS:
            del self._known[next(iter(self._known))]
        self._known[agent_id] = known

    async def _read_all(self, agent_ids: list[UUID]) -> Sequence[str | None]:
        rows = await fetch(self._database.pool, KEYS, list(set(agent_ids)))
        keys = {row["id"]: row["public_key"] for row in rows}
        return [keys.get(agent_id) for agent_id in agent_ids]


class ActorStandings:
    """What access tokens stand for, as it is in Postgres now; tokens that come together are looked up together.

    Args:
        database: Postgres.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sessions: Batcher[UUID, asyncpg.Record | None] = Batcher(self._read_sessions)
        self._agents: Batcher[UUID, asyncpg.Record | None] = Batcher(self._read_agents)

    async def standing(self, claims: Claims, *, now: int) -> Principal | None:
        """The actor a token speaks for; None if they are not active, or session or key are not theirs any more."""
        if claims.session_id is not None:
            session = await self._sessions(claims.session_id)
            if session is None or session["user_id"] != claims.actor_id or to_ms(session["expires_at"]) <= now:
                return None
            return Principal(claims.actor_id, kind="user", session_id=claims.session_id, role=session["role"])
        agent = await self._agents(claims.actor_id)
        if agent is None or fingerprint(agent["public_key"]) != claims.key:
            return None
        return Principal(claims.actor_id)

    async def _read_sessions(self, session_ids: list[UUID]) -> Sequence[asyncpg.Record | None]:
        return await _in_order(self._database, SESSIONS, session_ids)

    async def _read_agents(self, agent_ids: list[UUID]) -> Sequence[asyncpg.Record | None]:
        return await _in_order(self._database, AGENTS, agent_ids)


async def _in_order(database: Database, query: str, ids: list[UUID]) -> Sequence[asyncpg.Record | None]:
    rows = {row["id"]: row for row in await fetch(database.pool, query, list(set(ids)))}
    return [rows.get(each) for each in ids]
