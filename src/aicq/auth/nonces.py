"""Spending nonces in a request's own transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.auth.models import Nonce
from aicq.auth.principal import Principal
from aicq.auth.requests import NONCE_LIFE
from aicq.errors import ReplayedRequest

log = structlog.get_logger("aicq.auth")

FORGET_EVERY = 60.0

FORGET_LOCK = 4_117_436_673
"""Any number but the migrations' and the keeper's."""

# Without an index, which every post would pay for: once a minute one process reads a table of three minutes.
FORGET = text(
    "DELETE FROM nonces"
    " WHERE (SELECT pg_try_advisory_xact_lock(:lock)) AND spent_at < now() - make_interval(secs => :life)"
)


async def spend(session: AsyncSession, caller: Principal) -> None:
    """Spends the caller's nonce, if there is one, together with whatever else the session commits.

    Raises:
        ReplayedRequest: It is spent already.
    """
    if caller.nonce is None:
        return
    statement = insert(Nonce).values(actor_id=caller.id, nonce=caller.nonce).on_conflict_do_nothing()
    if (await session.execute(statement.returning(Nonce.actor_id))).first() is None:
        raise ReplayedRequest


async def is_spent(session: AsyncSession, caller: Principal) -> bool:
    """Whether the caller's nonce is spent already."""
    return caller.nonce is not None and await session.get(Nonce, (caller.id, caller.nonce)) is not None


async def forget_old(session: AsyncSession) -> None:
    """Drops nonces whose requests would be refused as too old, unless another process is at it."""
    await session.execute(FORGET, {"lock": FORGET_LOCK, "life": NONCE_LIFE})


@asynccontextmanager
async def forgetting_nonces(sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[None]:
    """Drops old nonces once a minute, for as long as the context is open."""
    task = asyncio.create_task(_forget_for_ever(sessions))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _forget_for_ever(sessions: async_sessionmaker[AsyncSession]) -> None:
    while True:
        await asyncio.sleep(FORGET_EVERY)
        try:
            async with sessions.begin() as session:
                await forget_old(session)
        except (DBAPIError, OSError) as error:
            log.warning("old nonces not dropped", error=type(error).__name__)
