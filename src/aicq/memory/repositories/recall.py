"""Finding memories as they are now.

Meaning. A team's memories are compared one by one while they are few, which is exact and fast. Of many the index gives
the nearest, in half precision, and those are compared by their full vectors. An index that gives fewer than it should,
because it looked at too many of other teams, is not believed, and all are compared after all.

Words. What holds all words of the question, as they stand or as English reads them, and what holds some of them if
nothing holds all.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from typing import Any, Literal
from uuid import UUID

import msgspec
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    CTE,
    ColumnElement,
    DateTime,
    Float,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from aicq.db.repository import Repository
from aicq.memory.models import Memory, MemoryAccess, MemoryLog, MemoryTag
from aicq.memory.repositories.ranking import EMBEDDING, PARTS, Question, best, fuse, pool, spoken, values_of

EXACT_ROWS = 5_000
"""As many memories are compared one by one in any case: 4 ms a thousand."""

COUNTED = 20_000
"""As many are compared one by one where they are few among those in the index, which would find too few of them."""

RARE = 20
"""Few: less than one in so many."""

SEARCHED = 200
"""How many neighbours the index keeps in sight while it looks."""

LOOKED_THROUGH = 20_000
"""After how many vectors, of any team, it gives up."""

BY_INDEX = text("""
SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', :searched, true),
    set_config('hnsw.max_scan_tuples', :looked_through, true), set_config('enable_sort', 'off', true)
""")
AS_BEFORE = text("SELECT set_config('enable_sort', 'on', true)")

INDEXED: ColumnElement[float] = literal_column(
    "(SELECT reltuples FROM pg_class WHERE oid = 'ix_memories_embedding'::regclass)"
)

ACTIVE: ColumnElement[str] = literal_column("'active'")
"""As the partial indexes have it."""

TEAM, NOW = bindparam("team_id", type_=Uuid()), bindparam("now", type_=DateTime(timezone=True))

UNCHANGED: ColumnElement[bool] = ~(
    select(literal_column("1"))
    .where(MemoryLog.team_id == TEAM, MemoryLog.memory_id == Memory.id, MemoryLog.created_at > NOW)
    .exists()
)
"""What was then as it is now."""

Way = Literal["", "all", "index"]
"""How meanings are compared: not at all, one by one, or as the index gives them."""


class Shape(msgspec.Struct, frozen=True):
    """What a scope asks about at all; statements are made once for each shape.

    Args:
        user: Only memories about an actor.
        types: Only some types.
        tags: Only what bears some tags.
        superseded: Also what does not hold any more.
        past: Only what nobody has changed since; what was changed is looked up in the history.
    """

    user: bool
    types: bool
    tags: bool
    superseded: bool
    past: bool

    def asked(self) -> ColumnElement[bool]:
        """What is of the kind asked for, whether it holds or not."""
        where = [Memory.team_id == TEAM, Memory.importance >= bindparam("min_importance", type_=Integer())]
        if self.past:
            where.append(UNCHANGED)
        # Where nobody says who they are this is never true, not even of what an agent that is gone has left behind.
        is_own = Memory.agent_id == bindparam("agent_id", type_=Uuid())
        where.append(or_(Memory.memory_type != "agent_private", is_own))
        if self.user:
            where.append(Memory.user_id == bindparam("user_id", type_=Uuid()))
        if self.types:
            where.append(Memory.memory_type.in_(bindparam("memory_types", expanding=True)))
        if self.tags:
            bears = (MemoryTag.memory_id == Memory.id, MemoryTag.tag.in_(bindparam("tags", expanding=True)))
            count = select(func.count()).select_from(MemoryTag).where(*bears).scalar_subquery()
            where.append(count == bindparam("tag_count", type_=Integer()))
        return and_(*where)

    def holds(self) -> ColumnElement[bool]:
        """What is of the kind asked for, and holds."""
        status = Memory.status.in_(("active", "superseded")) if self.superseded else Memory.status == ACTIVE
        return and_(self.asked(), status, or_(Memory.expires_at.is_(None), Memory.expires_at > NOW))

    def suppressed(self) -> ColumnElement[bool]:
        """What is of the kind asked for, and is left out because of its status."""
        where = and_(self.asked(), Memory.status != ACTIVE)
        return and_(where, Memory.status != "superseded") if self.superseded else where

    def expired(self) -> ColumnElement[bool]:
        """What is of the kind asked for, and is left out because it has expired."""
        return and_(self.asked(), Memory.status == ACTIVE, Memory.expires_at <= NOW)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Which memories may be found.

    Args:
        team_id: Whose.
        now: Those that have expired by then are not.
        agent_id: Who asks; only they find their private memories.
        user_id: Only those about this actor.
        memory_types: Only those of these types; none: all.
        tags: Only those that bear all of these.
        min_importance: Only those that are this important.
        include_superseded: Also those that do not hold any more.
        past: `now` is over: what was changed since is not meant.
    """

    team_id: UUID
    now: datetime
    agent_id: UUID | None = None
    user_id: UUID | None = None
    memory_types: Sequence[str] = ()
    tags: Sequence[str] = ()
    min_importance: int = 1
    include_superseded: bool = False
    past: bool = False

    @property
    def shape(self) -> Shape:
        """What is asked about at all."""
        narrow = (self.user_id is not None, bool(self.memory_types), bool(self.tags))
        return Shape(*narrow, self.include_superseded, self.past)

    def values(self) -> dict[str, Any]:
        """What the statements are given, by the names of their parameters."""
        given = {"team_id": self.team_id, "now": self.now, "agent_id": self.agent_id}
        given |= {"min_importance": self.min_importance}
        if self.user_id is not None:
            given |= {"user_id": self.user_id}
        if self.memory_types:
            given |= {"memory_types": list(self.memory_types)}
        if self.tags:
            given |= {"tags": list(self.tags), "tag_count": len(self.tags)}
        return given


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that was found, and why.

    Args:
        memory: The memory.
        similarity: How near its meaning is, from -1 to 1; None: it was found by its words alone.
        parts: What the score is made of, by name.
        score: The weighed sum.
    """

    memory: Any
    similarity: float | None
    parts: dict[str, float]
    score: float


class Extent(msgspec.Struct, frozen=True):
    """How much there is to look through.

    Args:
        embedded: Memories with an embedding in the scope, counted no further than it matters.
        indexed: Vectors in the index, of all teams, about.
        suppressed: Memories that are left out, of each reason counted no further than `COUNTED`.
    """

    embedded: int
    indexed: float
    suppressed: int

    def is_small(self, exact_rows: int) -> bool:
        """Whether all are compared one by one."""
        return self.embedded <= exact_rows or self.embedded < min(COUNTED, self.indexed / RARE)


class MemorySearch(Repository[Memory]):
    """Finds memories."""

    model_type = Memory

    exact_rows = EXACT_ROWS

    async def measure(self, scope: Scope) -> Extent:
        """Counts what there is to look through; one statement."""
        return Extent(*(await self.session.execute(_measured(scope.shape), scope.values())).one())

    async def search_by_embedding(
        self, embedding: Sequence[float], scope: Scope, *, limit: int = 10, extent: Extent | None = None
    ) -> tuple[list[tuple[Memory, float]], bool]:
        """The memories whose meaning is the nearest, with their similarity from -1 to 1, the nearest first.

        Memories without an embedding are not looked at. There are as many as asked for, or all there are.

        Args:
            embedding: The meaning.
            scope: Which memories may be found.
            limit: The most memories.
            extent: How much there is to look through, if that is known.

        Returns:
            The memories, and whether all were compared.
        """
        extent = extent or await self.measure(scope)
        given = {**scope.values(), "embedding": list(embedding), "pool": pool(limit), "limit": limit}
        dimensions = len(embedding)
        if not extent.is_small(self.exact_rows):
            async with self._by_index():
                found = await self._pairs(_nearest(scope.shape, "index", dimensions), given)
            if len(found) == limit:
                return found, False
        return await self._pairs(_nearest(scope.shape, "all", dimensions), given), True

    async def find_similar(
        self, memory_id: UUID, scope: Scope, *, limit: int = 10
    ) -> tuple[list[tuple[Memory, float]], bool]:
        """The memories whose meaning is the nearest to that of another, which is left out; none if it has none."""
        embedding = await self.session.scalar(
            select(Memory.embedding).where(Memory.team_id == scope.team_id, Memory.id == memory_id)
        )
        if embedding is None:
            return [], True
        found, is_exact = await self.search_by_embedding(embedding, scope, limit=limit + 1)
        return [each for each in found if each[0].id != memory_id][:limit], is_exact

    async def search_by_text(self, query: str, scope: Scope, *, limit: int = 10) -> list[Memory]:
        """The memories that hold the words, or some of them if none holds all, the best first."""
        given = {**scope.values(), "query": query, "spoken": limit}
        return list((await self.session.execute(_told(scope.shape), given)).scalars())

    async def recall(self, question: Question, scope: Scope, extent: Extent) -> tuple[list[Found], bool]:
        """The memories that answer a question best, by meaning and by words.

        Returns:
            The memories, the best first, and whether all meanings were compared.
        """
        given = {**scope.values(), **values_of(question)}
        rows, is_exact = await self._answers(_recalled, question, scope, extent, given)
        return [found_of(row, row[0]) for row in rows], is_exact

    async def _answers(
        self,
        made: Callable[[Shape, Way, int, bool], Select[Any]],
        question: Question,
        scope: Scope,
        extent: Extent,
        given: dict[str, Any],
    ) -> tuple[Sequence[Any], bool]:
        """What a statement answers, which tells as `given` how many the index gave; and whether all were compared.

        Args:
            made: Makes the statement.
            question: What is looked for.
            scope: Which memories may be found.
            extent: How much there is to look through.
            given: What the statement is given.
        """
        has_words, dimensions = question.query is not None, len(question.embedding or ())
        if dimensions and not extent.is_small(self.exact_rows):
            async with self._by_index():
                rows = (await self.session.execute(made(scope.shape, "index", dimensions, has_words), given)).all()
            if rows and rows[0].given == pool(question.limit):
                return rows, False
        way: Way = "all" if dimensions else ""
        return (await self.session.execute(made(scope.shape, way, dimensions, has_words), given)).all(), True

    async def _pairs(self, statement: Select[Any], given: dict[str, Any]) -> list[tuple[Memory, float]]:
        return [(memory, similarity) for memory, similarity in await self.session.execute(statement, given)]

    @asynccontextmanager
    async def _by_index(self) -> AsyncIterator[None]:
        """Has the next statement walk the index on, until it has found enough of the scope."""
        told = {"searched": str(SEARCHED), "looked_through": str(LOOKED_THROUGH)}
        await self.session.execute(BY_INDEX, told)
        yield
        await self.session.execute(AS_BEFORE)


def found_of(row: Any, memory: Any) -> Found:
    """What a row of `best` tells of a memory."""
    parts = {name: getattr(row, name) for name in PARTS}
    return Found(memory=memory, similarity=row.similarity, parts=parts, score=row.score)


# Each of these makes a statement, which takes longer than carrying it out; so each is made once for each shape.


@cache
def _measured(shape: Shape) -> Any:
    """How many there are with an embedding, how many vectors the index has, and how many are left out."""
    # No further than it matters.
    most = func.greatest(EXACT_ROWS + 1, func.least(COUNTED, INDEXED / RARE))
    embedded = _counted(and_(shape.holds(), Memory.embedding.is_not(None)), most)
    return select(embedded, INDEXED, left_out(shape))


@cache
def _nearest(shape: Shape, way: Way, dimensions: int) -> Select[Any]:
    """The nearest memories, with their similarity."""
    leg = near(shape, way, dimensions)
    statement = select(Memory, 1 - leg.c.distance).join(leg, leg.c.id == Memory.id)
    return statement.order_by(leg.c.distance, leg.c.id).limit(bindparam("limit", type_=Integer()))


@cache
def _told(shape: Shape) -> Select[Any]:
    """The memories that hold the words."""
    said = spoken(texts(shape).subquery())
    return select(Memory).join(said, said.c.id == Memory.id).order_by(said.c.place)


@cache
def _recalled(shape: Shape, way: Way, dimensions: int, has_words: bool) -> Select[Any]:  # noqa: FBT001 - a part of the key
    """The best memories, what their scores are made of, and `given`, how many the leg of meaning gave."""
    leg = near(shape, way, dimensions) if way else None
    found = best(fuse(leg, spoken(texts(shape).subquery()) if has_words else None), _facts(), NOW)
    given = select(func.count()).select_from(leg).scalar_subquery() if leg is not None else literal(0)
    statement = select(Memory, found, given.label("given")).join(found, found.c.id == Memory.id)
    return statement.order_by(found.c.score.desc(), found.c.id)


def left_out(shape: Shape) -> ColumnElement[int]:
    """How many are left out because they do not hold."""
    counted: Any = _counted(shape.suppressed(), COUNTED) + _counted(shape.expired(), COUNTED)
    return cast(counted, Integer)


def _counted(where: ColumnElement[bool], most: Any) -> ColumnElement[int]:
    some = select(literal_column("1")).select_from(Memory).where(where).limit(most).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def near(shape: Shape, way: Way, dimensions: int) -> CTE:
    """The leg of meaning: `id` and `distance`. The index gives them nearly in order, so readers put them in order."""
    distance = Memory.embedding.op("<=>", return_type=Float())(EMBEDDING).label("distance")
    statement = select(Memory.id, distance).where(shape.holds(), Memory.embedding.is_not(None))
    if way == "index":
        half = HALFVEC(dimensions)
        by_index = cast(Memory.embedding, half).op("<=>", return_type=Float())(cast(EMBEDDING, half))
        statement = statement.order_by(by_index)
    else:
        # No index knows this order.
        statement = statement.order_by(distance, Memory.id)
    return statement.limit(bindparam("pool", type_=Integer())).cte("near").prefix_with("MATERIALIZED")


def texts(shape: Shape) -> Any:
    """What may be found by words: `id` and `words`."""
    ours = cast(func.quote_literal(literal_column("'team '").op("||")(cast(TEAM, Text))), TSQUERY)
    return select(Memory.id, Memory.words).where(shape.holds(), Memory.words.op("@@")(ours))


def _facts() -> Any:
    """What scores are made of, beside what was found. Nothing is read of it but of what was found."""
    used_at = func.greatest(Memory.updated_at, MemoryAccess.last_accessed_at)
    columns = (Memory.id, Memory.memory_type, Memory.is_pinned, Memory.importance, Memory.confidence)
    counted = func.coalesce(MemoryAccess.access_count, 0)
    facts = select(*columns, used_at.label("used_at"), counted.label("access_count"))
    return facts.outerjoin(MemoryAccess, MemoryAccess.memory_id == Memory.id).subquery("facts")
