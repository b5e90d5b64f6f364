"""Recalling: what is found, in which order, why, and what is left out."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.clock import now_ms
from aicq.errors import Unprocessable
from aicq.identity.schemas import RetrievalWeights
from aicq.memory.repositories import MemoryRepository
from aicq.memory.repositories.recall import Scope
from aicq.memory.schemas.memories import MemoryChange, MemoryCreate, MemoryRecord, MemorySearchRequest, Recollection
from aicq.memory.services.memories import MemoryService
from aicq.memory.services.recall import Accesses, Recall
from aicq.origin import SYSTEM
from tests.memory.conftest import DIMENSIONS, Connection, Team, add_team, insert, meaning

Sessions = async_sessionmaker[AsyncSession]

MEANING_ONLY = RetrievalWeights(semantic=1.0, recency=0.0, importance=0.0, confidence=0.0)


class Mind:
    """A team's memories, and questions to them."""

    def __init__(self, sessions: Sessions, team: Team) -> None:
        self.sessions = sessions
        self.team = team

    async def keep(self, content: str, *, embed: bool = True, **values: Any) -> MemoryRecord:
        given: dict[str, Any] = {"team_id": self.team.id, "memory_type": "semantic", "content": content}
        embedding = meaning(content) if embed else None
        async with self.sessions.begin() as session:
            service = MemoryService(session, dimensions=DIMENSIONS, origin=SYSTEM)
            return await service.remember(MemoryCreate(**given | {"embedding": embedding} | values), now=now_ms())

    async def change(self, memory_id: UUID, **values: Any) -> None:
        async with self.sessions.begin() as session:
            service = MemoryService(session, dimensions=DIMENSIONS, origin=SYSTEM)
            await service.revise(self.team.id, memory_id, MemoryChange(**values))

    async def recall(self, query: str | None = None, *, now: datetime | None = None, **values: Any) -> Recollection:
        asked: dict[str, Any] = {"team_id": self.team.id, "query": query} | values
        async with self.sessions() as session:
            recall = Recall(session, dimensions=DIMENSIONS)
            return await recall.recall(MemorySearchRequest(**asked), now=now or datetime.now(UTC))

    async def found(self, query: str | None = None, **values: Any) -> list[str]:
        return [result.memory.content for result in (await self.recall(query, **values)).results]


@pytest.fixture
def mind(sessions: Sessions, team: Team) -> Mind:
    return Mind(sessions, team)


async def test_the_nearest_meaning_comes_first(mind: Mind) -> None:
    for content in ("Ada likes green tea", "Ada likes coffee", "Bob rows on lakes"):
        await mind.keep(content)
    told = await mind.recall(embedding=meaning("Ada likes tea"), weights=MEANING_ONLY)
    assert [result.memory.content for result in told.results] == [
        "Ada likes green tea",
        "Ada likes coffee",
        "Bob rows on lakes",
    ]
    similarities = [result.similarity or 0.0 for result in told.results]
    assert similarities == pytest.approx([3 / 12**0.5, 2 / 3, 0], abs=1e-6)
    assert told.is_exact


async def test_a_memory_without_an_embedding_is_found_by_its_words_alone(mind: Mind) -> None:
    await mind.keep("Ada likes tea", embed=False)
    assert await mind.found(embedding=meaning("Ada likes tea")) == []
    told = await mind.recall("tea", embedding=meaning("Ada likes tea"))
    assert [(result.memory.content, result.similarity) for result in told.results] == [("Ada likes tea", None)]


@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("ERR-4711", "The pump stopped with ERR-4711 again"),
        ("preferring dark roasts", "Ada prefers a dark roast"),
        ("wo ist die Teekanne", "Die Teekanne steht im Schrank"),
        ("The Who", "The band is The Who"),
        ("what does a.b.c return", "a.b.c returns nothing"),
        ("tea & coffee | !milk", "tea, coffee and milk"),
        ("'; DROP TABLE memories; --", "drop the table"),
    ],
)
async def test_words_find_what_meanings_do_not(mind: Mind, query: str, content: str) -> None:
    for number in range(5):
        await mind.keep(f"something else of no matter {number}")
    await mind.keep(content)
    assert (await mind.found(query))[0] == content
    assert (await mind.found(query, embedding=meaning("of no matter"), limit=3)).count(content) == 1


@pytest.mark.parametrize("query", ["", "the", "&", "!!", "''", "\\", "zzz"])
async def test_a_query_of_nothing_finds_nothing(mind: Mind, query: str) -> None:
    await mind.keep("Ada likes tea")
    assert await mind.found(query or " ") == []


async def test_all_words_come_before_some_of_them(mind: Mind) -> None:
    for content in ("tea tea tea tea", "green tea for Ada", "Ada"):
        await mind.keep(content)
    assert (await mind.found("Ada green tea", weights=MEANING_ONLY))[0] == "green tea for Ada"


async def test_meaning_and_words_together_find_what_either_finds(mind: Mind) -> None:
    await mind.keep("ERR-4711 stopped the pump")
    await mind.keep("water ran out")
    found = await mind.found("ERR-4711", embedding=meaning("water ran dry"), limit=2)
    assert sorted(found) == ["ERR-4711 stopped the pump", "water ran out"]


async def test_another_team_finds_nothing_of_it(database: Connection, mind: Mind, sessions: Sessions) -> None:
    await mind.keep("Ada likes tea")
    other = Mind(sessions, await add_team(database, "blue"))
    told = await other.recall("Ada likes tea", embedding=meaning("Ada likes tea"))
    assert (told.results, told.suppressed) == ([], 0)


async def test_a_private_memory_is_its_agents_alone(database: Connection, mind: Mind) -> None:
    await mind.keep("my own tea", memory_type="agent_private", agent_id=mind.team.agent)
    for asked in ({"query": "tea"}, {"embedding": meaning("tea")}):
        assert await mind.found(**asked) == []
        assert await mind.found(**asked, agent_id=UUID(int=1)) == []
        assert await mind.found(**asked, agent_id=mind.team.agent) == ["my own tea"]
    await database.execute("DELETE FROM agents")
    assert await mind.found("tea") == []


async def test_a_question_can_be_narrowed(mind: Mind) -> None:
    await mind.keep("tea a", tags=["x", "y"], importance=9)
    await mind.keep("tea b", tags=["x"], memory_type="episodic")
    await mind.keep("tea c", user_id=mind.team.user)
    for asked in ({"query": "tea"}, {"embedding": meaning("tea")}):
        assert await mind.found(**asked, tags=["X", "y"]) == ["tea a"]
        assert await mind.found(**asked, memory_types=["episodic"]) == ["tea b"]
        assert await mind.found(**asked, user_id=mind.team.user) == ["tea c"]
        assert await mind.found(**asked, min_importance=9) == ["tea a"]
        assert len(await mind.found(**asked, limit=2)) == 2


async def test_what_has_expired_is_not_recalled_from_that_moment_on(mind: Mind) -> None:
    now = datetime.now(UTC)
    await mind.keep("tea", expires_at=now + timedelta(hours=1))
    assert await mind.found("tea", now=now + timedelta(minutes=59)) == ["tea"]
    told = await mind.recall("tea", now=now + timedelta(hours=1))
    assert (told.results, told.suppressed) == ([], 1)


async def test_what_does_not_hold_is_recalled_on_demand_and_counted_otherwise(database: Connection, mind: Mind) -> None:
    old, new = await mind.keep("tea old"), await mind.keep("tea new")
    for status in ("archived", "disputed"):
        await mind.change((await mind.keep(f"tea {status}")).id, status=status)
    await database.execute(
        "UPDATE memories SET status = 'superseded', superseded_by = $1 WHERE id = $2", new.id, old.id
    )
    for asked in ({"query": "tea"}, {"embedding": meaning("tea")}):
        told = await mind.recall(**asked)
        assert ([result.memory.content for result in told.results], told.suppressed) == (["tea new"], 3)
        told = await mind.recall(**asked, include_superseded=True)
        assert sorted(result.memory.content for result in told.results) == ["tea new", "tea old"]
        assert told.suppressed == 2


async def test_what_is_too_far_in_meaning_is_left_out(mind: Mind) -> None:
    await mind.keep("Ada likes tea")
    await mind.keep("Bob rows")
    assert await mind.found(embedding=meaning("Ada tea"), min_similarity=0.5) == ["Ada likes tea"]
    assert len(await mind.found("rows", embedding=meaning("Ada tea"), min_similarity=0.5)) == 2


async def test_a_score_is_the_weighed_sum_of_its_parts(mind: Mind) -> None:
    for number in range(4):
        await mind.keep("tea " + "x " * number, importance=number + 1, confidence=number / 4)
    weights = RetrievalWeights(semantic=0.4, recency=0.3, importance=0.2, confidence=0.1)
    told = await mind.recall("tea", embedding=meaning("tea"), weights=weights)
    assert len(told.results) == 4
    for result in told.results:
        parts = result.parts
        expected = 0.4 * parts.semantic + 0.3 * parts.recency + 0.2 * parts.importance + 0.1 * parts.confidence
        assert result.score == pytest.approx(expected)
        assert parts.importance == result.memory.importance / 10
        assert parts.confidence == result.memory.confidence
    scores = [result.score for result in told.results]
    assert scores == sorted(scores, reverse=True)
    assert {told.results[0].parts.semantic, told.results[-1].parts.semantic} <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("weight", "values"),
    [("importance", {"importance": 10}), ("confidence", {"confidence": 1.0}), ("importance", {"is_pinned": True})],
)
async def test_each_weight_moves_the_order(mind: Mind, weight: str, values: dict[str, Any]) -> None:
    await mind.keep("tea one", **{"importance": 5, "confidence": 0.5} | values)
    await mind.keep("tea two", importance=5, confidence=0.5)
    parts = dict.fromkeys(("semantic", "recency", "importance", "confidence"), 0.0)
    assert (await mind.found("tea", weights=RetrievalWeights(**parts | {weight: 1.0})))[0] == "tea one"


async def test_memories_fade_at_the_pace_of_their_type_and_pinned_ones_do_not(mind: Mind) -> None:
    now = datetime.now(UTC) + timedelta(days=30)
    await mind.keep("tea episodic", memory_type="episodic")
    await mind.keep("tea semantic")
    await mind.keep("tea pinned", is_pinned=True, memory_type="episodic")
    recency = {result.memory.content: result.parts.recency for result in (await mind.recall("tea", now=now)).results}
    assert recency == pytest.approx(
        {"tea pinned": 1, "tea semantic": 2.718281828**-1, "tea episodic": 2.718281828 ** (-30 / 7)}, rel=1e-3
    )


async def test_a_memory_of_a_thousand_years_ago_can_be_recalled(mind: Mind) -> None:
    await mind.keep("tea", memory_type="episodic")
    assert await mind.found("tea", now=datetime.now(UTC) + timedelta(days=365_000)) == ["tea"]


async def test_what_is_recalled_often_fades_slower(mind: Mind, sessions: Sessions) -> None:
    now = datetime.now(UTC)
    await mind.keep("tea one")
    used = await mind.keep("tea two")
    later = now + timedelta(days=60)
    fading = RetrievalWeights(semantic=0.0, recency=1.0, importance=0.0, confidence=0.0)
    accesses = Accesses(sessions)
    for _ in range(3):
        accesses.note([used.id], now=now)
    await accesses.settle()
    told = await mind.recall("tea", now=later, weights=fading)
    assert [result.memory.content for result in told.results] == ["tea two", "tea one"]
    assert (told.results[0].memory.access_count, told.results[0].memory.last_accessed_at) == (3, now)
    assert told.results[0].parts.recency > 2 * told.results[1].parts.recency


async def test_a_recall_counts_nothing_by_itself(database: Connection, mind: Mind) -> None:
    await mind.keep("tea")
    await mind.recall("tea", embedding=meaning("tea"))
    assert await database.fetchval("SELECT count(*) FROM memory_accesses") == 0


async def test_counting_fails_nobody(database: Connection, mind: Mind, sessions: Sessions) -> None:
    memory = await mind.keep("tea")
    await database.execute("ALTER TABLE memory_accesses RENAME TO gone")
    accesses = Accesses(sessions)
    accesses.note([memory.id], now=datetime.now(UTC))
    await accesses.settle()


@pytest.mark.parametrize("embedding", [[1.0] * 3, [0.0] * DIMENSIONS])
async def test_a_question_of_no_meaning_is_refused(mind: Mind, embedding: list[float]) -> None:
    with pytest.raises(Unprocessable) as refusal:
        await mind.recall(embedding=embedding)
    assert refusal.value.field == "embedding"


@pytest.mark.parametrize(
    "values",
    [{}, {"query": ""}, {"query": "a", "limit": 0}, {"query": "a", "limit": 101}, {"query": "a", "as_of": "1"}],
)
def test_a_question_that_asks_nothing_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"team_id": str(UUID(int=1))} | values, MemorySearchRequest)


def test_weights_sum_to_one() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        RetrievalWeights(semantic=0.9)


async def test_similar_memories_are_found_without_the_one_itself(mind: Mind, sessions: Sessions) -> None:
    first = await mind.keep("Ada likes tea")
    second = await mind.keep("Ada likes coffee")
    bare = await mind.keep("Ada", embed=False)
    scope = Scope(team_id=mind.team.id, now=datetime.now(UTC))
    async with sessions() as session:
        memories = MemoryRepository(session)
        found, is_exact = await memories.find_similar(first.id, scope)
        assert ([memory.id for memory, _ in found], is_exact) == ([second.id], True)
        assert found[0][1] == pytest.approx(2 / 3, abs=1e-6)
        assert await memories.find_similar(bare.id, scope) == ([], True)


class Crowd:
    """A team with many memories, a part of a table with more of them."""

    def __init__(self, database: Connection, seed: int) -> None:
        self.database = database
        self.random = random.Random(seed)  # noqa: S311 - repeatable

    def vector(self) -> str:
        topic, rest = self.random.randrange(40), (self.random.gauss(0, 0.3) for _ in range(60))
        numbers = [0.0] * DIMENSIONS
        numbers[topic] = 1.0
        for place, number in enumerate(rest, 100):
            numbers[place] = number
        return str(numbers)

    async def fill(self, team: Team, count: int, **values: Any) -> None:
        given = {"memory_type": "semantic"} | values
        columns = "".join(f", {name}" for name in given)
        literals = "".join(f", '{value}'" for value in given.values())
        for start in range(0, count, 100):
            vectors = [self.vector() for _ in range(min(100, count - start))]
            await self.database.execute(
                f"INSERT INTO memories (team_id, content, embedding{columns})"
                f" SELECT $1, 'm', o.v::vector{literals} FROM unnest($2::text[]) AS o (v)",
                team.id,
                vectors,
            )


async def nearest(database: Connection, team: Team, question: str, limit: int) -> list[UUID]:
    rows = await database.fetch(
        "SELECT id FROM memories WHERE team_id = $1 AND status = 'active' AND embedding IS NOT NULL"
        " ORDER BY embedding <=> $2::text::vector, id LIMIT $3",
        team.id,
        question,
        limit,
    )
    return [row["id"] for row in rows]


@pytest.mark.parametrize("size", [10, 1_000])
async def test_of_ten_and_of_a_thousand_memories_the_nearest_ten_are_found(
    database: Connection, mind: Mind, sessions: Sessions, size: int
) -> None:
    crowd = Crowd(database, 1)
    await crowd.fill(mind.team, size)
    scope = Scope(team_id=mind.team.id, now=datetime.now(UTC))
    async with sessions() as session:
        memories = MemoryRepository(session)
        for _ in range(10):
            question = crowd.vector()
            found, is_exact = await memories.search_by_embedding(msgspec.json.decode(question), scope)
            assert [memory.id for memory, _ in found] == await nearest(database, mind.team, question, 10)
            assert is_exact


async def test_the_index_finds_nearly_all_of_the_nearest_and_as_many_as_asked_for(
    database: Connection, mind: Mind, sessions: Sessions
) -> None:
    crowd = Crowd(database, 2)
    await crowd.fill(await add_team(database, "blue"), 700)
    await crowd.fill(mind.team, 300)
    scope = Scope(team_id=mind.team.id, now=datetime.now(UTC))
    hits = 0
    async with sessions() as session:
        memories = MemoryRepository(session)
        memories.exact_rows = 0
        for _ in range(20):
            question = crowd.vector()
            found, is_exact = await memories.search_by_embedding(msgspec.json.decode(question), scope)
            assert (len(found), is_exact) == (10, False)
            hits += len({memory.id for memory, _ in found} & set(await nearest(database, mind.team, question, 10)))
        everything, is_exact = await memories.search_by_embedding(msgspec.json.decode(question), scope, limit=300)
        assert len(everything) == 300
    assert hits >= 0.95 * 200


async def test_an_index_that_finds_too_few_is_not_believed(
    database: Connection, mind: Mind, sessions: Sessions
) -> None:
    crowd = Crowd(database, 3)
    await crowd.fill(await add_team(database, "blue"), 500)
    await crowd.fill(mind.team, 12)
    scope = Scope(team_id=mind.team.id, now=datetime.now(UTC))
    async with sessions.begin() as session:
        memories = MemoryRepository(session)
        memories.exact_rows = 0
        question = msgspec.json.decode(crowd.vector())
        found, is_exact = await memories.search_by_embedding(question, scope, limit=20)
        assert (len(found), is_exact) == (12, True)


async def test_a_private_memory_is_left_out_where_the_index_is_asked(
    database: Connection, mind: Mind, sessions: Sessions
) -> None:
    crowd = Crowd(database, 4)
    await crowd.fill(mind.team, 60, memory_type="agent_private", agent_id=mind.team.agent)
    await crowd.fill(mind.team, 40)
    async with sessions.begin() as session:
        memories = MemoryRepository(session)
        memories.exact_rows = 0
        for agent_id, count in {None: 40, mind.team.agent: 100}.items():
            scope = Scope(team_id=mind.team.id, now=datetime.now(UTC), agent_id=agent_id)
            found, _ = await memories.search_by_embedding(msgspec.json.decode(crowd.vector()), scope, limit=100)
            assert len(found) == count


async def test_as_many_statements_are_made_for_thirty_memories_as_for_one(
    database: Connection, mind: Mind, statements: list[str]
) -> None:
    counts = []
    for total in (1, 30):
        for number in range(total):
            memory = await mind.keep(f"tea {number}", tags=["a", "b"])
            await insert(database, "memory_accesses", team_id=mind.team.id, memory_id=memory.id, access_count=2)
        statements.clear()
        told = await mind.recall("tea", embedding=meaning("tea"), limit=100)
        counts.append(len(statements))
        assert all(result.memory.tags == ["a", "b"] and result.memory.access_count == 2 for result in told.results)
    assert counts[0] == counts[1] <= 3
