"""Counts that triggers and functions keep: of conversations and of recalls, exact whoever writes at once."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.memory.conftest import Connection, Team, add_conversation, add_memory, connect, say

WRITERS = 16
EACH = 25

RECOUNTED = """
SELECT count(*) AS message_count,
    coalesce(sum(token_count) FILTER (WHERE role <> 'assistant'), 0) AS total_input_tokens,
    coalesce(sum(token_count) FILTER (WHERE role = 'assistant'), 0) AS total_output_tokens,
    max(created_at) AS last_message_at
FROM conversation_messages WHERE conversation_id = $1
"""

KEPT = """
SELECT message_count, total_input_tokens, total_output_tokens, last_message_at FROM conversations WHERE id = $1
"""


async def kept(database: Connection, conversation_id: UUID) -> dict[str, Any]:
    row = await database.fetchrow(KEPT, conversation_id)
    assert row is not None
    return dict(row)


async def expect_exact(database: Connection, *conversations: UUID) -> None:
    for conversation_id in conversations:
        row = await database.fetchrow(RECOUNTED, conversation_id)
        assert row is not None
        assert await kept(database, conversation_id) == dict(row)


async def deadlocks(database: Connection) -> int:
    await database.execute("SELECT pg_stat_force_next_flush()")
    return await database.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") or 0


@pytest.fixture
async def crowd(database_url: str) -> AsyncIterator[list[Connection]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connect(database_url)) for _ in range(WRITERS)]


async def test_what_assistants_say_is_output_and_all_else_was_input(database: Connection, team: Team) -> None:
    conversation = await add_conversation(database, team)
    for role, tokens in {"system": 1, "user": 10, "assistant": 100, "tool": 1000}.items():
        await say(database, team, conversation, role, token_count=tokens)
    await say(database, team, conversation, "assistant")
    counts = await kept(database, conversation)
    assert counts["message_count"] == 5
    assert (counts["total_input_tokens"], counts["total_output_tokens"]) == (1011, 100)


async def test_a_message_from_the_past_does_not_move_the_last_time_back(database: Connection, team: Team) -> None:
    conversation = await add_conversation(database, team)
    now = datetime.now(UTC)
    for days in (0, 3, 1):
        await say(database, team, conversation, created_at=now - timedelta(days=days))
    assert (await kept(database, conversation))["last_message_at"] == now


async def test_a_message_that_is_removed_moved_or_corrected_counts_as_it_is_now(
    database: Connection, team: Team
) -> None:
    one, other = await add_conversation(database, team), await add_conversation(database, team)
    now = datetime.now(UTC)
    messages = [
        await say(database, team, one, token_count=number, created_at=now + timedelta(seconds=number))
        for number in range(1, 5)
    ]
    await database.execute("DELETE FROM conversation_messages WHERE id = $1", messages[3])
    await expect_exact(database, one)
    await database.execute("UPDATE conversation_messages SET conversation_id = $1 WHERE id = $2", other, messages[2])
    await database.execute(
        "UPDATE conversation_messages SET role = 'assistant', token_count = 9 WHERE id = $1", messages[0]
    )
    await expect_exact(database, one, other)
    assert (await kept(database, one))["message_count"] == 2
    await database.execute("DELETE FROM conversation_messages")
    assert await kept(database, one) == {
        "message_count": 0,
        "total_input_tokens": 0,
        "total_output_tokens": 0,
        "last_message_at": None,
    }


async def test_feedback_changes_no_count_and_no_conversation(database: Connection, team: Team) -> None:
    conversation = await add_conversation(database, team)
    await say(database, team, conversation)
    before = await database.fetchval("SELECT updated_at FROM conversations")
    await database.execute("UPDATE conversation_messages SET content = content")
    assert await database.fetchval("SELECT updated_at FROM conversations") == before
    await expect_exact(database, conversation)


async def test_counts_are_exact_however_many_write_at_once(
    database: Connection, crowd: list[Connection], team: Team
) -> None:
    conversations = [await add_conversation(database, team) for _ in range(4)]

    async def write(connection: Connection, number: int) -> None:
        chooser = random.Random(number)  # noqa: S311 - repeatable
        for _ in range(EACH):
            # Several conversations in one statement, in any order.
            rows = chooser.choices(conversations, k=3)
            await connection.execute(
                "INSERT INTO conversation_messages (team_id, conversation_id, role, content, token_count)"
                " SELECT $1, unnest($2::uuid[]), 'user', 'hi', 7",
                team.id,
                rows,
            )
            if chooser.random() < 0.3:
                await connection.execute(
                    "DELETE FROM conversation_messages WHERE id = ("
                    "  SELECT id FROM conversation_messages ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)"
                )

    await asyncio.gather(*(write(connection, number) for number, connection in enumerate(crowd)))
    await expect_exact(database, *conversations)
    assert await deadlocks(database) == 0


async def accesses(database: Connection) -> dict[UUID, int]:
    return {row[0]: row[1] for row in await database.fetch("SELECT memory_id, access_count FROM memory_accesses")}


async def test_recalls_are_counted_exactly_however_many_count_at_once(
    database: Connection, crowd: list[Connection], team: Team
) -> None:
    memories = [await add_memory(database, team) for _ in range(40)]
    expected = dict.fromkeys(memories, 0)

    async def count(connection: Connection, number: int) -> None:
        chooser = random.Random(number)  # noqa: S311 - repeatable
        for _ in range(EACH):
            some = chooser.sample(memories, 20)
            await connection.execute("SELECT update_memory_access($1)", some)
            for memory_id in some:
                expected[memory_id] += 1

    await asyncio.gather(*(count(connection, number) for number, connection in enumerate(crowd)))
    assert await accesses(database) == expected
    assert await deadlocks(database) == 0


async def test_a_recall_is_no_change_and_counts_an_id_once(database: Connection, team: Team) -> None:
    memory = await add_memory(database, team)
    before = await database.fetchrow("SELECT * FROM memories")
    moment = datetime.now(UTC)
    for at in (moment, moment - timedelta(days=1)):
        await database.execute("SELECT update_memory_access($1, $2)", [memory, memory, UUID(int=1)], at)
    assert await accesses(database) == {memory: 2}
    assert await database.fetchval("SELECT last_accessed_at FROM memory_accesses") == moment
    assert await database.fetchrow("SELECT * FROM memories") == before
    assert await database.fetchval("SELECT count(*) FROM memory_log") == 1


async def test_counting_does_not_wait_for_a_memory_that_is_being_deleted_or_changed(
    database: Connection, crowd: list[Connection], team: Team
) -> None:
    dying, changing, calm = [await add_memory(database, team) for _ in range(3)]
    async with database.transaction():
        await database.execute("DELETE FROM memories WHERE id = $1", dying)
        await database.execute("UPDATE memories SET importance = 9 WHERE id = $1", changing)
        async with asyncio.timeout(10):
            await crowd[0].execute("SELECT update_memory_access($1)", [dying, changing, calm])
    assert set(await accesses(database)) == {changing, calm}
