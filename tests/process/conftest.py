"""Services that are stopped when the test is over, and a Postgres that asks for passwords."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from aicq.db.embedded import EmbeddedPostgres
from tests.process.service import Service

PASSWORD = "correct-horse"

ROLES = f"""
CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE guests;
CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0;
CREATE DATABASE prepared;
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services that share a home."""
    made: list[Service] = []

    def make(**settings: str) -> Service:
        made.append(Service(tmp_path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket directory of a Postgres where `guest` needs a password and may do little; `aicq` may do all."""
    home = tmp_path_factory.mktemp("guarded")
    with EmbeddedPostgres(home, max_connections=60) as postgres:
        rules = "local all guest scram-sha-256\nlocal all all trust\n"
        (home / "pg" / "pg_hba.conf").write_text(rules)
        asyncio.run(_prepare(postgres.url))
        yield postgres.url.partition("host=")[2]


async def _prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in filter(str.strip, ROLES.split(";")):
        await connection.execute(statement)
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
    prepared = await asyncpg.connect(url, database="prepared")
    await prepared.execute("CREATE EXTENSION vector")
    await prepared.close()
