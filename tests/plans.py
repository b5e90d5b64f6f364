"""Which indexes a statement uses, as Postgres plans it, and how many statements a call makes."""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

NON_KEYS = """
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relname = ANY ($1)
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u'))
"""

Statement = tuple[str, Sequence[Any]]


@contextmanager
def statements_of(engine: AsyncEngine) -> Iterator[list[Statement]]:
    """The statements that an engine sends while the context is open, with their arguments."""
    sent: list[Statement] = []

    def note(_connection: Any, _cursor: Any, statement: str, arguments: Any, *_: Any) -> None:
        sent.append((statement, arguments))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


async def indexes_of_call(
    engine: AsyncEngine,
    database: "asyncpg.Connection[asyncpg.Record]",
    call: Callable[[AsyncSession], Awaitable[object]],
) -> set[str]:
    """The indexes that the statements of a call use."""
    async with AsyncSession(engine) as session:
        with statements_of(engine) as sent:
            await call(session)
    used: set[str] = set()
    for statement, arguments in sent:
        used |= await indexes_of(database, statement, *arguments)
    return used


async def indexes_of(database: "asyncpg.Connection[asyncpg.Record]", statement: str, *arguments: object) -> set[str]:
    """The indexes that a statement uses."""
    plan = json.loads(await database.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments))
    return set(_index_names(plan[0]["Plan"]))


async def non_keys(database: "asyncpg.Connection[asyncpg.Record]", *tables: str) -> set[str]:
    """The indexes of tables that hold no primary key and no unique constraint."""
    return {row["relname"] for row in await database.fetch(NON_KEYS, list(tables))}


def _index_names(node: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in node:
        yield node["Index Name"]
    for child in node.get("Plans", []):
        yield from _index_names(child)
