"""HotStorePlugin: chooses, opens, injects, keeps and closes the hot store of a Litestar app.

    app = Litestar(route_handlers=[…], plugins=[HotStorePlugin(settings)])

gives every handler `hot`, the hot store: Redis where `REDIS_URL` is set and answers, Postgres otherwise. On top of it
come `cache`, `presence`, `leases`, `states` and `device_sessions`; Litestar's own stores are kept in it as well.
`docs/extending.md` tells how they are used.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import structlog
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin
from litestar.stores.registry import StoreRegistry

from aicq.db.engine import connect_pool
from aicq.errors import HotStoreUnavailable, StartError
from aicq.hot.base import HotStore
from aicq.hot.cache import Cache
from aicq.hot.choice import Choice, choose
from aicq.hot.keeper import Keeper
from aicq.hot.leases import Leases
from aicq.hot.litestar_store import LitestarStore
from aicq.hot.postgres import PostgresHotStore
from aicq.hot.postgres_client import warm
from aicq.hot.presence import Presence
from aicq.hot.redis import RedisHotStore
from aicq.hot.sessions import Sessions
from aicq.hot.states import States
from aicq.settings import Settings

log = structlog.get_logger("aicq.hot")


class HotStorePlugin(InitPlugin):
    """Opens the hot store with the app.

    `store`, `keeper` and `leases` exist while the app is up; `degraded` says why the store is not what was asked for.
    """

    store: HotStore
    keeper: Keeper
    leases: Leases

    def __init__(self, settings: Settings) -> None:
        if settings.database_url is None:
            raise StartError("DATABASE_URL is not set; `aicq serve` starts an embedded Postgres by itself.")
        self._settings = settings
        self._database_url = settings.database_url
        self.degraded = ""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the store's life, the dependency `hot` and what is built on it."""
        app_config.lifespan.append(self._lifespan)
        # Litestar's default would keep its parts' state in each process.
        app_config.stores = StoreRegistry(default_factory=lambda name: LitestarStore(self.store, name))
        app_config.dependencies |= {
            "hot": Provide(lambda: self.store, sync_to_thread=False),
            "cache": Provide(lambda: Cache(self.store), sync_to_thread=False),
            "presence": Provide(lambda: Presence(self.store), sync_to_thread=False),
            "leases": Provide(lambda: self.leases, sync_to_thread=False),
            "states": Provide(lambda: States(self.store), sync_to_thread=False),
            "device_sessions": Provide(lambda: Sessions(self.store), sync_to_thread=False),
        }
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        choice = await choose(self._settings)
        # A pool of its own: the hot path never waits behind requests that hold the engine's connections.
        warmed = warm if choice.kind == "postgres" else None
        pool = await connect_pool(self._database_url, name="aicq hot", size=8, warm=warmed)
        try:
            self.store = await self._open(choice, pool)
            self.keeper = Keeper(pool, self.store)
            self.leases = Leases(self.store, pool)
            try:
                yield
            finally:
                await self.store.close()
        finally:
            await pool.close()

    async def _open(self, choice: Choice, pool: "asyncpg.Pool[asyncpg.Record]") -> HotStore:
        self.degraded = choice.degraded
        if choice.degraded:
            log.warning("hot store degraded", reason=choice.degraded)
        store: HotStore
        if choice.kind == "redis":
            store = RedisHotStore(self._settings.redis_url or "")
        else:
            store = PostgresHotStore(pool, self._database_url)
        try:
            await store.open()
        except HotStoreUnavailable:
            # It has been chosen, for this worker's neighbours as well; the keeper sees when it is back.
            log.warning("hot store does not answer", store=choice.kind)
        return store
