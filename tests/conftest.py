"""What all tests share: the event loop, the servers, a fresh database, and the app over each hot store."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import hypothesis
import pytest
import redis
from litestar import Litestar

from aicq.app import create_app
from aicq.settings import DEFAULT_RATES, Settings, load
from tests.servers import Databases, postgres_server, redis_server

PATIENCE = 10.0

RAISED_LIMITS = {"RATE_LIMITS": ",".join(f"{rule}={10**8 if rule == 'bytes' else 10**5}/60" for rule in DEFAULT_RATES)}

# The servers set the pace, so time says nothing about a property.
hypothesis.settings.register_profile(
    "aicq",
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("aicq")


# Making an app makes many objects, most of which stay; looking them over each time is a third of what it takes.
gc.set_threshold(10_000)


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


@pytest.fixture(params=[pytest.param("redis"), pytest.param("postgres")])
def hot_kind(request: pytest.FixtureRequest) -> str:
    """The hot store that the app uses."""
    kind: str = request.param
    return kind


@pytest.fixture
def environment() -> Mapping[str, str]:
    """What the app's environment says besides where its servers are: limits that are out of the way."""
    return RAISED_LIMITS


@pytest.fixture
def settings(
    database_url: str,
    hot_kind: str,
    environment: Mapping[str, str],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    """What the app, and every other worker beside it, runs with."""
    servers = {"DATABASE_URL": database_url, "AICQ_DATA_DIR": str(tmp_path_factory.getbasetemp())}
    if hot_kind == "redis":
        servers["REDIS_URL"] = request.getfixturevalue("redis_url")
    return load({**servers, **environment})


class Apps:
    """Apps by what they run with, started again by each test: to make one takes longer than most tests."""

    def __init__(self) -> None:
        self._made: dict[str, Litestar] = {}

    def get(self, settings: Settings, worker: int = 1) -> Litestar:
        """The app of a worker; it does not run."""
        name = f"{worker} {settings}"
        if name not in self._made:
            self._made[name] = create_app(settings)
            gc.freeze()  # it stays, so nobody has to look it over again
        return self._made[name]


@pytest.fixture(scope="session")
def apps() -> Apps:
    """The apps that this process has made."""
    return Apps()


@pytest.fixture
def app(apps: Apps, settings: Settings, request: pytest.FixtureRequest) -> Litestar:
    """The app, which `http` starts."""
    if "another_worker" in request.fixturenames:
        apps.get(settings, 2)  # made before the first runs, which would be stopped by it for longer than Redis may take
    return apps.get(settings)


@asynccontextmanager
async def running(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Calls an app, once its hot store holds what the log says."""
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type] # Litestar types its scopes more narrowly
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        async with asyncio.timeout(PATIENCE):
            while (await client.get("/health")).json()["checks"]["hot_store"]["status"] != "pass":  # noqa: ASYNC110 - asked from outside, like any client
                await asyncio.sleep(0.01)
        yield client


@pytest.fixture
async def http(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the app."""
    async with running(app) as client:
        yield client


@pytest.fixture
async def another_worker(http: httpx.AsyncClient, apps: Apps, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - it comes after the first
    """Calls a second app on the same servers."""
    async with running(apps.get(settings, 2)) as client:
        yield client


@pytest.fixture
async def database(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to the app's database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
