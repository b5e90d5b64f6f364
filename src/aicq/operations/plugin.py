"""OperationsPlugin: the calls of operators, beside the tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from aicq.clock import from_ms, now_ms
from aicq.db.plugin import Database
from aicq.hot.plugin import HotStorePlugin
from aicq.messaging.logbook import LogBook
from aicq.operations.controllers import OperationsController
from aicq.operations.limits import LimitDesk
from aicq.operations.overview import Overseer
from aicq.operations.store import StoreWatch
from aicq.settings import Settings


class OperationsPlugin(InitPlugin):
    """Adds the routes of `OperationsController`.

    Args:
        settings: What AICQ runs with.
        database: Postgres.
        hot: The plugin of the hot store.
    """

    def __init__(self, settings: Settings, database: Database, hot: HotStorePlugin) -> None:
        self._settings = settings
        self._database = database
        self._hot = hot

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the routes and what they depend on."""
        app_config.route_handlers.append(OperationsController)
        app_config.lifespan.append(self._lifespan)
        app_config.dependencies |= {
            "overseer": Provide(lambda: self._overseer, sync_to_thread=False),
            "limit_desk": Provide(lambda: self._limit_desk, sync_to_thread=False),
            "store_watch": Provide(lambda: self._store_watch, sync_to_thread=False),
        }
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        self._store_watch = StoreWatch(self._settings, self._hot, LogBook(self._database.pool))
        self._overseer = Overseer(self._settings, self._store_watch, started_at=from_ms(now_ms()))
        self._limit_desk = LimitDesk(self._hot.store, self._settings.rates)
        yield
