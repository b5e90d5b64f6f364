"""Spent nonces are kept as long as their requests could come again, and no longer."""

from uuid import uuid4

import pytest
from sqlalchemy import text

from aicq.auth.nonces import forget_old, spend
from aicq.auth.principal import Principal
from aicq.auth.requests import MAX_AGE, MAX_SKEW, NONCE_LIFE
from aicq.db.engine import create_engine
from aicq.errors import ReplayedRequest

pytestmark = pytest.mark.anyio

AGE = text("UPDATE nonces SET spent_at = now() - make_interval(secs => :seconds) WHERE nonce = :nonce")


def test_a_nonce_is_kept_several_times_as_long_as_its_request_is_accepted() -> None:
    assert NONCE_LIFE * 1000 >= 5 * (MAX_AGE + MAX_SKEW)


async def test_only_old_nonces_are_dropped(database_url: str) -> None:
    engine = create_engine(database_url, name="test")
    old, fresh = Principal(uuid4(), nonce="old"), Principal(uuid4(), nonce="fresh")
    async with engine.connect() as connection:
        for caller in (old, fresh):
            await spend(connection, caller)  # type: ignore[arg-type] # a connection executes as a session does
        await connection.execute(AGE, {"seconds": NONCE_LIFE + 1, "nonce": "old"})
        await connection.execute(AGE, {"seconds": NONCE_LIFE - 1, "nonce": "fresh"})
        assert await forget_old(connection) == 1  # type: ignore[arg-type]
        assert (await connection.execute(text("SELECT nonce FROM nonces"))).scalars().all() == ["fresh"]
        with pytest.raises(ReplayedRequest):
            await spend(connection, fresh)  # type: ignore[arg-type]
        await spend(connection, old)  # type: ignore[arg-type]
    await engine.dispose()
