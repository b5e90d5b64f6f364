"""Keeping memories: remember, revise, supersede, forget, link; what each leaves behind and what it refuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.clock import now_ms
from aicq.errors import Changed, Conflict, NotFound, Unprocessable
from aicq.memory.repositories import MemoryLinkRepository
from aicq.memory.schemas.memories import MemoryChange, MemoryCreate, MemoryRecord
from aicq.memory.services.memories import Because, MemoryService
from aicq.origin import Origin
from tests.memory.conftest import DIMENSIONS, Connection, Team, actions, add_conversation, add_team, history, meaning

Sessions = async_sessionmaker[AsyncSession]

ADA = UUID(int=7)


class Desk:
    """Opens a transaction for each thing that is done."""

    def __init__(self, sessions: Sessions, team: Team) -> None:
        self._sessions = sessions
        self.team = team

    @asynccontextmanager
    async def open(self) -> AsyncIterator[MemoryService]:
        async with self._sessions.begin() as session:
            yield MemoryService(session, dimensions=DIMENSIONS, origin=Origin("agent", ADA))

    async def remember(self, content: str = "Ada likes tea", **values: Any) -> MemoryRecord:
        given: dict[str, Any] = {"team_id": self.team.id, "memory_type": "semantic", "content": content} | values
        async with self.open() as service:
            return await service.remember(MemoryCreate(**given), now=now_ms())

    async def revise(self, memory_id: UUID, *, version: int | None = None, **values: Any) -> MemoryRecord:
        async with self.open() as service:
            versions = None if version is None else {version}
            return await service.revise(self.team.id, memory_id, MemoryChange(**values), versions=versions)

    async def supersede(self, old: UUID, new: UUID) -> MemoryRecord:
        async with self.open() as service:
            return await service.supersede(self.team.id, old, new)

    async def forget(self, memory_id: UUID) -> None:
        async with self.open() as service:
            await service.forget(self.team.id, memory_id)

    async def link(self, one: UUID, other: UUID, kind: Any = "contradicts") -> None:
        async with self.open() as service:
            await service.link(self.team.id, one, other, kind)


@pytest.fixture
def desk(sessions: Sessions, team: Team) -> Desk:
    return Desk(sessions, team)


async def test_what_is_remembered_is_told_back_whole(database: Connection, desk: Desk) -> None:
    conversation = await add_conversation(database, desk.team)
    expires_at = datetime.now(UTC) + timedelta(days=1)
    kept = await desk.remember(
        subject="Ada",
        agent_id=desk.team.agent,
        user_id=desk.team.user,
        embedding=meaning("Ada likes tea"),
        embedding_model="toy",
        importance=9,
        confidence=0.25,
        is_pinned=True,
        source_type="extraction",
        source_conversation_id=conversation,
        source_message_ids=[UUID(int=1)],
        extraction_model="toy",
        tags=[" Tea ", "drinks", "tea"],
        tier="warm",
        metadata={"a": [1, None]},
        expires_at=expires_at,
    )
    expected = {
        "content": "Ada likes tea",
        "subject": "Ada",
        "agent_id": desk.team.agent,
        "user_id": desk.team.user,
        "embedding_model": "toy",
        "importance": 9,
        "confidence": 0.25,
        "is_pinned": True,
        "source_type": "extraction",
        "source_conversation_id": conversation,
        "source_message_ids": [UUID(int=1)],
        "extraction_model": "toy",
        "tags": ["drinks", "tea"],
        "tier": "warm",
        "details": {"a": [1, None]},
        "expires_at": expires_at,
        "version": 1,
        "status": "active",
        "superseded_by": None,
        "contradicts": [],
        "related_to": [],
        "access_count": 0,
        "last_accessed_at": None,
    }
    assert {name: getattr(kept, name) for name in expected} == expected
    assert await actions(database, kept.id) == ["created"]


async def test_a_memory_of_somebody_says_of_whom(desk: Desk) -> None:
    for memory_type, field in (("agent_private", "agent_id"), ("user_profile", "user_id")):
        with pytest.raises(Unprocessable) as refusal:
            await desk.remember(memory_type=memory_type)
        assert refusal.value.field == field


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"memory_type": "dream"}, "Invalid enum value 'dream' - at `$.memory_type`"),
        ({"content": ""}, "Expected `str` of length >= 1 - at `$.content`"),
        ({"importance": 11}, "Expected `int` <= 10 - at `$.importance`"),
        ({"importance": "5"}, "Expected `int`, got `str` - at `$.importance`"),
        ({"confidence": 1.5}, "Expected `float` <= 1.0 - at `$.confidence`"),
        ({"expires_at": "2026-11-22T10:00:00"}, "Expected `datetime` with a timezone component - at `$.expires_at`"),
        ({"tags": [""]}, "Expected `str` of length >= 1 - at `$.tags[0]`"),
        ({"mood": "good"}, "Object contains unknown field `mood`"),
    ],
)
def test_what_cannot_be_remembered_is_told_by_name(values: dict[str, Any], told: str) -> None:
    given = {"team_id": str(uuid4()), "memory_type": "semantic", "content": "hi"} | values
    with pytest.raises(msgspec.ValidationError) as refusal:
        msgspec.convert(given, MemoryCreate)
    assert str(refusal.value) == told


@pytest.mark.parametrize(
    ("embedding", "told"),
    [
        ([1.0] * 3, "embedding must have 1536 numbers, not 3"),
        ([0.0] * DIMENSIONS, "embedding must be 0.001 to 10000 long"),
        ([float("nan")] * DIMENSIONS, "embedding must be 0.001 to 10000 long"),
        ([1e6] * DIMENSIONS, "embedding must be 0.001 to 10000 long"),
    ],
)
async def test_what_is_no_embedding_is_refused(desk: Desk, embedding: list[float], told: str) -> None:
    with pytest.raises(Unprocessable, match=told) as refusal:
        await desk.remember(embedding=embedding)
    assert refusal.value.field == "embedding"


async def test_an_agent_of_another_team_is_refused(database: Connection, desk: Desk) -> None:
    other = await add_team(database, "blue")
    with pytest.raises(IntegrityError, match="fk_memories_agent_id_agents"):
        await desk.remember(agent_id=other.agent)


async def test_a_revision_changes_what_is_given_and_nothing_else(database: Connection, desk: Desk) -> None:
    kept = await desk.remember(subject="Ada", tags=["tea"], embedding=meaning("a"))
    revised = await desk.revise(kept.id, importance=9, subject=None, tags=["tea", "b"], metadata={"b": 1})
    changed = {"importance": 9, "subject": None, "tags": ["b", "tea"], "details": {"b": 1}}
    for name in MemoryRecord.__struct_fields__:
        if name not in {*changed, "version", "updated_at"}:
            assert getattr(revised, name) == getattr(kept, name), name
    assert {name: getattr(revised, name) for name in changed} == changed
    assert await actions(database, kept.id) == ["created", "updated", "tagged"]
    assert revised.version == 3
    assert await database.fetchval("SELECT embedding IS NOT NULL FROM memories")


async def test_other_content_has_another_meaning(database: Connection, desk: Desk) -> None:
    kept = await desk.remember(embedding=meaning("a"), embedding_model="toy")
    assert (await desk.revise(kept.id, content="Ada likes coffee")).embedding_model is None
    assert await database.fetchval("SELECT embedding IS NULL FROM memories")
    await desk.revise(kept.id, content="Ada likes milk", embedding=meaning("b"), embedding_model="toy")
    assert await database.fetchval("SELECT embedding IS NOT NULL FROM memories")


async def test_a_revision_of_what_is_not_there_any_more_as_it_was_is_refused(desk: Desk) -> None:
    kept = await desk.remember()
    await desk.revise(kept.id, importance=1, version=kept.version)
    with pytest.raises(Changed):
        await desk.revise(kept.id, importance=2, version=kept.version)


async def test_a_revision_without_a_change_is_none(desk: Desk) -> None:
    kept = await desk.remember(tags=["a"])
    assert await desk.revise(kept.id, importance=kept.importance, tags=["a"]) == kept
    assert await desk.revise(kept.id) == kept


async def test_what_another_team_has_is_not_there(database: Connection, desk: Desk, sessions: Sessions) -> None:
    theirs = await Desk(sessions, await add_team(database, "blue")).remember()
    mine = await desk.remember()
    with pytest.raises(NotFound):
        await desk.revise(theirs.id, importance=1)
    with pytest.raises(NotFound):
        await desk.supersede(theirs.id, mine.id)
    with pytest.raises(NotFound):
        await desk.forget(theirs.id)
    with pytest.raises(NotFound):
        await desk.link(mine.id, theirs.id)


async def test_a_memory_that_is_superseded_stays_and_points_at_its_successor(database: Connection, desk: Desk) -> None:
    old, new = await desk.remember(), await desk.remember()
    told = await desk.supersede(old.id, new.id)
    assert (told.status, told.superseded_by) == ("superseded", new.id)
    assert await desk.supersede(old.id, new.id) == told
    assert await actions(database, old.id) == ["created", "superseded"]


async def test_a_memory_has_one_successor_and_no_circle_of_them(desk: Desk) -> None:
    first, second, third = [await desk.remember() for _ in range(3)]
    await desk.supersede(first.id, second.id)
    with pytest.raises(Conflict, match="by another"):
        await desk.supersede(first.id, third.id)
    with pytest.raises(Conflict, match="is superseded itself"):
        await desk.supersede(second.id, first.id)
    with pytest.raises(Conflict, match="is superseded itself"):
        await desk.supersede(third.id, first.id)
    with pytest.raises(Unprocessable):
        await desk.supersede(third.id, third.id)
    with pytest.raises(Conflict, match="it is superseded"):
        await desk.revise(first.id, status="active")
    await desk.forget(second.id)
    assert (await desk.revise(first.id, status="active")).status == "active"


async def test_of_memories_that_supersede_each_other_at_once_one_stays(database: Connection, desk: Desk) -> None:
    for _ in range(10):
        ring = [(await desk.remember()).id for _ in range(4)]
        pairs = [(one, ring[(number + 1) % 4]) for number, one in enumerate(ring)]
        outcomes = await asyncio.gather(*(desk.supersede(*pair) for pair in pairs), return_exceptions=True)
        assert all(isinstance(outcome, (MemoryRecord, Conflict)) for outcome in outcomes), outcomes
        left = await database.fetchval(
            "SELECT count(*) FROM memories WHERE id = ANY ($1) AND superseded_by IS NULL", ring
        )
        assert left >= 1


async def test_what_is_forgotten_is_gone_but_not_its_history(database: Connection, desk: Desk) -> None:
    kept = await desk.remember(tags=["tea"])
    await desk.link((await desk.remember()).id, kept.id)
    await desk.forget(kept.id)
    assert await database.fetchval("SELECT count(*) FROM memories WHERE id = $1", kept.id) == 0
    assert await actions(database, kept.id) == ["created", "deleted"]
    with pytest.raises(NotFound):
        await desk.forget(kept.id)


async def test_links_are_made_once_and_seen_from_both_ends(
    database: Connection, desk: Desk, sessions: Sessions
) -> None:
    one, other = await desk.remember(), await desk.remember()
    for _ in range(2):
        await desk.link(one.id, other.id)
    assert (await desk.revise(one.id)).contradicts == [other.id]
    assert (await desk.revise(other.id)).contradicts == []
    async with sessions() as session:
        for memory_id in (one.id, other.id):
            (link,) = await MemoryLinkRepository(session).list_of([memory_id])
            assert (link.from_id, link.to_id, link.kind) == (one.id, other.id, "contradicts")
    async with desk.open() as service:
        await service.unlink(desk.team.id, one.id, other.id, "contradicts")
    with pytest.raises(NotFound, match="link not found"):
        async with desk.open() as service:
            await service.unlink(desk.team.id, one.id, other.id, "contradicts")
    assert await actions(database, one.id) == ["created", "linked", "linked"]


async def test_the_history_tells_who_and_why(database: Connection, desk: Desk) -> None:
    because = Because("Ada said so", UUID(int=3))
    async with desk.open() as service:
        wanted = MemoryCreate(team_id=desk.team.id, memory_type="shared", content="hi")
        kept = await service.remember(wanted, now=now_ms(), because=because)
    await desk.revise(kept.id, importance=1)
    first, second = await history(database, kept.id)
    assert (first["changed_by"], first["reason"], first["conversation_id"]) == (
        f"agent {ADA}",
        "Ada said so",
        UUID(int=3),
    )
    assert (second["reason"], second["conversation_id"]) == (None, None)


async def test_each_change_is_in_the_audit_log_without_what_was_said(database: Connection, desk: Desk) -> None:
    old, new = await desk.remember("a secret", tags=["x"]), await desk.remember()
    await desk.revise(old.id, importance=1, content="another secret")
    await desk.link(old.id, new.id)
    await desk.supersede(old.id, new.id)
    await desk.forget(old.id)
    rows = await database.fetch("SELECT * FROM audit_logs WHERE actor_id = $1 ORDER BY seq", ADA)
    assert [row["action"] for row in rows] == [
        "memories.create",
        "memories.create",
        "memories.update",
        "memory_links.create",
        "memories.supersede",
        "memories.delete",
    ]
    assert (rows[2]["old_values"], rows[2]["new_values"]) == ({"importance": 5}, {"importance": 1})
    assert "secret" not in str([dict(row) for row in rows])


async def test_no_two_that_change_the_same_memories_wait_for_each_other(database: Connection, desk: Desk) -> None:
    memories = [(await desk.remember()).id for _ in range(6)]

    async def stir(number: int) -> None:
        for turn in range(12):
            one, other = memories[(number + turn) % 6], memories[(number * 5 + turn * 7 + 1) % 6]
            try:
                if turn % 4 == 3:
                    await desk.forget(one)
                elif one != other:
                    await (desk.link(one, other) if turn % 2 else desk.supersede(one, other))
                memories[(number + turn) % 6] = (await desk.remember()).id
            except (NotFound, Conflict):
                continue

    await asyncio.gather(*(stir(number) for number in range(8)))
    await database.execute("SELECT pg_stat_force_next_flush()")
    assert await database.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
