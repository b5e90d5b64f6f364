"""Asking about the past: what a memory was, what a team knew, and what it would have recalled."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.memory.repositories import MemoryLogRepository
from aicq.memory.schemas.memories import MemoryRecord, PastMemory
from aicq.memory.services.recall import Recall
from tests.memory.conftest import DIMENSIONS, Connection, Team, connect, meaning
from tests.memory.test_recall import Mind

Sessions = async_sessionmaker[AsyncSession]


class Past(Mind):
    """A team's memories, and questions about their past."""

    database: Connection

    async def at(self, memory_id: UUID, moment: datetime, *, team_id: UUID | None = None) -> PastMemory:
        async with self.sessions() as session:
            return await Recall(session, dimensions=DIMENSIONS).at(team_id or self.team.id, memory_id, moment)

    async def of_team_at(self, moment: datetime, **page: Any) -> list[MemoryRecord]:
        async with self.sessions() as session:
            return (await Recall(session, dimensions=DIMENSIONS).of_team_at(self.team.id, moment, **page))[0]


@pytest.fixture
def past(sessions: Sessions, team: Team, database: Connection) -> Past:
    past = Past(sessions, team)
    past.database = database
    return past


@pytest.fixture
def clock(database: Connection) -> Callable[[], Any]:
    """Postgres' clock, between two changes."""

    async def read() -> datetime:
        moment: datetime = await database.fetchval("SELECT clock_timestamp()")
        return moment

    return read


async def test_a_memory_is_told_of_as_it_was_whole(past: Past, clock: Callable[[], Any]) -> None:
    before = await clock()
    first = await past.keep("tea", subject="Ada", tags=["a"], metadata={"b": [1]}, confidence=0.5)
    then = await clock()
    await past.change(first.id, content="coffee", tags=["c"], metadata={}, subject=None)
    assert await past.at(first.id, before) == PastMemory(memory=None, deleted_at=None, is_stable=True)
    assert (await past.at(first.id, then)).memory == first
    now = (await past.at(first.id, await clock())).memory
    assert now is not None
    assert (now.content, now.tags, now.details, now.subject) == ("coffee", ["c"], {}, None)


async def test_a_memory_that_was_deleted_tells_when(database: Connection, past: Past, clock: Callable[[], Any]) -> None:
    kept = await past.keep("tea")
    then = await clock()
    await database.execute("DELETE FROM memories")
    told = await past.at(kept.id, await clock())
    assert told.memory is None
    assert told.deleted_at is not None
    assert then < told.deleted_at < await clock()
    assert (await past.at(kept.id, then)).memory == kept


async def test_another_teams_past_is_not_told(past: Past, clock: Callable[[], Any]) -> None:
    kept = await past.keep("tea")
    told = await past.at(kept.id, await clock(), team_id=UUID(int=1))
    assert (told.memory, told.deleted_at) == (None, None)


async def test_a_team_is_told_of_as_it_was_page_by_page(past: Past, clock: Callable[[], Any]) -> None:
    kept = [await past.keep(f"tea {number}") for number in range(5)]
    then = await clock()
    await past.change(kept[0].id, importance=1)
    await past.keep("later")
    assert await past.of_team_at(then) == kept
    first = await past.of_team_at(then, limit=3)
    assert first + await past.of_team_at(then, limit=3, after=first[-1].id) == kept


async def test_a_question_about_the_past_is_answered_as_it_would_have_been(
    past: Past, clock: Callable[[], Any]
) -> None:
    await past.keep("Ada likes tea", importance=3)
    changed = await past.keep("Ada likes milk")
    await past.keep("Bob rows", embed=False)
    then = datetime.now(UTC)
    asked: dict[str, Any] = {"query": "Ada likes tea rows", "embedding": meaning("Ada likes tea")}
    expected = await past.recall(**asked, now=then)
    moment = await clock()
    await past.change(changed.id, content="Eve likes nothing", embedding=meaning("Eve likes nothing"))
    await past.keep("Ada likes tea a lot")
    told = await past.recall(**asked, as_of=moment)
    assert [result.memory for result in told.results] == [result.memory for result in expected.results]
    for one, other in zip(told.results, expected.results, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.similarity == other.similarity
    assert told.is_exact
    assert told.is_stable
    assert "Ada likes tea a lot" in await past.found(**asked)


async def test_whatever_was_changed_since_the_answers_of_then_are_given_again(
    past: Past, clock: Callable[[], Any]
) -> None:
    chooser = random.Random(5)  # noqa: S311 - repeatable
    kept = [await past.keep(f"tea {number} of Ada", embed=number % 3 > 0) for number in range(12)]
    questions: list[dict[str, Any]] = [
        {"query": "Ada tea", "limit": 5},
        {"embedding": meaning("tea of Ada 3"), "limit": 100},
        {"query": "milk", "embedding": meaning("milk 7"), "min_importance": 4, "tags": ["a"]},
        {"query": "tea", "include_superseded": True, "memory_types": ["semantic"], "limit": 100},
    ]
    told: list[tuple[datetime, list[Any]]] = []
    for number in range(40):
        memory, drink = chooser.choice(kept), chooser.choice(("tea", "milk"))
        values: dict[str, Any] = chooser.choice(
            (
                {"content": f"{drink} {number} of Ada", "embedding": meaning(f"{drink} {number}")},
                {"content": f"{drink} {number} without a meaning"},
                {"importance": number % 10 + 1, "tags": chooser.sample(("a", "b"), 1)},
                {"status": chooser.choice(("active", "archived", "disputed"))},
                {"expires_at": datetime.now(UTC) + timedelta(hours=chooser.choice((-1, 1)))},
            )
        )
        await past.change(memory.id, **values)
        if number % 8 == 0:
            kept.append(await past.keep(f"{drink} later {number}"))
        moment = await clock()
        told.append((moment, [await answer(past, asked, now=moment) for asked in questions]))
    await past.database.execute("DELETE FROM memories WHERE id = $1", kept[0].id)
    for moment, answers in told:
        assert [await answer(past, asked, as_of=moment) for asked in questions] == answers


async def answer(past: Past, asked: dict[str, Any], **when: Any) -> tuple[list[MemoryRecord], int]:
    recollection = await past.recall(**asked, **when)
    return [result.memory for result in recollection.results], recollection.suppressed


async def test_what_held_then_is_recalled_and_what_did_not_is_counted(
    database: Connection, past: Past, clock: Callable[[], Any]
) -> None:
    old, new = await past.keep("tea old"), await past.keep("tea new")
    soon = await clock() + timedelta(hours=1)
    await past.keep("tea short", expires_at=soon)
    before = await clock()
    await database.execute(
        "UPDATE memories SET status = 'superseded', superseded_by = $1 WHERE id = $2", new.id, old.id
    )
    after = await clock()
    assert sorted(await past.found("tea", as_of=before)) == ["tea new", "tea old", "tea short"]
    told = await past.recall("tea", as_of=after)
    assert sorted(result.memory.content for result in told.results) == ["tea new", "tea short"]
    assert told.suppressed == 1
    assert len(await past.found("tea", as_of=after, include_superseded=True)) == 3
    assert (await past.recall("zzz", as_of=after)).suppressed == 1
    later = await past.recall("tea", as_of=soon)
    assert ([result.memory.content for result in later.results], later.suppressed) == (["tea new"], 2)
    assert not later.is_stable


async def test_a_question_about_the_past_can_be_narrowed(past: Past, clock: Callable[[], Any]) -> None:
    await past.keep("tea a", tags=["x", "y"], importance=9)
    await past.keep("tea b", tags=["x"], memory_type="episodic")
    await past.keep("tea c", user_id=past.team.user)
    await past.keep("tea d", memory_type="agent_private", agent_id=past.team.agent)
    moment = await clock()
    assert await past.found("tea", as_of=moment, tags=["x", "y"]) == ["tea a"]
    assert await past.found("tea", as_of=moment, memory_types=["episodic"]) == ["tea b"]
    assert await past.found("tea", as_of=moment, user_id=past.team.user) == ["tea c"]
    assert await past.found("tea", as_of=moment, min_importance=9) == ["tea a"]
    assert "tea d" not in await past.found("tea", as_of=moment)
    assert "tea d" in await past.found("tea", as_of=moment, agent_id=past.team.agent)


async def test_an_answer_that_a_running_change_could_alter_says_so(
    database_url: str, past: Past, clock: Callable[[], Any]
) -> None:
    kept = await past.keep("tea")
    early = await clock()
    async with connect(database_url) as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("UPDATE memories SET importance = 9")
        late = await clock()
        assert (await past.at(kept.id, early)).is_stable
        assert not (await past.at(kept.id, late)).is_stable
        assert not (await past.recall("tea", as_of=late)).is_stable
        assert (await past.recall("tea", as_of=early)).is_stable
        await transaction.commit()
    told = await past.at(kept.id, late)
    assert told.is_stable
    assert told.memory is not None
    assert told.memory.importance == 9


async def test_what_happened_to_a_team_is_told_in_its_order(
    past: Past, sessions: Sessions, clock: Callable[[], Any]
) -> None:
    since = await clock()
    one, other = await past.keep("tea"), await past.keep("milk")
    await past.change(one.id, importance=1)
    until = await clock()
    await past.change(other.id, importance=1)
    async with sessions() as session:
        log = MemoryLogRepository(session)
        entries = await log.list_changes(past.team.id, since=since, until=until)
        expected = [(one.id, "created"), (other.id, "created"), (one.id, "updated")]
        assert [(entry.memory_id, entry.action) for entry in entries] == expected
        first = await log.list_changes(past.team.id, since=since, until=until, limit=2)
        after = (first[-1].created_at, first[-1].memory_id, first[-1].seq)
        rest = await log.list_changes(past.team.id, since=since, until=until, after=after)
        assert [*first, *rest] == list(entries)
        assert [entry.seq for entry in await log.list_of(past.team.id, one.id)] == [1, 2]
        assert [entry.seq for entry in await log.list_of(past.team.id, one.id, after=1)] == [2]
