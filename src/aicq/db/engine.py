"""How Postgres is reached: one way to read its URL, the driver's, for SQLAlchemy's engines and for pools."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from aicq.db.reach import POOLED, SESSION

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

READ_TIMEOUT = 10.0
"""Seconds that a server gets to answer a read; others wait behind it."""

AWAY = (
    PoolTimeoutError,
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What says that Postgres is away or refuses."""


def create_engine(database_url: str, *, name: str, **options: Any) -> AsyncEngine:
    """Makes an engine; it connects when it is used.

    The driver connects, not SQLAlchemy, which would not understand libpq's parameters such as `sslmode`. Errors do not
    repeat what a statement was given: hashes and email addresses are among it, and errors are logged.

    Args:
        database_url: `postgresql://…`.
        name: How the connections show in `pg_stat_activity`.
        options: What `create_async_engine` takes.
    """

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(database_url, server_settings={"application_name": name, **SESSION})

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, hide_parameters=True, **options)


async def connect_pool(
    database_url: str, *, name: str, size: int, warm: "Callable[[Connection], Coroutine[Any, Any, None]] | None" = None
) -> "asyncpg.Pool[asyncpg.Record]":
    """Opens a pool of driver connections.

    Args:
        database_url: `postgresql://…`.
        name: How the connections show in `pg_stat_activity`.
        size: The most connections.
        warm: What each connection does before it is used.
    """
    return await asyncpg.create_pool(
        database_url,
        min_size=1,
        max_size=size,
        init=warm,
        reset=_keep_session,
        server_settings={"application_name": name, **POOLED},
    )


async def fetch(
    pool: "asyncpg.Pool[asyncpg.Record]", query: str, *args: object, seconds: float = READ_TIMEOUT
) -> "list[asyncpg.Record]":
    """Reads rows on a connection of the pool, on time or not at all.

    Args:
        pool: The pool.
        query: The statement.
        args: Its arguments.
        seconds: How long the server gets to answer.

    Raises:
        TimeoutError: The server does not answer; the connection is given up, so that the next call gets another.
    """
    connection = await pool.acquire()
    try:
        return await connection.fetch(query, *args, timeout=seconds)
    except TimeoutError:
        # A server that hangs does not answer a request to cancel either.
        connection.terminate()
        raise
    finally:
        await pool.release(connection)


def is_away(error: BaseException) -> bool:
    """Whether Postgres could not be asked, rather than refused what it was asked."""
    if isinstance(error, DBAPIError):
        is_lost = error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError))
        return is_lost or is_away(error.driver_exception)
    # The driver's word for an argument that it cannot send is an InterfaceError too.
    return isinstance(error, AWAY) and not isinstance(error, ValueError)


async def _keep_session(_connection: Any) -> None:
    """Our statements leave nothing behind in a session, so the round trip that would reset it is saved."""
