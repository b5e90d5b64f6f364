"""DatabasePlugin: Postgres for a Litestar app, with one unit of work per request.

    app = Litestar(route_handlers=[…], plugins=[DatabasePlugin(settings)])

gives every handler `db_session` (a transaction that commits before the response is sent) and `database`.
"""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyInitPlugin,
)
from litestar import Litestar, Request
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.db.engine import connect_pool, create_engine, is_away
from aicq.errors import OutcomeUnknown, StartError, Unavailable
from aicq.settings import Settings

_NUMBERS = itertools.count()

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods of requests that store nothing."""


class Database:
    """Postgres as the domains see it.

    `sessions` opens SQLAlchemy sessions for repositories and services; `pool` holds driver connections for the message
    log and its readers, where a statement's cost in Python matters (docs/decisions/0002).
    """

    pool: "asyncpg.Pool[asyncpg.Record]"

    def __init__(self, settings: Settings) -> None:
        if settings.database_url is None:
            raise StartError("DATABASE_URL is not set; `aicq serve` starts an embedded Postgres by itself.")
        self.url = settings.database_url
        # Given names of its own: the library finds free ones by trying one after the other, by recursion, and keeps
        # them for good, so a process could make only some 900 apps.
        name = f"aicq_{next(_NUMBERS)}"
        self.config = SQLAlchemyAsyncConfig(
            engine_instance=create_engine(
                settings.database_url,
                name="aicq",
                pool_size=settings.pool_size,
                max_overflow=settings.pool_overflow,
                pool_timeout=settings.pool_timeout,
                pool_recycle=settings.pool_idle,
                pool_pre_ping=True,
            ),
            # The library's own session would be a second way to get one, and its commit hides failures.
            session_dependency_key="unmanaged_session",
            session_scope_key=f"{name}_session",
            engine_app_state_key=f"{name}_engine",
            session_maker_app_state_key=f"{name}_session_maker",
            set_default_exception_handler=False,
            session_config=AsyncSessionConfig(expire_on_commit=False),
        )
        self.sessions = cast("async_sessionmaker[AsyncSession]", self.config.create_session_maker())

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One unit of work: committed at its end, rolled back on any error.

        Raises:
            OutcomeUnknown: The connection was lost at the commit.
        """
        async with self.sessions() as session:
            yield session
            try:
                await session.commit()
            except Exception as error:
                if is_away(error):
                    raise OutcomeUnknown from error
                raise

    async def open(self) -> None:
        """Opens the driver's pool."""
        self.pool = await connect_pool(self.url, name="aicq log", size=8)

    async def close(self) -> None:
        """Closes the driver's pool, and the engine's: its plugin closes engines of one name alone."""
        await self.pool.close()
        await self.config.get_engine().dispose()


class DatabasePlugin(InitPlugin):
    """Opens Postgres with the app and gives handlers `db_session` and `database`."""

    def __init__(self, settings: Settings) -> None:
        self.database = Database(settings)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the engine's plugin, the pool's life and the dependencies."""
        app_config.plugins.append(SQLAlchemyInitPlugin(config=self.database.config))
        app_config.lifespan.append(self._lifespan)
        app_config.dependencies["db_session"] = Provide(self._session)
        app_config.dependencies["database"] = Provide(lambda: self.database, sync_to_thread=False)
        # For the busiest handlers: a second dependency costs a task group on every request.
        app_config.state["database"] = self.database
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        await self.database.open()
        try:
            yield
        finally:
            await self.database.close()

    async def _session(self, request: Request[Any, Any, Any]) -> AsyncGenerator[AsyncSession, Any]:
        """The request's unit of work: committed after the handler and before its response, rolled back on any error."""
        try:
            async with self.database.transaction() as session:
                yield session
        except OutcomeUnknown as error:
            if request.method in READING:
                raise Unavailable from error
            raise
