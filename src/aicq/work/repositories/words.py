"""Finding rows by the words in a JSON array: labels of tasks, tags of evidence."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute


def holds_all(
    row_id: InstrumentedAttribute[UUID], column: InstrumentedAttribute[Any], words: Sequence[str]
) -> ColumnElement[bool]:
    """Whether the array holds all of the words.

    Materialized, because the planner takes it that there are many such rows, and would walk all ids for a rare word.
    """
    matching = select(row_id).where(column.contains(list(words))).cte("matching").prefix_with("MATERIALIZED")
    return row_id.in_(select(matching.c.id))
