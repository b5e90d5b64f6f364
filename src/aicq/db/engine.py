"""How Postgres is reached: one way to read its URL, the driver's, for SQLAlchemy's engines and for pools."""

from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

SESSION = {"jit": "off"}
"""What every session is told: our statements are short, and compiling them takes longer than they do."""

POOLED = {**SESSION, "plan_cache_mode": "force_generic_plan"}
"""What pooled sessions are told besides: planned once, because planning anew takes longer than the statements do."""


def create_engine(database_url: str, *, name: str, **options: Any) -> AsyncEngine:
    """Makes an engine; it connects when it is used.

    The driver connects, not SQLAlchemy, which would not understand libpq's parameters such as `sslmode`.

    Args:
        database_url: `postgresql://…`.
        name: How the connections show in `pg_stat_activity`.
        options: What `create_async_engine` takes.
    """

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(database_url, server_settings={"application_name": name, **SESSION})

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, **options)


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
        server_settings={"application_name": name, **POOLED},
    )


async def _keep_session(_connection: Any) -> None:
    """Our statements leave nothing behind in a session, so the round trip that would reset it is saved."""
