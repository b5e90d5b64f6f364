"""Conversations: begin, say, change, rate, delete; and what the house keeps of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.clock import now_ms
from aicq.errors import NotFound
from aicq.memory.schemas.conversations import (
    ConversationChange,
    ConversationCreate,
    ConversationRecord,
    Feedback,
    MessageCreate,
)
from aicq.memory.services.conversations import ConversationService
from aicq.origin import SYSTEM
from tests.memory.conftest import Connection, Team, add_team

Sessions = async_sessionmaker[AsyncSession]


class Talk:
    """Opens a transaction for each thing that is done."""

    def __init__(self, sessions: Sessions, team: Team) -> None:
        self._sessions = sessions
        self.team = team

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ConversationService]:
        async with self._sessions.begin() as session:
            yield ConversationService(session, origin=SYSTEM)

    async def begin(self, **values: Any) -> ConversationRecord:
        async with self.open() as service:
            return await service.begin(ConversationCreate(**{"team_id": self.team.id} | values), now=now_ms())

    async def say(self, conversation_id: UUID, *turns: tuple[Any, str], **values: Any) -> list[str]:
        said = [MessageCreate(role=role, content=content, **values) for role, content in turns]
        async with self.open() as service:
            return [turn.content for turn in await service.say(self.team.id, conversation_id, said, now=now_ms())]

    async def read(self, conversation_id: UUID) -> list[str]:
        async with self.open() as service:
            return [turn.content for turn in await service.turns(self.team.id, conversation_id)]


@pytest.fixture
def talk(sessions: Sessions, team: Team) -> Talk:
    return Talk(sessions, team)


async def test_turns_stand_in_the_order_in_which_they_were_said(talk: Talk) -> None:
    begun = await talk.begin(agent_id=talk.team.agent, user_id=talk.team.user, title="Tea", metadata={"a": 1})
    assert (begun.status, begun.message_count, begun.details) == ("active", 0, {"a": 1})
    words = [f"word {number}" for number in range(30)]
    assert await talk.say(begun.id, *(("user", word) for word in words[:20])) == words[:20]
    await talk.say(begun.id, *(("assistant", word) for word in words[20:]))
    assert await talk.read(begun.id) == words
    async with talk.open() as service:
        first = await service.turns(talk.team.id, begun.id, limit=7)
        rest = await service.turns(talk.team.id, begun.id, after=(first[-1].created_at, first[-1].id))
        assert [turn.content for turn in (*first, *rest)] == words
        assert (await service.get(talk.team.id, begun.id)).message_count == 30


async def test_a_turn_keeps_what_was_called_and_what_came_of_it(talk: Talk) -> None:
    begun = await talk.begin()
    turn = MessageCreate(
        role="assistant",
        content="",
        tool_calls=[{"name": "brew", "arguments": {"cups": 2}}],
        tool_results=[{"ok": True}],
        token_count=12,
        model="toy",
        agent_id=talk.team.agent,
    )
    async with talk.open() as service:
        (kept,) = await service.say(talk.team.id, begun.id, [turn], now=now_ms())
        for name in turn.__struct_fields__:
            assert getattr(kept, name) == getattr(turn, name), name
        assert (await service.get(talk.team.id, begun.id)).total_output_tokens == 12


async def test_what_is_told_of_a_conversation_can_change(talk: Talk) -> None:
    begun = await talk.begin(title="Tea")
    async with talk.open() as service:
        change = ConversationChange(status="closed", summary="Tea it is", title=None, metadata={"b": 2})
        changed = await service.change(talk.team.id, begun.id, change)
        assert (changed.status, changed.summary, changed.title, changed.details) == (
            "closed",
            "Tea it is",
            None,
            {"b": 2},
        )
        assert await service.change(talk.team.id, begun.id, ConversationChange()) == changed


async def test_a_turn_is_rated_and_the_rating_taken_back(database: Connection, talk: Talk) -> None:
    begun = await talk.begin()
    await talk.say(begun.id, ("assistant", "hi"))
    message_id = await database.fetchval("SELECT id FROM conversation_messages")
    for feedback in (Feedback("positive", "nice"), Feedback(None)):
        async with talk.open() as service:
            await service.rate(begun.id, message_id, feedback)
        row = await database.fetchrow("SELECT feedback_rating, feedback_comment FROM conversation_messages")
        assert tuple(row or ()) == (feedback.rating, feedback.comment)


async def test_what_is_not_there_or_another_teams_is_not_found(
    database: Connection, sessions: Sessions, talk: Talk
) -> None:
    theirs = await Talk(sessions, await add_team(database, "blue")).begin()
    for conversation_id in (theirs.id, uuid4()):
        with pytest.raises(NotFound):
            await talk.say(conversation_id, ("user", "hi"))
        with pytest.raises(NotFound):
            await talk.read(conversation_id)
        async with talk.open() as service:
            with pytest.raises(NotFound):
                await service.change(talk.team.id, conversation_id, ConversationChange(title="x"))
            with pytest.raises(NotFound):
                await service.remove(talk.team.id, conversation_id)
            with pytest.raises(NotFound):
                await service.rate(conversation_id, conversation_id, Feedback("positive"))


async def test_an_agent_of_another_team_has_no_part(database: Connection, talk: Talk) -> None:
    other = await add_team(database, "blue")
    with pytest.raises(IntegrityError, match="fk_conversations_agent_id_agents"):
        await talk.begin(agent_id=other.agent)


async def test_a_conversation_is_deleted_with_its_turns(database: Connection, talk: Talk) -> None:
    begun = await talk.begin()
    await talk.say(begun.id, ("user", "hi"))
    async with talk.open() as service:
        await service.remove(talk.team.id, begun.id)
    assert await database.fetchval("SELECT count(*) FROM conversation_messages") == 0


@pytest.mark.parametrize(
    "values",
    [
        {"role": "owner"},
        {"token_count": -1},
        {"tool_calls": "brew()"},
        {"content": "x" * 262_145},
        {"model": ""},
        {"mood": "good"},
    ],
)
def test_a_turn_that_cannot_be_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"role": "user", "content": "hi"} | values, MessageCreate)
