"""How SQLAlchemy and asyncpg reach Postgres."""

from typing import Any

import asyncpg
from sqlalchemy import make_url


def sqlalchemy_url(database_url: str) -> str:
    """The URL with the driver that SQLAlchemy is to use; query parameters such as `host` and `sslmode` are kept."""
    return make_url(database_url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


async def connect_pool(database_url: str, *, name: str, size: int) -> "asyncpg.Pool[asyncpg.Record]":
    """Opens a pool of driver connections.

    Args:
        database_url: `postgresql://…`.
        name: How the connections show in `pg_stat_activity`.
        size: The most connections.
    """
    return await asyncpg.create_pool(
        database_url,
        min_size=1,
        max_size=size,
        reset=_keep_session,
        server_settings={"application_name": name, "jit": "off"},
    )


async def _keep_session(_connection: Any) -> None:
    """Our statements leave nothing behind in a session, so the round trip that would reset it is saved."""
