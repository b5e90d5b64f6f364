"""SystemPlugin: admission, and what the service says of itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from aicq.db.plugin import Database
from aicq.hot.plugin import HotStorePlugin
from aicq.http.admission import Admission
from aicq.http.blocks import Blocks
from aicq.http.pages import PageController
from aicq.http.sightings import Sightings
from aicq.http.streams import Streams
from aicq.http.system import SystemController
from aicq.settings import Settings
from aicq.tasks import meanwhile


class SystemPlugin(InitPlugin):
    """Adds the routes of `SystemController` and `PageController`, and admission where guards find it.

    Args:
        settings: Rates, whitelist, trusted proxies and the region.
        database: Postgres.
        hot: The plugin of the hot store.
    """

    def __init__(self, settings: Settings, database: Database, hot: HotStorePlugin) -> None:
        self._settings = settings
        self._database = database
        self._hot = hot

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the routes, their dependency and admission's life."""
        app_config.route_handlers += [SystemController, PageController]
        # Domains add what health is to tell of them: a name, and what looks. None of it makes the service unhealthy.
        app_config.state["checks"] = {}
        app_config.dependencies["region"] = Provide(lambda: self._settings.region, sync_to_thread=False)
        app_config.dependencies["hot_plugin"] = Provide(lambda: self._hot, sync_to_thread=False)
        app_config.lifespan.append(self._lifespan)
        return app_config

    @asynccontextmanager
    async def _lifespan(self, app: Litestar) -> AsyncIterator[None]:
        blocks = Blocks(self._database.pool, self._hot.store)
        self._hot.keeper.restoring(blocks.restore)
        app.state["admission"] = Admission(self._hot.store, self._settings, blocks)
        streams = app.state["streams"] = Streams(self._hot.store, self._settings)
        sightings = app.state["sightings"] = Sightings(self._hot.store)
        async with meanwhile(streams.keep_open()):
            yield
        await sightings.drain()
