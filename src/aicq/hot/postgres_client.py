"""How the Postgres hot store speaks with its server: named queries, time-outs, one error for every failure."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncpg

from aicq.errors import HotStoreUnavailable
from aicq.hot.metrics import UNANSWERED, timer
from aicq.hot.queries import load

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

QUERIES = load()

CALL_TIMEOUT = 1.0
"""Seconds that a call may take."""

LONG_CALL_TIMEOUT = 30.0
"""Seconds that the beginning of an epoch may take."""

ATTEMPTS = 4
"""How often a call is made that Postgres rolled back for the sake of another."""

FAILURES = (
    OSError,  # TimeoutError is one
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
)
"""What tells that the server does not answer or refuses; anything else is a mistake of ours and stays what it is."""


async def warm(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Has a new connection make its plans for searches, without which its first takes five times as long."""
    # A store that is just being emptied is not waited for.
    with suppress(asyncpg.LockNotAvailableError):
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '100ms'")
            await connection.execute(QUERIES["warm"])


class Database:
    """Makes the calls: on time or not at all, again if Postgres rolled them back, and with one error for every failure.

    Args:
        pool: Postgres; owned by the caller.
    """

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool

    async def rows(self, name: str, *args: object, seconds: float = CALL_TIMEOUT) -> list[asyncpg.Record]:
        """Runs a named query.

        Raises:
            HotStoreUnavailable: It failed; it may have run if the server did not answer in time.
        """

        async def fetch(connection: "Connection") -> list[asyncpg.Record]:
            return await connection.fetch(QUERIES[name], *args, timeout=seconds)

        began = time.perf_counter()
        rows: list[asyncpg.Record] = await self._call(fetch, seconds)
        timer("postgres", name).observe(time.perf_counter() - began)
        return rows

    async def value(self, name: str, *args: object, seconds: float = CALL_TIMEOUT) -> Any:
        """Runs a named query and returns the first column of its first row, None if there is no row."""
        rows = await self.rows(name, *args, seconds=seconds)
        return rows[0][0] if rows else None

    async def begin(self, epoch: int) -> None:
        """Empties what is held of messages and bears the mark of `epoch`, both or neither."""

        async def run(connection: "Connection") -> None:
            async with connection.transaction():
                await connection.execute(QUERIES["begin_forget_mark"], timeout=LONG_CALL_TIMEOUT)
                await connection.execute(QUERIES["begin_empty"], timeout=LONG_CALL_TIMEOUT)
                await connection.execute(QUERIES["begin_mark"], epoch, timeout=LONG_CALL_TIMEOUT)

        await self._call(run, LONG_CALL_TIMEOUT)

    async def _call(self, run: "Callable[[Connection], Awaitable[Any]]", seconds: float) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(run, seconds)
            except asyncpg.TransactionRollbackError as error:
                if attempt == ATTEMPTS:
                    UNANSWERED.labels("postgres").inc()
                    raise HotStoreUnavailable from error
            except asyncpg.DataError:
                raise
            except FAILURES as error:
                UNANSWERED.labels("postgres").inc()
                raise HotStoreUnavailable from error
        raise AssertionError

    async def _once(self, run: "Callable[[Connection], Awaitable[Any]]", seconds: float) -> Any:
        connection = await self._pool.acquire(timeout=min(seconds, CALL_TIMEOUT))
        try:
            return await run(connection)
        except TimeoutError:
            # A server that hangs does not answer a request to cancel either.
            connection.terminate()
            raise
        finally:
            await self._pool.release(connection)
