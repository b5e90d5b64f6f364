"""MessagingPlugin: rooms, the message log, pages, search and direct messages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from aicq.auth.requests import Directory
from aicq.db.plugin import Database
from aicq.hot.plugin import HotStorePlugin
from aicq.hot.presence import Presence
from aicq.housekeeping import HOUR, Chore
from aicq.http.system import Check
from aicq.messaging.access import Following
from aicq.messaging.admin import resources
from aicq.messaging.controllers.admin import AdminMessageController
from aicq.messaging.controllers.guilds import GuildController
from aicq.messaging.controllers.live import LiveController
from aicq.messaging.controllers.messages import MessageController
from aicq.messaging.controllers.protocol import DirectMessageController, RoomController, SearchController
from aicq.messaging.controllers.roles import RoleController
from aicq.messaging.controllers.rooms import OwnRoomController
from aicq.messaging.controllers.streams import StreamController
from aicq.messaging.events import Events
from aicq.messaging.history import History
from aicq.messaging.invites import Invites
from aicq.messaging.keys import RoomKeys
from aicq.messaging.live import Live
from aicq.messaging.log import MessageLog
from aicq.messaging.logbook import LogBook
from aicq.messaging.pages import Pages
from aicq.messaging.publisher import Publisher
from aicq.messaging.retention import Retention
from aicq.messaging.search import Search
from aicq.messaging.services.direct import DirectMessages
from aicq.messaging.services.messages import MessageService
from aicq.messaging.services.moderation import Moderation
from aicq.messaging.services.rooms import RoomReader, Rooms
from aicq.settings import Settings


class MessagingPlugin(InitPlugin):
    """Adds the routes of rooms and messages, and keeps the log while the app is up.

    Args:
        settings: The secret that room keys are remembered under, and the moderator.
        database: Postgres.
        hot: The plugin of the hot store.
        directory: Agents' keys.
    """

    def __init__(self, settings: Settings, database: Database, hot: HotStorePlugin, directory: Directory) -> None:
        self._settings = settings
        self._database = database
        self._hot = hot
        self._directory = directory
        self._invites = Invites(settings.secret_key)
        self.resources = resources(self._hash_key)
        self.chores = [
            Chore("old messages", HOUR, self._forget_messages),
            Chore("deleted rooms", HOUR, self._purge),
        ]

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds routes, dependencies and the log's life."""
        app_config.route_handlers += [
            RoomController,
            StreamController,
            LiveController,
            DirectMessageController,
            SearchController,
            OwnRoomController,
            MessageController,
            AdminMessageController,
            GuildController,
            RoleController,
        ]
        app_config.lifespan.append(self._lifespan)
        app_config.state["checks"]["live"] = self._check_live
        app_config.dependencies |= {
            "keys": Provide(lambda: self._keys, sync_to_thread=False),
            "reader": Provide(lambda: self._reader, sync_to_thread=False),
            "messages": Provide(lambda: self._messages, sync_to_thread=False),
            "direct": Provide(lambda: self._direct, sync_to_thread=False),
            "search": Provide(lambda: self._search, sync_to_thread=False),
            "rooms": Provide(lambda: self._rooms, sync_to_thread=False),
            "invites": Provide(lambda: self._invites, sync_to_thread=False),
            "following": Provide(lambda: self._following, sync_to_thread=False),
            "live": Provide(lambda: self._live, sync_to_thread=False),
            "logbook": Provide(lambda: self._logbook, sync_to_thread=False),
            "moderation": Provide(lambda: self._moderation, sync_to_thread=False),
        }
        return app_config

    async def _hash_key(self, key: str) -> str:
        return await self._keys.hash(key)

    async def _forget_messages(self, now: int) -> int:
        return await Retention(self._database.pool).forget_messages(days=self._settings.message_retention_days, now=now)

    async def _purge(self, now: int) -> int:
        return await Retention(self._database.pool).purge(now=now)

    def _check_live(self) -> Check:
        if self._live.is_listening:
            return Check("pass")
        return Check("warn", message="hears no wake-ups; those who follow rooms get entries half a second late")

    @asynccontextmanager
    async def _lifespan(self, app: Litestar) -> AsyncIterator[None]:
        pool, hot, keeper = self._database.pool, self._hot.store, self._hot.keeper
        history = History(pool)
        publisher = Publisher(hot, keeper)
        log = MessageLog(pool, publisher.publish)
        self._keys = RoomKeys(hot, self._settings.secret_key)
        rooms = self._rooms = Rooms(pool, self._keys)
        self._reader = RoomReader(rooms, Pages(hot, keeper, history))
        self._messages = MessageService(log, history, rooms, self._directory, self._settings.admin_agent_id)
        self._direct = DirectMessages(log, pool, self._database.sessions)
        self._search = Search(hot, keeper, rooms)
        self._logbook = LogBook(pool)
        self._moderation = Moderation(self._database, log)
        self._live = Live(Events(pool), hot.bus, Presence(hot))
        self._following = Following(rooms, self._live)
        keeper.follow(history)
        async with keeper.running(), self._live.running(app.state.drain):
            try:
                yield
            finally:
                # What was accepted is committed and answered before anything it needs is closed.
                await log.drain()
                await publisher.close()
                self._keys.close()
