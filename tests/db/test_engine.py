"""How Postgres is reached."""

import pytest
from sqlalchemy import text

from aicq.db.engine import connect_pool, create_engine

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
