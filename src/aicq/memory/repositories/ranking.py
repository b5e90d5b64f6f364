"""How what was found is put in order, the same for now and for a past moment.

Two legs find memories: one by meaning, one by words. Each gives its best in its order, and a memory's places in both
are summed up by reciprocal rank fusion. What comes out is spread from 0 to 1, so that it can be weighed against
recency, importance and confidence.
"""

import operator
from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import msgspec
from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    CTE,
    ColumnElement,
    Float,
    Integer,
    Subquery,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from aicq.identity.schemas import RetrievalWeights

PARTS = ("semantic", "recency", "importance", "confidence")
"""What a score is made of."""

CANDIDATES = 50
"""How many the leg of meaning gives at least."""

PER_RESULT = 4
"""How many it gives for each memory that is wanted."""

SPOKEN = 2
"""How many the leg of words gives for each memory that is wanted: words are either told or not."""

FUSION = 60
"""What is added to a place before it is inverted, so that the first places do not decide alone."""

DAY = 86_400.0

FADING = {
    "episodic": 7,
    "semantic": 30,
    "agent_private": 30,
    "shared": 60,
    "procedural": 90,
    "user_profile": 180,
    "identity": 365,
}
"""Days after which a memory of a type that nobody uses has faded to a third."""

FADED = -100.0
"""Where fading ends: Postgres refuses to tell a number that is too small to be told."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for.

    Args:
        embedding: A meaning.
        query: Words.
        min_similarity: How near a meaning has to be, from -1 to 1.
        limit: The most memories.
        weights: What counts how much for the order.
    """

    embedding: Sequence[float] | None = None
    query: str | None = None
    min_similarity: float = -1.0
    limit: int = 10
    weights: RetrievalWeights = RetrievalWeights()


def pool(limit: int) -> int:
    """How many the leg of meaning gives where so many memories are wanted."""
    return max(CANDIDATES, PER_RESULT * limit)


def values_of(question: Question) -> dict[str, Any]:
    """What the statements below are given of a question, by the names of their parameters."""
    weights = {f"weight_{name}": getattr(question.weights, name) for name in PARTS}
    return {
        "embedding": question.embedding,
        "query": question.query,
        "max_distance": 1 - question.min_similarity,
        "pool": pool(question.limit),
        "spoken": SPOKEN * question.limit,
        "limit": question.limit,
        **weights,
    }


EMBEDDING: ColumnElement[Any] = bindparam("embedding", type_=VECTOR())

QUERY = bindparam("query", type_=Text())
EXACT = func.plainto_tsquery(literal_column("'simple'"), QUERY)
EVERY = func.plainto_tsquery(literal_column("'english'"), QUERY)
WHOLE = EXACT.op("||")(EVERY)
SOME = cast(func.replace(cast(EVERY, Text), literal_column("' & '"), literal_column("' | '")), TSQUERY).op("||")(EXACT)
"""All words as they stand, all of them as English reads them, all in either way, and any of them.

No character of a question is an operator. What the parser takes for one word stands in quotes, so ` & ` is what it has
put between two words.
"""


def spoken(texts: Any) -> CTE:
    """The leg of words: `id` and `place` of the best.

    Where any holds all of the words, only what does is given, and nothing else is looked at: a name that is asked for
    must not drown in what shares a common word with the question.

    Args:
        texts: What may be found: `id` and `words`.
    """
    whole = _by_rank(texts, WHOLE, "whole")
    is_any_whole = select(literal_column("1")).select_from(whole).exists()
    part = _by_rank(select(texts).where(~is_any_whole).subquery(), SOME, "part")
    given = union_all(select(whole), select(part)).subquery("spoken")
    place = func.row_number().over(order_by=(given.c.rank.desc(), given.c.id))
    return select(given.c.id, place.label("place")).cte("said")


def _by_rank(texts: Any, query: Any, name: str) -> CTE:
    """What holds what is asked for, the best first; what holds all words as they stand is better than anything."""
    exact = case((texts.c.words.op("@@")(EXACT), 1.0), else_=0.0)
    rank = (exact + func.ts_rank(texts.c.words, SOME, 1)).label("rank")
    statement = select(texts.c.id, rank).where(texts.c.words.op("@@")(query)).order_by(rank.desc(), texts.c.id)
    return statement.limit(bindparam("spoken", type_=Integer())).cte(name).prefix_with("MATERIALIZED")


def fuse(near: CTE | None, said: CTE | None) -> Subquery:
    """The memories that the legs give: `id`, `share`, what their places are worth, and `similarity`.

    Args:
        near: The leg of meaning: `id` and `distance`.
        said: The leg of words: `id` and `place`.
    """
    legs = []
    if near is not None:
        place = func.row_number().over(order_by=(near.c.distance, near.c.id))
        leg = select(near.c.id, (1.0 / (FUSION + place)).label("share"), (1 - near.c.distance).label("similarity"))
        legs.append(leg.where(near.c.distance <= bindparam("max_distance", type_=Float())))
    if said is not None:
        legs.append(
            select(said.c.id, (1.0 / (FUSION + said.c.place)).label("share"), cast(null(), Float).label("similarity"))
        )
    given = union_all(*legs).subquery("given")
    share, similarity = func.sum(given.c.share).label("share"), func.max(given.c.similarity).label("similarity")
    return select(given.c.id, share, similarity).group_by(given.c.id).subquery("fused")


def best(fused: Subquery, facts: Any, now: ColumnElement[datetime]) -> Subquery:
    """The best of what the legs gave: `id`, `similarity`, the parts of the score by name, and `score`.

    Args:
        fused: What the legs gave.
        facts: Of each memory `id`, `memory_type`, `is_pinned`, `importance`, `confidence`, `used_at`, `access_count`.
        now: At which moment.
    """
    low, high = func.min(fused.c.share).over(), func.max(fused.c.share).over()
    parts = {
        "semantic": case((high > low, (fused.c.share - low) / (high - low)), else_=1.0),
        "recency": case((facts.c.is_pinned, 1.0), else_=_freshness(facts, now)),
        "importance": case((facts.c.is_pinned, 1.0), else_=facts.c.importance / 10.0),
        "confidence": facts.c.confidence,
    }
    told = [cast(parts[name], Float).label(name) for name in PARTS]
    scored = select(fused.c.id, fused.c.similarity, *told).join(facts, facts.c.id == fused.c.id).subquery("scored")
    weighed = (bindparam(f"weight_{name}", type_=Float()) * scored.c[name] for name in PARTS)
    score = reduce(operator.add, weighed)
    wanted = select(*scored.c, score.label("score")).order_by(score.desc(), scored.c.id)
    return wanted.limit(bindparam("limit", type_=Integer())).subquery("best")


def _freshness(facts: Any, now: ColumnElement[datetime]) -> ColumnElement[float]:
    """How new a memory is, from 0 to 1. What is used often fades slower."""
    age = func.greatest(func.extract("epoch", now - facts.c.used_at), 0)
    pace = case(FADING, value=cast(facts.c.memory_type, Text)) * DAY
    slower = 1 + func.ln(1 + facts.c.access_count)
    return func.exp(func.greatest(-age / (pace * slower), FADED))
