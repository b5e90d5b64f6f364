"""What all tests share: the event loop, the servers, a fresh database."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import hypothesis
import pytest
import redis

from tests.servers import Databases, postgres_server, redis_server

# The servers set the pace, so time says nothing about a property.
hypothesis.settings.register_profile(
    "aicq",
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("aicq")


def pytest_configure(config: pytest.Config) -> None:
    config.option.anyio_mode = "auto"


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """A Postgres server with a migrated template."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as url:
        databases = Databases(url)
        with databases.migrated():
            yield databases


@pytest.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """A migrated database for one test."""
    name = await databases.make()
    yield databases.url(name)
    await databases.drop(name)


@pytest.fixture(scope="session")
def shared_redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The session's Redis; `redis_url` is the one to use."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(shared_redis_url: str) -> Iterator[str]:
    """An empty Redis database for one test."""
    with redis.Redis.from_url(shared_redis_url) as client:
        client.flushdb()
        yield shared_redis_url
        client.flushdb()
