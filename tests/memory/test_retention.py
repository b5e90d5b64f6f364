"""What memory gives up, and when: conversations past what their teams keep, and memories that have expired."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.clock import from_ms
from aicq.memory import retention as retention_module
from aicq.memory.retention import Retention
from tests.memory.conftest import Connection, Team, add_conversation, add_memory, add_team, connect, history, say

NOW = 1_900_000_000_000

DAYS = timedelta(days=1)


@pytest.fixture
def retention(sessions: async_sessionmaker[AsyncSession], monkeypatch: pytest.MonkeyPatch) -> Retention:
    """One that works in small chunks."""
    monkeypatch.setattr(retention_module, "MOST", 2)
    return Retention(sessions)


async def keep_days(database: Connection, team: Team, days: int | None) -> None:
    await database.execute("UPDATE teams SET conversation_retention_days = $1 WHERE id = $2", days, team.id)


async def add_old(database: Connection, team: Team, *, days: float, **values: Any) -> UUID:
    """A conversation whose last message is so old, and that was begun long before."""
    begun = from_ms(NOW) - 100 * DAYS
    conversation = await add_conversation(database, team, created_at=begun, **values)
    await say(database, team, conversation, created_at=from_ms(NOW) - days * DAYS)
    return conversation


async def conversations(database: Connection) -> set[UUID]:
    return {row["id"] for row in await database.fetch("SELECT id FROM conversations")}


async def test_conversations_are_kept_as_long_as_their_team_says_after_the_last_message(
    database: Connection, team: Team, retention: Retention
) -> None:
    await keep_days(database, team, 30)
    for_ever = await add_team(database, "blue")
    old = [await add_old(database, team, days=days) for days in (30.01, 31, 40, 50, 60)]
    kept = {await add_old(database, team, days=29.99), await add_old(database, for_ever, days=99)}
    empty = await add_conversation(database, team, created_at=from_ms(NOW) - 31 * DAYS)
    kept |= {await add_conversation(database, team, created_at=from_ms(NOW) - 29 * DAYS)}
    assert await retention.prune_conversations(NOW) == len(old) + 1
    assert empty not in await conversations(database)
    assert await conversations(database) == kept
    assert await retention.prune_conversations(NOW) == 0


async def test_what_was_drawn_out_of_a_pruned_conversation_stays(
    database: Connection, team: Team, retention: Retention
) -> None:
    await keep_days(database, team, 1)
    conversation = await add_old(database, team, days=2)
    memory = await add_memory(database, team, source_conversation_id=conversation, source_message_ids=[UUID(int=1)])
    await retention.prune_conversations(NOW)
    row = await database.fetchrow("SELECT source_conversation_id, source_message_ids FROM memories")
    assert tuple(row or ()) == (None, [UUID(int=1)])
    last = (await history(database, memory))[-1]
    assert (last["changed_by"], last["reason"]) == ("system", "its conversation was pruned")


async def test_a_conversation_that_is_written_in_just_now_is_left(
    database: Connection, database_url: str, team: Team, retention: Retention
) -> None:
    await keep_days(database, team, 1)
    lively, dead = await add_old(database, team, days=2), await add_old(database, team, days=2)
    async with connect(database_url) as writer:
        transaction = writer.transaction()
        await transaction.start()
        await say(writer, team, lively, created_at=from_ms(NOW))
        assert await retention.prune_conversations(NOW) == 1
        await transaction.commit()
    assert await retention.prune_conversations(NOW) == 0
    assert await conversations(database) == {lively}
    assert dead not in await conversations(database)


async def test_memories_that_have_expired_are_archived_and_their_history_says_so(
    database: Connection, team: Team, retention: Retention
) -> None:
    gone = [await add_memory(database, team, expires_at=from_ms(NOW) - hours * DAYS / 24) for hours in range(5)]
    kept = await add_memory(database, team, expires_at=from_ms(NOW + 1))
    disputed = await add_memory(database, team, status="disputed", expires_at=from_ms(NOW))
    for_ever = await add_memory(database, team)
    assert await retention.archive_expired(NOW) == 5
    rows = await database.fetch("SELECT id, status FROM memories")
    statuses = {row["id"]: row["status"] for row in rows}
    assert statuses == dict.fromkeys(gone, "archived") | {kept: "active", disputed: "disputed", for_ever: "active"}
    last = (await history(database, gone[0]))[-1]
    assert (last["action"], last["changed_by"], last["reason"]) == ("archived", "system", "it has expired")
    assert await retention.archive_expired(NOW) == 0


async def test_a_memory_that_is_being_changed_is_archived_later(
    database: Connection, database_url: str, team: Team, retention: Retention
) -> None:
    memory = await add_memory(database, team, expires_at=from_ms(NOW))
    async with connect(database_url) as writer:
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("UPDATE memories SET expires_at = NULL WHERE id = $1", memory)
        assert await retention.archive_expired(NOW) == 0
        await transaction.commit()
    assert await retention.archive_expired(NOW) == 0
