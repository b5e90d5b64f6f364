"""IdentityPlugin: agents, and the directory of keys that signed requests are checked against."""

from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from aicq.db.plugin import Database
from aicq.identity.controllers import AgentController
from aicq.identity.services import AgentDirectory


class IdentityPlugin(InitPlugin):
    """Adds the agents' routes and their directory.

    Args:
        database: Postgres.
    """

    def __init__(self, database: Database) -> None:
        self.directory = AgentDirectory(database.sessions)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the routes, and the directory where guards find it."""
        app_config.route_handlers.append(AgentController)
        app_config.state["directory"] = self.directory
        return app_config
