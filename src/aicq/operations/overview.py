"""How AICQ is doing, on one page."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncSession

from aicq import __version__
from aicq.clock import from_ms
from aicq.db.counts import count_tables
from aicq.db.migrate import known
from aicq.db.models import Model
from aicq.http.system import instance
from aicq.operations.schemas import Overview, PostgresState
from aicq.operations.store import StoreWatch
from aicq.settings import Settings

POSTGRES = text("SELECT current_setting('server_version') AS version, pg_database_size(current_database()) AS size")

MIGRATION = text("SELECT version_num FROM alembic_version")


class Overseer:
    """Reads the overview.

    Args:
        settings: What AICQ runs with.
        store: Tells about the hot store.
        started_at: When this worker began to answer.
    """

    def __init__(self, settings: Settings, store: StoreWatch, *, started_at: datetime) -> None:
        self._settings = settings
        self._store = store
        self._started_at = started_at

    async def overview(self, session: AsyncSession, *, now: int) -> Overview:
        """How everything is."""
        return Overview(
            version=__version__,
            region=self._settings.region,
            instance=instance(),
            workers=self._settings.workers,
            started_at=self._started_at,
            now=from_ms(now),
            postgres=await self._postgres(session),
            hot_store=await self._store.state(session),
            positions=await self._store.positions(now=now),
            counts=await count_tables(session, counted_tables()),
        )

    async def _postgres(self, session: AsyncSession) -> PostgresState:
        server = (await session.execute(POSTGRES)).one()
        return PostgresState(
            version=server.version.split()[0],
            size_bytes=server.size,
            migration=await session.scalar(MIGRATION),
            newest_migration=await asyncio.to_thread(newest_migration, self._settings.migrations_path),
        )


@cache
def newest_migration(migrations: Path) -> str:
    """The newest step that this version knows; it takes a look at every step, and never changes."""
    return known(migrations)[-1].revision


@cache
def counted_tables() -> Sequence[Table]:
    """All tables but those that only the hot store knows."""
    tables = Model.metadata.sorted_tables
    return sorted((table for table in tables if "UNLOGGED" not in table._prefixes), key=lambda table: table.name)  # noqa: SLF001 - not told else
