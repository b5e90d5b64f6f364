"""Every index of the tables of memory serves the query that it names, on tables of 20,000 rows.

The embeddings here have 8 numbers: the index of vectors is the same, and 20,000 of them take seconds to enter it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from aicq.memory.models import (
    Conversation,
    ConversationMessage,
    Memory,
    MemoryAccess,
    MemoryLink,
    MemoryLog,
    MemoryTag,
)
from aicq.memory.repositories import (
    ConversationFilter,
    ConversationMessageRepository,
    ConversationRepository,
    MemoryFilter,
    MemoryLinkRepository,
    MemoryLogRepository,
    MemoryRepository,
)
from aicq.memory.repositories.ranking import Question
from aicq.memory.repositories.recall import Scope
from tests.db.observed import Observed, indexes_that_are_no_keys, observed
from tests.memory.conftest import Connection, connect, migrated
from tests.servers import Databases

MODELS = (Conversation, ConversationMessage, Memory, MemoryAccess, MemoryLink, MemoryLog, MemoryTag)

# Ids that tell a row's number, so that a test can name the row it wants. Triggers write the history of what is added to
# memories alone.
FILL = """
CREATE FUNCTION n(kind int, number bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
    $$ SELECT (lpad(to_hex(kind), 8, '0') || lpad(to_hex(number), 24, '0'))::uuid $$;
INSERT INTO users (id, username, email) SELECT n(1, i), 'u' || i, 'u' || i || '@x.io' FROM generate_series(0, 199) i;
INSERT INTO teams (id, name, slug, owner_id) SELECT n(2, i), 't', 't' || i, n(1, 1) FROM generate_series(0, 99) i;
INSERT INTO agents (id, name, team_id) SELECT n(3, i), 'a' || i, n(2, i % 100) FROM generate_series(0, 999) i;
SET session_replication_role = replica;
INSERT INTO conversations (id, team_id, agent_id, user_id, status)
    SELECT n(4, i), n(2, i % 100), n(3, i % 1000), n(1, i % 200),
        (CASE WHEN i < 500 THEN 'active' ELSE 'closed' END)::conversation_status
    FROM generate_series(0, 19999) i;
INSERT INTO conversation_messages (id, team_id, conversation_id, agent_id, role, content)
    SELECT n(5, i), n(2, i % 100), n(4, i % 2000), n(3, i % 1000), 'user', 'hi' FROM generate_series(0, 19999) i;
SET session_replication_role = origin;
INSERT INTO memories (
    id, team_id, agent_id, user_id, memory_type, content, subject, embedding, importance, source_conversation_id, tier,
    status, expires_at
) SELECT n(6, i), n(2, i % 100), CASE WHEN i % 3 = 0 THEN n(3, i % 1000) END, n(1, i % 200),
    (CASE k % 10 WHEN 0 THEN 'user_profile' WHEN 1 THEN 'episodic' ELSE 'semantic' END)::memory_type_enum,
    'memory about word' || k, 'Subject ' || k,
    CASE WHEN k % 4 = 0 THEN ARRAY(SELECT sin((i + 1) * j) FROM generate_series(1, 8) j)::vector END,
    k % 10 + 1, CASE WHEN k % 5 = 0 THEN n(4, i % 2000) END,
    (CASE WHEN k < 5 THEN 'cold' ELSE 'hot' END)::memory_tier,
    (CASE WHEN k < 3 THEN 'archived' ELSE 'active' END)::memory_status,
    CASE WHEN k = 7 THEN now() - i * interval '1 min' WHEN k % 20 = 0 THEN now() + interval '1 day' END
    FROM (SELECT i, i / 100 AS k FROM generate_series(0, 19999) i) o;
INSERT INTO memories (team_id, memory_type, content, embedding)
    SELECT n(2, 50), 'shared', 'hi', ARRAY(SELECT cos((i + 1) * j) FROM generate_series(1, 8) j)::vector
    FROM generate_series(1, 1000) i;
UPDATE memories SET superseded_by = n(6, 1007), status = 'superseded' WHERE id IN (n(6, 1107), n(6, 1207));
SET session_replication_role = replica;
INSERT INTO memory_tags (memory_id, team_id, tag)
    SELECT n(6, i), n(2, i % 100), t.tag FROM generate_series(0, 19999) i
    CROSS JOIN LATERAL (VALUES ('tag' || i / 100), ('all')) AS t (tag);
INSERT INTO memory_links (from_id, to_id, kind, team_id)
    SELECT n(6, i), n(6, i + 100), 'related_to', n(2, i % 100) FROM generate_series(0, 19899) i;
INSERT INTO memory_accesses (memory_id, team_id, access_count, last_accessed_at)
    SELECT n(6, i), n(2, i % 100), i, now() - i * interval '1 min' FROM generate_series(0, 19999) i;
VACUUM ANALYZE
"""


def n(kind: int, number: int) -> UUID:
    """The id of a row that `FILL` made."""
    return UUID(int=kind << 96 | number)


USER, TEAM, AGENT, CONVERSATION, MEMORY = n(1, 7), n(2, 7), n(3, 7), n(4, 7), n(6, 1007)
LARGE = n(2, 50)
"""The team with a thousand more embeddings than others."""

NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)
MEANING = [0.5] * 8

Call = Callable[[Observed], Awaitable[Any]]


def scope(team_id: UUID = TEAM) -> Scope:
    return Scope(team_id=team_id, now=NOW)


def page(at: Observed, **wanted: Any) -> Awaitable[Any]:
    """A page of the team's memories."""
    return MemoryRepository(at.session).page(MemoryFilter(team_id=TEAM, **wanted), reader=AGENT, now=NOW)


CALLS: dict[str, Call] = {
    "ix_conversations_agent_id": lambda at: ConversationRepository(at.session).page(
        ConversationFilter(team_id=TEAM, agent_id=AGENT)
    ),
    "ix_conversations_user_id": lambda at: ConversationRepository(at.session).page(
        ConversationFilter(team_id=TEAM, user_id=USER)
    ),
    "ix_conversations_active": lambda at: ConversationRepository(at.session).page(
        ConversationFilter(team_id=TEAM, status="active")
    ),
    "ix_conversation_messages_conversation_id": lambda at: ConversationMessageRepository(at.session).list_of(
        CONVERSATION
    ),
    "ix_memories_embedded": lambda at: MemoryRepository(at.session).search_by_embedding(MEANING, scope()),
    "ix_memories_words": lambda at: MemoryRepository(at.session).search_by_text("word7", scope()),
    "ix_memories_memory_type": lambda at: page(at, memory_type="episodic", status="active"),
    "ix_memories_status": lambda at: page(at, status="archived"),
    "ix_memories_agent_id": lambda at: page(at, agent_id=AGENT),
    "ix_memories_user_profile": lambda at: page(at, memory_type="user_profile", user_id=USER, status="active"),
    "ix_memories_importance": lambda at: MemoryRepository(at.session).list_important(TEAM, limit=10),
    "ix_memories_subject": lambda at: page(at, subject="SUBJECT 7"),
    "ix_memories_tier": lambda at: page(at, tier="cold"),
    "ix_memories_expires_at": lambda at: MemoryRepository(at.session).list_expired(now=NOW - timedelta(days=10)),
    "ix_memories_source_conversation_id": lambda at: page(at, source_conversation_id=CONVERSATION),
    "ix_memories_superseded_by": lambda at: MemoryRepository(at.session).list_superseded_by(TEAM, MEMORY),
    "ix_memory_tags_tag": lambda at: page(at, tags=["tag7"]),
    "ix_memory_links_to_id": lambda at: MemoryLinkRepository(at.session).list_of([MEMORY]),
    "ix_memory_accesses_last_accessed_at": lambda at: MemoryRepository(at.session).list_recent(TEAM, limit=10),
    "ix_memory_log_memory_id_created_at": lambda at: MemoryLogRepository(at.session).at(TEAM, MEMORY, NOW),
    "ix_memory_log_team_id_memory_id": lambda at: MemoryLogRepository(at.session).of_team_at(TEAM, LATER),
    "ix_memory_log_team_id_created_at": lambda at: MemoryLogRepository(at.session).list_changes(
        TEAM, since=NOW - timedelta(hours=1), until=LATER, limit=10
    ),
}

# What Postgres asks by itself when the row that is pointed at goes.
DELETES = {
    "ix_conversation_messages_agent_id": (
        "UPDATE ONLY conversation_messages SET agent_id = NULL WHERE :team = team_id AND :id = agent_id",
        AGENT,
    ),
    "ix_memories_user_id": ("UPDATE ONLY memories SET user_id = NULL WHERE :id = user_id", USER),
}

BY_INDEX = {"ix_memories_embedding"}

STATISTICS = text("SELECT pg_stat_force_next_flush()")


async def scans(database: Connection) -> int:
    """How often the index of vectors was walked."""
    count: int = await database.fetchval(
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'ix_memories_embedding'"
    )
    return count


@pytest.fixture(scope="module")
async def filled(
    databases: Databases,
    anyio_backend: object,  # noqa: ARG001 - runs asynchronous fixtures
) -> AsyncIterator[str]:
    """A database with 20,000 rows in each table."""
    async with migrated(databases, dimensions=8) as url:
        async with connect(url) as database, asyncio.timeout(110):
            for statement in FILL.split(";\n"):
                await database.execute(statement)
        yield url


@pytest.mark.parametrize("index", CALLS)
async def test_a_query_uses_its_index(filled: str, index: str) -> None:
    async with observed(filled) as watched:
        assert index in await watched.indexes(CALLS[index](watched))


@pytest.mark.parametrize("index", DELETES)
async def test_a_delete_of_what_is_pointed_at_uses_its_index(filled: str, index: str) -> None:
    statement, gone = DELETES[index]
    given = {"id": gone} | ({"team": TEAM} if ":team" in statement else {})
    async with observed(filled) as watched:
        assert index in await watched.indexes(watched.run(statement, **given))


async def test_a_large_team_is_searched_by_the_index_of_vectors(filled: str) -> None:
    async with observed(filled) as watched, connect(filled) as database:
        before = await scans(database)
        memories = MemoryRepository(watched.session)
        memories.exact_rows = 0
        found, is_exact = await memories.search_by_embedding(MEANING, scope(LARGE), limit=5)
        assert (len(found), is_exact) == (5, False)
        await watched.session.execute(STATISTICS)
        await watched.session.rollback()
        assert await scans(database) == before + 1


async def test_the_past_of_what_nobody_has_changed_is_found_by_the_indexes_of_now(filled: str) -> None:
    then = Scope(team_id=LARGE, now=LATER, past=True)
    async with observed(filled) as watched, connect(filled) as database:
        memories = MemoryRepository(watched.session)
        memories.exact_rows = 0
        extent = await memories.measure(then)
        assert "ix_memories_words" in await watched.indexes(memories.recall_at(Question(query="word7"), then, extent))
        before = await scans(database)
        found, _, is_exact = await memories.recall_at(Question(embedding=MEANING, limit=5), then, extent)
        assert (len(found), is_exact) == (5, False)
        await watched.session.execute(STATISTICS)
        await watched.session.rollback()
        assert await scans(database) == before + 1


def test_every_index_is_asked_about() -> None:
    assert indexes_that_are_no_keys(*MODELS) == CALLS.keys() | DELETES.keys() | BY_INDEX


LISTS: dict[str, Call] = {
    "of a team": page,
    "by type": lambda at: page(at, memory_type="semantic", status="active"),
    "by tags": lambda at: page(at, tags=["all"]),
    "important": lambda at: MemoryRepository(at.session).list_important(TEAM),
    "recent": lambda at: MemoryRepository(at.session).list_recent(TEAM),
    "conversations": lambda at: ConversationRepository(at.session).page(ConversationFilter(team_id=TEAM)),
    "changes": lambda at: MemoryLogRepository(at.session).list_changes(
        TEAM, since=NOW - timedelta(hours=1), until=LATER
    ),
    "as of": lambda at: MemoryLogRepository(at.session).of_team_at(TEAM, LATER),
}


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_takes_one_statement_with_all_that_belongs_to_its_rows(filled: str, name: str) -> None:
    async with observed(filled) as watched:
        assert await watched.count(LISTS[name](watched)) == 1
        rows = await LISTS[name](watched)
        assert len(rows) > 30
        assert await watched.count(touch(rows)) == 0


async def touch(rows: Any) -> None:
    """Looks at everything that a memory shows."""
    for row in rows:
        if isinstance(row, Memory):
            assert row.tags
            assert isinstance(row.access_count, int)
