"""Finding memories as they were at a past moment.

What nobody has changed since is found as it is now, by the same indexes. What was changed is looked up in the history,
all of it: no index knows the past.
"""

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
    Subquery,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, array
from sqlalchemy.types import TypeEngine

from aicq.memory.models import Memory, MemoryLog
from aicq.memory.repositories.ranking import EMBEDDING, Question, best, fuse, spoken, values_of
from aicq.memory.repositories.recall import (
    NOW,
    TEAM,
    UNCHANGED,
    Extent,
    Found,
    MemorySearch,
    Scope,
    Shape,
    Way,
    found_of,
    left_out,
    near,
    texts,
)

FACTS: dict[str, TypeEngine[Any]] = {
    "id": Uuid(),
    "memory_type": Text(),
    "is_pinned": Boolean(),
    "importance": Integer(),
    "confidence": Double(),
    "used_at": DateTime(timezone=True),
    "access_count": Integer(),
}

COLUMNS: dict[str, TypeEngine[Any]] = {
    **FACTS,
    "seq": Integer(),
    "embedded_version": Integer(),
    "holds": Boolean(),
}

# All that were changed since, without what is long. Nobody knows any more how often they had been used by then.
CHANGED = """
SELECT p.memory_id AS id, p.snapshot ->> 'memory_type' AS memory_type,
    (p.snapshot ->> 'is_pinned')::boolean AS is_pinned, (p.snapshot ->> 'importance')::int AS importance,
    (p.snapshot ->> 'confidence')::float AS confidence, (p.snapshot ->> 'updated_at')::timestamptz AS used_at,
    0 AS access_count, p.seq, (p.snapshot ->> 'embedded_version')::int AS embedded_version,
    p.snapshot ->> 'status' = ANY (:statuses)
        AND coalesce((p.snapshot ->> 'expires_at')::timestamptz > :now, true) AS holds
FROM (
    SELECT DISTINCT l.memory_id FROM memory_log l WHERE l.team_id = :team_id AND l.created_at > :now
) since CROSS JOIN LATERAL reconstruct_memory_at(since.memory_id, :now) p
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


class PastSearch(MemorySearch):
    """Finds memories as they were."""

    async def recall_at(self, question: Question, scope: Scope, extent: Extent) -> tuple[list[Found], int, bool]:
        """The memories that would have answered a question best at the scope's `now`, as their snapshots show them.

        Args:
            question: What is looked for.
            scope: Which memories may be found, in the past.
            extent: How much there is to look through of what nobody has changed since.

        Returns:
            The memories, the best first, how many were left out because they did not hold by then, and whether all
            meanings were compared.
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
        rows, is_exact = await self._answers(_recalled, question, scope, extent, given)
        found = [found_of(row, row.snapshot) for row in rows if row.id is not None]
        return found, rows[0].left_out, is_exact


@cache
def _recalled(shape: Shape, way: Way, dimensions: int, has_words: bool) -> Select[Any]:  # noqa: FBT001 - the key
    """The best memories, what their scores are made of, how many were left out, and how many the index gave."""
    changed = _changed(shape)
    then = select(changed).where(changed.c.holds).cte("past").prefix_with("MATERIALIZED")
    same = near(shape, way, dimensions) if way else None
    legs = (None if same is None else _near(same, then), _said(shape, then) if has_words else None)
    found = best(fuse(*legs), _facts(then), NOW)
    gone = select(func.count()).select_from(changed).where(~changed.c.holds).scalar_subquery()
    given = literal(0) if same is None else select(func.count()).select_from(same).scalar_subquery()
    # One row at least, because how many were left out is told of no memories as well.
    one = select(literal_column("1")).subquery("one")
    entries = select(MemoryLog.snapshot).where(MemoryLog.memory_id == found.c.id, MemoryLog.created_at <= NOW)
    was = entries.order_by(MemoryLog.created_at.desc()).limit(1).lateral("was")
    told = one.outerjoin(found, true()).outerjoin(was, true())
    numbers = ((left_out(shape) + gone).label("left_out"), given.label("given"))
    statement = select(was.c.snapshot, found, *numbers).select_from(told)
    return statement.order_by(found.c.score.desc(), found.c.id)


def _changed(shape: Shape) -> CTE:
    """What was changed since and was of the kind asked for, whether it held or not."""
    besides = [name for name in NARROWER if getattr(shape, name)]
    statement = text(CHANGED + "".join(NARROWER[name] for name in besides))
    statement = statement.bindparams(*GIVEN, *(GIVEN_BESIDES[name] for name in besides))
    return statement.columns(**COLUMNS).cte("changed").prefix_with("MATERIALIZED")


def _near(same: CTE, then: CTE) -> CTE:
    """The leg of meaning: `id` and `distance`. An embedding stands at the entry that brought it."""
    distance = MemoryLog.embedding.op("<=>", return_type=Float())(EMBEDDING)
    brought = and_(MemoryLog.memory_id == then.c.id, MemoryLog.seq == then.c.embedded_version)
    compared = select(then.c.id, distance.label("distance")).join(MemoryLog, brought)
    both = union_all(select(same.c.id, same.c.distance), compared).subquery()
    statement = select(both).order_by(both.c.distance, both.c.id)
    return statement.limit(bindparam("pool", type_=Integer())).cte("nearest")


def _said(shape: Shape, then: CTE) -> CTE:
    """The leg of words: `id` and `place`. The words of what was changed are made as the trigger makes them now."""
    entry = and_(MemoryLog.memory_id == then.c.id, MemoryLog.seq == then.c.seq)
    told = func.concat_ws(" ", MemoryLog.snapshot["subject"].astext, MemoryLog.new_content)
    english, simple = (func.to_tsvector(literal_column(f"'{name}'"), told) for name in ("english", "simple"))
    team = func.array_to_tsvector(array([literal_column("'team '").op("||")(cast(TEAM, Text))]))
    words = team.op("||")(english).op("||")(simple).label("words")
    made = select(then.c.id, words).join(MemoryLog, entry).cte("texts").prefix_with("MATERIALIZED")
    return spoken(union_all(texts(shape), select(made.c.id, made.c.words)).subquery())


def _facts(then: CTE) -> Subquery:
    """What scores are made of, beside what was found. Nothing is read of it but of what was found."""
    columns = {
        "id": Memory.id,
        "memory_type": cast(Memory.memory_type, Text),
        "is_pinned": Memory.is_pinned,
        "importance": Memory.importance,
        "confidence": Memory.confidence,
        "used_at": Memory.updated_at,
        "access_count": literal_column("0"),
    }
    same: Any = select(*(columns[name].label(name) for name in FACTS)).where(Memory.team_id == TEAM, UNCHANGED)
    return union_all(same, select(*(then.c[name] for name in FACTS))).subquery("facts")
