"""WorkPlugin: projects, tasks, evidence, executions, and the feed that tells of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from aicq.db.plugin import Database
from aicq.work.controllers.calls import provide_asked
from aicq.work.controllers.discussion import DiscussionController
from aicq.work.controllers.evidence import EvidenceController
from aicq.work.controllers.executions import ActivityController, ExecutionController
from aicq.work.controllers.projects import ProjectController
from aicq.work.controllers.tasks import TaskController
from aicq.work.feed import Feed


class WorkPlugin(InitPlugin):
    """Adds the routes of work, and writes the feed while the app is up.

    Args:
        database: Postgres.
    """

    def __init__(self, database: Database) -> None:
        self.feed = Feed(database.sessions)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds routes, dependencies and the feed's life."""
        app_config.route_handlers += [
            ProjectController,
            TaskController,
            DiscussionController,
            EvidenceController,
            ExecutionController,
            ActivityController,
        ]
        app_config.dependencies |= {
            "asked": Provide(provide_asked, sync_to_thread=False),
            "feed": Provide(lambda: self.feed, sync_to_thread=False),
        }
        app_config.lifespan.append(self._lifespan)
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        async with self.feed.running():
            yield
