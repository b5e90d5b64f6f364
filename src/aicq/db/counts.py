"""Counting rows: exactly while they are few, by what Postgres estimates where counting would read too many."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, Table, func, literal, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncSession

EXACT_UP_TO = 10_000
"""The most rows that one count reads."""

# What vacuum and analyze have noted; -1 where neither has run yet.
ESTIMATE = text("SELECT reltuples::bigint FROM pg_class WHERE oid = CAST(:relation AS regclass)")

ESTIMATES = text("SELECT relname, reltuples::bigint FROM pg_class WHERE relnamespace = 'public'::regnamespace")


class Count(msgspec.Struct, frozen=True):
    """How many there are.

    Args:
        value: The number.
        exact: Whether it was counted; otherwise it is estimated, and no less than was counted.
    """

    value: int
    exact: bool


async def count(session: AsyncSession, rows: Select[Any], *, relation: str) -> Count:
    """Counts rows, up to a bound.

    Args:
        session: Postgres.
        rows: Which.
        relation: The table, or the index, whose size tells how many there are beyond the bound.
    """
    some = rows.limit(EXACT_UP_TO + 1).subquery()
    counted = await session.scalar(select(func.count()).select_from(some)) or 0
    if counted <= EXACT_UP_TO:
        return Count(counted, exact=True)
    return Count(max(counted, await estimate(session, relation)), exact=False)


async def count_tables(session: AsyncSession, tables: Sequence[Table]) -> dict[str, Count]:
    """How many rows each of these tables has."""
    bounded = [
        select(
            literal(table.name),
            select(func.count())
            .select_from(select(literal(1)).select_from(table).limit(EXACT_UP_TO + 1).subquery())
            .scalar_subquery(),
        )
        for table in tables
    ]
    estimated = {row.relname: row.reltuples for row in await session.execute(ESTIMATES)}
    return {
        name: Count(counted, exact=True)
        if counted <= EXACT_UP_TO
        else Count(max(counted, estimated.get(name, 0)), exact=False)
        for name, counted in await session.execute(union_all(*bounded))
    }


async def estimate(session: AsyncSession, relation: str) -> int:
    """How many rows Postgres believes a table or an index to hold."""
    return max(0, await session.scalar(ESTIMATE, {"relation": relation}) or 0)
