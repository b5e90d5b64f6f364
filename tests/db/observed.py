"""A session that is watched: how many statements a call takes, and which indexes they use. For every domain's tests.

async with observed(database_url) as watched:
    assert await watched.count(UserRepository(watched.session).find_by_email("ada@x.io")) == 1
    assert "uq_users_lower_email" in await watched.indexes(UserRepository(watched.session).find_by_email("ada@x.io"))
"""

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import Index, Table, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from aicq.db.engine import create_engine
from aicq.db.models import Model

ROWS = 20_000
"""So many rows that reading all of a table costs more than looking into its index."""

READ_OR_WRITTEN = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")


class Observed:
    """A session whose statements are remembered.

    Args:
        session: The session.
        ran: Its statements so far, each with what it was given.
    """

    def __init__(self, session: AsyncSession, ran: list[tuple[str, Any]]) -> None:
        self.session = session
        self._ran = ran

    async def count(self, call: Awaitable[Any]) -> int:
        """How many statements a call takes."""
        return len(await self._statements(call))

    async def indexes(self, call: Awaitable[Any]) -> set[str]:
        """The indexes that a call's statements use, by Postgres' own plan for what they were given."""
        used: set[str] = set()
        for statement, given in await self._statements(call):
            if statement.lstrip().startswith(READ_OR_WRITTEN):
                connection = await self.session.connection()
                [plan] = (await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", given)).scalars()
                used |= set(_indexes(plan))
        return used

    async def run(self, statement: str, **given: Any) -> None:
        """Runs a statement, for the work that a foreign key does by itself."""
        await self.session.execute(text(statement), given)

    async def _statements(self, call: Awaitable[Any]) -> list[tuple[str, Any]]:
        before = len(self._ran)
        await call
        return self._ran[before:]


@contextmanager
def statements_of(engine: AsyncEngine) -> Iterator[list[tuple[str, Any]]]:
    """The statements that an engine sends while the context is open, each with what it was given."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, given: Any, _context: Any, _many: Any) -> None:
        sent.append((statement, given))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


@asynccontextmanager
async def observed(database_url: str) -> AsyncIterator[Observed]:
    """A session that is watched; what it does is not committed."""
    engine = create_engine(database_url, name="test")
    try:
        with statements_of(engine) as sent:
            async with AsyncSession(engine, expire_on_commit=False) as session:
                yield Observed(session, sent)
    finally:
        await engine.dispose()


def indexes_that_are_no_keys(*models: type[Model]) -> set[str]:
    """The names of all indexes of these tables but those of primary keys and of unique constraints."""
    tables = [model.__table__ for model in models]
    return {str(index.name) for table in tables if isinstance(table, Table) for index in _declared(table)}


def _declared(table: Table) -> Iterator[Index]:
    yield from table.indexes


def _indexes(plan: Any) -> Iterator[str]:
    if isinstance(plan, list):
        for part in plan:
            yield from _indexes(part)
    elif isinstance(plan, dict):
        if "Index Name" in plan:
            yield plan["Index Name"]
        for part in plan.values():
            yield from _indexes(part)
