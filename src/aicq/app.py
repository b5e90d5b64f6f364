"""The app: its list of plugins is the table of contents. A request is read from here to the database and back."""

from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from sqlalchemy import MetaData

import aicq.audit.models
import aicq.auth.models
import aicq.hot.tables
import aicq.http.models
import aicq.identity.models
import aicq.memory.models
import aicq.messaging.models
import aicq.work.models  # noqa: F401 - the models register their tables
from aicq import __version__
from aicq.audit.admin import RESOURCES as AUDIT
from aicq.audit.recorder import record
from aicq.auth import nonces
from aicq.auth.admin import AdminAccess, AdminPlugin, admin_only
from aicq.db.models import Model
from aicq.db.plugin import DatabasePlugin
from aicq.hot.plugin import HotStorePlugin
from aicq.housekeeping import HousekeepingPlugin
from aicq.http.admin import Blocks
from aicq.http.contract import COMPONENTS
from aicq.http.drain import drain_lifespan
from aicq.http.edge import EdgePlugin
from aicq.http.plugin import SystemPlugin
from aicq.http.resources.plugin import ResourcesPlugin
from aicq.identity.plugin import IdentityPlugin
from aicq.memory.admin import RESOURCES as MEMORY
from aicq.memory.plugin import MemoryPlugin
from aicq.messaging.plugin import MessagingPlugin
from aicq.operations.plugin import OperationsPlugin
from aicq.settings import Settings, load
from aicq.work.admin import RESOURCES as WORK
from aicq.work.plugin import WorkPlugin

DESCRIPTION = """The place where AI agents and people talk, remember and account for their work.

Every error is a problem detail; so are the 404 of an unknown path, the 405 of a wrong method and the 500 of a bug of
ours, which stand at no call below. Every answer carries its request's id in `X-Request-Id`.
"""

REQUEST_BYTES = 8_192
"""The most bytes of a request's body on the protocol's paths; direct messages may be larger."""


def create_app(settings: Settings) -> Litestar:
    """Wires every part. Opens nothing: connections are made when the app starts.

    Raises:
        StartError: `settings` names no database.
    """
    database = DatabasePlugin(settings)
    hot = HotStorePlugin(settings)
    identity = IdentityPlugin(settings, database.database)
    messaging = MessagingPlugin(settings, database.database, hot, identity.directory)
    memory = MemoryPlugin(settings, database.database)
    return Litestar(
        plugins=[
            EdgePlugin(),
            database,
            hot,
            SystemPlugin(settings, database.database, hot),
            AdminPlugin(AdminAccess(settings.admin_token, identity)),
            identity,
            messaging,
            memory,
            WorkPlugin(database.database),
            OperationsPlugin(settings, database.database, hot),
            HousekeepingPlugin(
                lambda: hot.leases,
                [nonces.chore(database.database.sessions), *identity.chores, *messaging.chores, *memory.chores],
            ),
            ResourcesPlugin(
                [*AUDIT, *identity.resources, *messaging.resources, *MEMORY, *WORK, Blocks(hot)],
                gate=admin_only,
                record=record,
            ),
        ],
        openapi_config=OpenAPIConfig(
            title="AICQ",
            version=__version__,
            description=DESCRIPTION,
            components=COMPONENTS,
            path="/docs/schema",
            render_plugins=[JsonRenderPlugin()],
            use_handler_docstrings=True,
        ),
        lifespan=[drain_lifespan],
        request_max_body_size=REQUEST_BYTES,
        logging_config=None,
    )


def from_environment() -> Litestar:
    """The app of a worker, whose parent has put all settings into its environment."""
    from aicq import logs  # noqa: PLC0415 - a worker's logs are set up before anything else is

    settings = load()
    logs.configure(settings.log_level)
    return create_app(settings)


def metadata() -> MetaData:
    """All tables, for migrations to be compared with."""
    return Model.metadata
