"""The repositories of identity: which indexes their queries use among many rows, and how many statements they take."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from aicq.identity.models import Agent, Friendship, Session, Team, TeamMembership, User
from aicq.identity.repositories import (
    AgentRepository,
    FriendshipRepository,
    SessionRepository,
    TeamRepository,
    UserRepository,
)
from tests.db.observed import ROWS, Observed, indexes_that_are_no_keys, observed
from tests.servers import Databases

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = UUID(int=1)
"""A user, and the team that they own."""

FILL = f"""
INSERT INTO users (id, username, email, status, last_seen_at, github_username)
    SELECT to_uuid(n), 'user' || n, 'user' || n || '@x.io',
        CASE WHEN n % 100 = 0 THEN 'online' ELSE 'offline' END::user_status,
        '2026-01-01Z'::timestamptz - n * interval '1 minute', 'hub' || n
    FROM generate_series(1, {ROWS}) n;
INSERT INTO sessions (user_id, token_hash, expires_at)
    SELECT to_uuid(n), lpad(to_hex(n), 64, '0'), '2026-01-01Z'::timestamptz + (n - 100) * interval '1 minute'
    FROM generate_series(1, {ROWS}) n;
INSERT INTO teams (id, name, slug, owner_id) SELECT to_uuid(n), 'Team', 'team-' || n, to_uuid(n)
    FROM generate_series(1, {ROWS}) n;
INSERT INTO team_memberships (team_id, actor_id) SELECT id, owner_id FROM teams;
INSERT INTO agents (id, public_key, name, type, slug, team_id, status, model_provider, model_name, tags, created_by)
    SELECT to_uuid({ROWS} + n), 'key' || n, 'agent' || n, 'type' || n % 1000, 'agent-' || n, to_uuid(n % 20 + 1),
        CASE WHEN n % 100 = 0 THEN 'active' ELSE 'paused' END::agent_status, 'provider', 'model' || n % 1000,
        ARRAY['tag' || n % 1000], to_uuid(n)
    FROM generate_series(1, {ROWS}) n;
INSERT INTO friendships (actor_id, friend_id, status)
    SELECT to_uuid(n), to_uuid({ROWS} + n), (ARRAY['pending', 'accepted', 'blocked'])[n % 3 + 1]::friendship_status
    FROM generate_series(1, {ROWS}) n
"""

TO_UUID = """
CREATE FUNCTION pg_temp.to_uuid(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
$$ SELECT lpad(to_hex(n), 32, '0')::uuid $$
"""

Call = Callable[[Observed], Awaitable[Any]]

QUERIES: dict[str, Call] = {
    "uq_users_lower_email": lambda at: UserRepository(at.session).find_by_email("USER7@x.io"),
    "uq_users_lower_username": lambda at: UserRepository(at.session).find_by_username("User7"),
    "uq_users_lower_github_username": lambda at: UserRepository(at.session).find_by_github_username("Hub7"),
    "ix_users_online": lambda at: UserRepository(at.session).list_online(limit=10),
    "ix_sessions_user_id": lambda at: SessionRepository(at.session).list_live(FIRST, now=NOW),
    "ix_sessions_expires_at": lambda at: SessionRepository(at.session).drop_dead(before=NOW - timedelta(minutes=90)),
    "ix_friendships_friend_id": lambda at: FriendshipRepository(at.session).list_requests(FIRST),
    "ix_teams_owner_id": lambda at: TeamRepository(at.session).list_owned(FIRST),
    "ix_team_memberships_actor_id": lambda at: TeamRepository(at.session).list_of(FIRST),
    "uq_agents_team_id_slug": lambda at: AgentRepository(at.session).find_by_slug(FIRST, "agent-20"),
    "uq_agents_type_name": lambda at: AgentRepository(at.session).list_by_type("type7"),
    "ix_agents_team_id": lambda at: AgentRepository(at.session).list_of_team(FIRST),
    "ix_agents_model_provider": lambda at: AgentRepository(at.session).list_by_model("provider", "model7"),
    "ix_agents_tags": lambda at: AgentRepository(at.session).list_tagged(["tag7"]),
    "ix_agents_created_by": lambda at: at.run("UPDATE agents SET created_by = NULL WHERE created_by = :id", id=FIRST),
}


@pytest.fixture(scope="module")
async def filled(databases: Databases) -> AsyncIterator[str]:
    """A database with 20,000 rows in each table."""
    name = await databases.make()
    await run_script(databases.url(name), f"{FILL}; ANALYZE")
    yield databases.url(name)
    await databases.drop(name)


def test_every_index_has_its_query() -> None:
    assert set(QUERIES) == indexes_that_are_no_keys(Agent, Friendship, Session, Team, TeamMembership, User)


@pytest.mark.parametrize("index", QUERIES)
async def test_a_query_uses_its_index_among_many_rows(filled: str, index: str) -> None:
    async with observed(filled) as watched:
        assert index in await watched.indexes(QUERIES[index](watched))


LISTS: dict[str, Call] = {
    "users online": lambda at: UserRepository(at.session).list_online(limit=30),
    "sessions": lambda at: SessionRepository(at.session).list_live(FIRST, now=NOW),
    "friends": lambda at: FriendshipRepository(at.session).list_friends(FIRST),
    "requests": lambda at: FriendshipRepository(at.session).list_requests(FIRST),
    "teams owned": lambda at: TeamRepository(at.session).list_owned(FIRST),
    "teams": lambda at: TeamRepository(at.session).list_of(FIRST),
    "members": lambda at: TeamRepository(at.session).list_members(FIRST),
    "active agents": lambda at: AgentRepository(at.session).list_active([UUID(int=100 + n) for n in range(1, 31)]),
    "agents by type": lambda at: AgentRepository(at.session).list_by_type("type"),
    "agents of a team": lambda at: AgentRepository(at.session).list_of_team(FIRST),
    "agents by model": lambda at: AgentRepository(at.session).list_by_model("provider", "model"),
    "agents by tag": lambda at: AgentRepository(at.session).list_tagged(["tag"]),
}

MORE = """
INSERT INTO users (id, username, email, status)
    SELECT to_uuid(n), 'user' || n, 'user' || n || '@x.io', 'online' FROM generate_series({first}, {last}) n;
INSERT INTO sessions (user_id, token_hash, expires_at)
    SELECT to_uuid(1), lpad(to_hex(n), 64, '0'), '2027-01-01Z' FROM generate_series({first}, {last}) n;
INSERT INTO teams (id, name, slug, owner_id) SELECT to_uuid(n), 'Team', 'team-' || n, to_uuid(1)
    FROM generate_series({first}, {last}) n;
INSERT INTO team_memberships (team_id, actor_id)
    SELECT to_uuid(n), to_uuid(1) FROM generate_series({first}, {last}) n
    UNION SELECT to_uuid(1), to_uuid(n) FROM generate_series({first}, {last}) n;
INSERT INTO agents (id, name, type, team_id, model_provider, model_name, tags)
    SELECT to_uuid(100 + n), 'agent' || n, 'type', to_uuid(1), 'provider', 'model', ARRAY['tag']
    FROM generate_series({first}, {last}) n;
INSERT INTO friendships (actor_id, friend_id, status)
    SELECT to_uuid(1), to_uuid(100 + n), 'accepted' FROM generate_series({first}, {last}) n;
INSERT INTO friendships (actor_id, friend_id)
    SELECT to_uuid(100 + n), to_uuid(1) FROM generate_series({first}, {last}) n;
"""


async def run_script(database_url: str, script: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(TO_UUID)
    await connection.execute(script.replace("to_uuid(", "pg_temp.to_uuid("))
    await connection.close()


async def test_a_list_of_thirty_takes_as_many_statements_as_one_of_one(database_url: str) -> None:
    await run_script(database_url, MORE.format(first=1, last=1))
    async with observed(database_url) as watched:
        of_one = {name: await watched.count(call(watched)) for name, call in LISTS.items()}
        assert {name: len(await call(watched)) for name, call in LISTS.items()} == dict.fromkeys(LISTS, 1)
    await run_script(database_url, MORE.format(first=2, last=30))
    async with observed(database_url) as watched:
        assert {name: await watched.count(call(watched)) for name, call in LISTS.items()} == of_one
        assert {name: len(await call(watched)) for name, call in LISTS.items()} == dict.fromkeys(LISTS, 30)
