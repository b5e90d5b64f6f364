"""MemoryPlugin: conversations and memories."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from aicq.db.plugin import Database
from aicq.memory.dimensions import check_dimensions
from aicq.memory.retention import Retention
from aicq.settings import Settings


class MemoryPlugin(InitPlugin):
    """Sees to it that embeddings fit their column, and keeps house.

    Args:
        settings: How long embeddings are.
        database: Postgres.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self.chores = Retention(database.sessions).chores()

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the look at the column."""
        app_config.lifespan.append(self._lifespan)
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        await check_dimensions(self._database.url, self._settings.embedding_dimensions)
        yield
