"""MemoryPlugin: conversations and memories."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from aicq.db.plugin import Database
from aicq.memory.controllers.conversations import ConversationController
from aicq.memory.controllers.memories import MemoryController
from aicq.memory.controllers.recall import RecallController
from aicq.memory.controllers.visit import Memorizing, provide_visit
from aicq.memory.dimensions import check_dimensions
from aicq.memory.retention import Retention
from aicq.memory.services.recall import Accesses
from aicq.settings import Settings

log = structlog.get_logger("aicq.memory")

PATIENCE = 5.0
"""Seconds that recalls get at the end to be counted."""


class MemoryPlugin(InitPlugin):
    """Adds the routes of memory, sees to it that embeddings fit their column, counts recalls, and keeps house.

    Args:
        settings: How long embeddings are.
        database: Postgres.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self.accesses = Accesses(database.sessions)
        self.chores = Retention(database.sessions).chores()

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds routes, dependencies and the look at the column."""
        app_config.route_handlers += [MemoryController, RecallController, ConversationController]
        memorizing = Memorizing(self._settings.embedding_dimensions, self.accesses)
        app_config.dependencies |= {
            "memorizing": Provide(lambda: memorizing, sync_to_thread=False),
            "visit": Provide(provide_visit, sync_to_thread=False),
        }
        app_config.lifespan.append(self._lifespan)
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        await check_dimensions(self._database.url, self._settings.embedding_dimensions)
        yield
        try:
            async with asyncio.timeout(PATIENCE):
                await self.accesses.settle()
        except TimeoutError:
            log.warning("recalls not counted", error="shut down meanwhile")
