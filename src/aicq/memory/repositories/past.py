"""Finding memories as they were at a past moment. All of a team's are looked at: no index knows the past."""

from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    BindParameter,
    Boolean,
    DateTime,
    Double,
    Float,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

from aicq.db.repository import Repository
from aicq.memory.models import MemoryLog
from aicq.memory.repositories.ranking import EMBEDDING, Question, best, fuse, spoken, values_of
from aicq.memory.repositories.recall import NOW, TEAM, Found, Scope, Shape, found_of

COLUMNS: dict[str, TypeEngine[Any]] = {
    "id": Uuid(),
    "seq": Integer(),
    "embedded_version": Integer(),
    "holds": Boolean(),
    "memory_type": Text(),
    "is_pinned": Boolean(),
    "importance": Integer(),
    "confidence": Double(),
    "used_at": DateTime(timezone=True),
    "access_count": Integer(),
}

# All that were there, without what is long. Nobody knows any more how often they had been used by then.
PAST = """
SELECT p.memory_id AS id, p.seq, (p.snapshot ->> 'embedded_version')::int AS embedded_version,
    p.snapshot ->> 'status' = ANY (:statuses)
        AND coalesce((p.snapshot ->> 'expires_at')::timestamptz > :now, true) AS holds,
    p.snapshot ->> 'memory_type' AS memory_type, (p.snapshot ->> 'is_pinned')::boolean AS is_pinned,
    (p.snapshot ->> 'importance')::int AS importance, (p.snapshot ->> 'confidence')::float AS confidence,
    (p.snapshot ->> 'updated_at')::timestamptz AS used_at, 0 AS access_count
FROM reconstruct_memories_at(:team_id, :now) p
WHERE (p.snapshot ->> 'importance')::int >= :min_importance
    AND (p.snapshot ->> 'memory_type' <> 'agent_private' OR p.snapshot ->> 'agent_id' = :agent)
"""

NARROWER = {
    "user": " AND p.snapshot ->> 'user_id' = :user",
    "types": " AND p.snapshot ->> 'memory_type' = ANY (:types)",
    "tags": " AND p.snapshot -> 'tags' @> :bears",
}
"""What a scope may ask for besides, by the name in its shape."""

GIVEN = (
    TEAM,
    NOW,
    bindparam("statuses", type_=ARRAY(Text())),
    bindparam("agent", type_=Text()),
    bindparam("min_importance", type_=Integer()),
)
GIVEN_BESIDES: dict[str, BindParameter[Any]] = {
    "user": bindparam("user", type_=Text()),
    "types": bindparam("types", type_=ARRAY(Text())),
    "tags": bindparam("bears", type_=JSONB()),
}


class PastSearch(Repository[MemoryLog]):
    """Finds memories as they were."""

    model_type = MemoryLog

    async def recall_at(self, question: Question, scope: Scope) -> tuple[list[Found], int]:
        """The memories that would have answered a question best at the scope's `now`, as their snapshots show them.

        Returns:
            The memories, the best first, and how many were left out because they did not hold by then.
        """
        given = {
            **scope.values(),
            **values_of(question),
            "statuses": ["active", "superseded"] if scope.include_superseded else ["active"],
            "agent": str(scope.agent_id or ""),
            "user": str(scope.user_id or ""),
            "types": list(scope.memory_types),
            "bears": list(scope.tags),
        }
        statement = _recalled(scope.shape, question.embedding is not None, question.query is not None)
        rows = (await self.session.execute(statement, given)).all()
        return [found_of(row, row.snapshot) for row in rows if row.id is not None], rows[0].left_out


@cache
def _recalled(shape: Shape, has_meaning: bool, has_words: bool) -> Select[Any]:  # noqa: FBT001 - the key
    """The best memories, what their scores are made of, and how many were left out."""
    asked = _asked(shape)
    past = select(asked).where(asked.c.holds).cte("past").prefix_with("MATERIALIZED")
    found = best(fuse(_near(past) if has_meaning else None, _said(past) if has_words else None), past, NOW)
    left_out = select(func.count()).select_from(asked).where(~asked.c.holds).scalar_subquery()
    # One row at least, because how many were left out is told of no memories as well.
    one = select(literal_column("1")).subquery("one")
    entry = and_(MemoryLog.memory_id == past.c.id, MemoryLog.seq == past.c.seq)
    told = one.outerjoin(found.join(past, past.c.id == found.c.id).join(MemoryLog, entry), true())
    statement = select(MemoryLog.snapshot, found, left_out.label("left_out")).select_from(told)
    return statement.order_by(found.c.score.desc(), found.c.id)


def _asked(shape: Shape) -> CTE:
    """What was of the kind asked for, whether it held or not."""
    besides = [name for name in NARROWER if getattr(shape, name)]
    statement = text(PAST + "".join(NARROWER[name] for name in besides))
    statement = statement.bindparams(*GIVEN, *(GIVEN_BESIDES[name] for name in besides))
    return statement.columns(**COLUMNS).cte("asked").prefix_with("MATERIALIZED")


def _near(past: CTE) -> CTE:
    """The leg of meaning: `id` and `distance`. An embedding stands at the entry that brought it."""
    distance = MemoryLog.embedding.op("<=>", return_type=Float())(EMBEDDING).label("distance")
    brought = and_(MemoryLog.memory_id == past.c.id, MemoryLog.seq == past.c.embedded_version)
    statement = select(past.c.id, distance).join(MemoryLog, brought).order_by(distance, past.c.id)
    return statement.limit(bindparam("pool", type_=Integer())).cte("near")


def _said(past: CTE) -> CTE:
    """The leg of words: `id` and `place`. The words are made as the trigger makes them now."""
    entry = and_(MemoryLog.memory_id == past.c.id, MemoryLog.seq == past.c.seq)
    told = func.concat_ws(" ", MemoryLog.snapshot["subject"].astext, MemoryLog.new_content)
    english, simple = (func.to_tsvector(literal_column(f"'{name}'"), told) for name in ("english", "simple"))
    words = english.op("||")(simple).label("words")
    texts = select(past.c.id, words).join(MemoryLog, entry).cte("texts").prefix_with("MATERIALIZED")
    return spoken(texts)
