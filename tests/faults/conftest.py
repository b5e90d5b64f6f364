"""Services with two workers over each hot store; scenarios share them, and each begins with a healthy one."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from aicq.db.embedded import socket_url
from tests.faults.house import UNLIMITED, House
from tests.faults.proxy import CuttingProxy
from tests.process.service import Service
from tests.servers import Databases, RedisServer

Kind = Literal["redis", "postgres"]


@contextmanager
def standing(kind: Kind, proxy: CuttingProxy | None = None, database_url: str = "") -> Iterator[House]:
    """A service with two workers on its own Postgres, or behind a proxy on a given one."""
    # A path that is short enough for any socket's.
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aicq-faults-")))
        home.chmod(0o755)
        settings = {"AICQ_WORKERS": "2", "RATE_LIMITS": UNLIMITED, "LOG_LEVEL": "warning", "AICQ_HOT_STORE": kind}
        redis = None
        if kind == "redis":
            (home / "redis").mkdir()
            redis = stack.enter_context(RedisServer(home / "redis"))
            settings["REDIS_URL"] = redis.url
        if proxy is not None:
            settings["DATABASE_URL"] = proxy.url
        service = Service(home, **settings)
        stack.callback(service.end)
        service.start()
        yield House(kind, service, database_url or socket_url(service.data / "run"), redis)


@pytest.fixture(scope="session")
def house_on_redis() -> Iterator[House]:
    with standing("redis") as house:
        yield house


@pytest.fixture(scope="session")
def house_on_postgres() -> Iterator[House]:
    with standing("postgres") as house:
        yield house


@pytest.fixture(params=["redis", "postgres"])
def house(request: pytest.FixtureRequest) -> House:
    """Each of the houses."""
    house: House = request.getfixturevalue(f"house_on_{request.param}")
    return house


@pytest.fixture(scope="module")
def proxied_url(databases: Databases) -> Iterator[str]:
    """A database behind a proxy."""
    name = asyncio.run(databases.make())
    yield databases.url(name)
    asyncio.run(databases.drop(name))


@pytest.fixture(scope="module")
def proxy(proxied_url: str) -> Iterator[CuttingProxy]:
    with (
        tempfile.TemporaryDirectory(prefix="aicq-proxy-") as directory,
        CuttingProxy(proxied_url, Path(directory)) as proxy,
    ):
        yield proxy


@pytest.fixture(scope="module", params=["redis", "postgres"])
def house_behind_a_proxy(request: pytest.FixtureRequest, proxy: CuttingProxy, proxied_url: str) -> Iterator[House]:
    with standing(request.param, proxy, proxied_url) as house:
        yield house
