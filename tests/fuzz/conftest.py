"""A served app over each hot store."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.conftest import RAISED_LIMITS
from tests.fuzz.world import World
from tests.process.service import Service
from tests.servers import Databases

TOKEN = "an admin token for fuzzing"


@pytest.fixture(scope="module", params=["redis", "postgres"])
def world(
    request: pytest.FixtureRequest, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A service of its own, somebody who asks it, and what there is to ask for."""
    name = asyncio.run(databases.make())
    settings = {"DATABASE_URL": databases.url(name), "AICQ_ADMIN_TOKEN": TOKEN, "LOG_LEVEL": "warning"}
    if request.param == "redis":
        settings["REDIS_URL"] = request.getfixturevalue("shared_redis_url")
    service = Service(tmp_path_factory.mktemp(request.param), **settings, **RAISED_LIMITS)
    try:
        service.start()
        yield World(request.param, service.url, TOKEN)
    finally:
        service.end()
        asyncio.run(databases.drop(name))
