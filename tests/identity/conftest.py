"""A connection to a migrated database."""

from collections.abc import AsyncIterator

import asyncpg
import pytest


@pytest.fixture
async def database(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to the test's database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
