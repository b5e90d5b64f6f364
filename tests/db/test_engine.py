"""How Postgres is reached."""

import traceback

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from aicq.db.engine import connect_pool, create_engine, fetch

pytestmark = pytest.mark.anyio


async def test_libpqs_parameters_in_the_url_are_understood_by_engine_and_pool(database_url: str) -> None:
    url = database_url + ("&" if "?" in database_url else "?") + "sslmode=disable"
    engine = create_engine(url, name="test")
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT current_setting('application_name')")) == "test"
    await engine.dispose()
    pool = await connect_pool(url, name="test", size=1)
    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()


async def test_an_error_does_not_repeat_what_the_statement_was_given(database_url: str) -> None:
    engine = create_engine(database_url, name="test")
    given = "$2b$12$" + "hashed" * 2
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT :given FROM missing"), {"given": given})
    await engine.dispose()
    assert given not in "".join(traceback.format_exception(caught.value))


async def test_a_server_that_hangs_holds_up_no_read_after_the_first(database_url: str) -> None:
    pool = await connect_pool(database_url, name="test", size=1)
    with pytest.raises(TimeoutError):
        await fetch(pool, "SELECT pg_sleep(30)", seconds=0.1)
    assert [tuple(row) for row in await fetch(pool, "SELECT 1")] == [(1,)]
    await pool.close()
