"""Spending nonces in a request's own transaction."""

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.auth.models import Nonce
from aicq.auth.principal import Principal
from aicq.auth.requests import NONCE_LIFE
from aicq.errors import ReplayedRequest
from aicq.housekeeping import MINUTE, Chore

# Without an index, which every post would pay for: once a minute one process reads a table of three minutes. By the
# server's clock, which has told when they were spent.
FORGET = text("DELETE FROM nonces WHERE spent_at < now() - make_interval(secs => :life) RETURNING 1")


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


async def forget_old(session: AsyncSession) -> int:
    """Drops nonces whose requests would be refused as too old, and returns how many."""
    return len((await session.execute(FORGET, {"life": NONCE_LIFE})).all())


def chore(sessions: async_sessionmaker[AsyncSession]) -> Chore:
    """Drops old nonces once a minute."""

    async def forget(_now: int) -> int:
        async with sessions.begin() as session:
            return await forget_old(session)

    return Chore("old nonces", MINUTE, forget)
