"""What an app leaves behind when it stops: nothing."""

import asyncio

import asyncpg
import pytest
from litestar import Litestar

from tests.agents import bodies, read, register
from tests.conftest import PATIENCE, running

OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def hot_kind() -> str:
    return "postgres"


async def test_an_app_that_stopped_holds_no_connection_and_can_be_started_again(
    app: Litestar, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    for text in ("first", "second"):
        async with running(app) as http:
            await (await register(http)).post(text)
        async with asyncio.timeout(PATIENCE):
            while await database.fetchval(OTHERS):  # noqa: ASYNC110 - a server sets no event
                await asyncio.sleep(0.01)
    async with running(app) as http:
        assert bodies(await read(http)) == ["second", "first"]
