"""Services that are stopped when the test is over, and a Postgres that asks for passwords."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.process.service import Service

from aicq.db import account
from aicq.db.embedded import EmbeddedPostgres

PASSWORD = "correct-horse"

ROLES = f"""
CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE guests;
CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0;
CREATE DATABASE prepared;
CREATE DATABASE empty;
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


@pytest.fixture
def without_vector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Postgres that has no vector extension to install."""
    shipped = account.find_programs()
    with tempfile.TemporaryDirectory(prefix="aicq-programs-") as directory, pytest.MonkeyPatch.context() as patch:
        Path(directory).chmod(0o755)
        for part in (shipped.parents[1], shipped.parents[2] / f"{account.PACKAGE}.libs"):
            shutil.copytree(part, Path(directory) / part.name, ignore=shutil.ignore_patterns("vector*", "pginstall"))
        patch.setattr(account, "find_programs", lambda: directory / shipped.relative_to(shipped.parents[2]))
        with EmbeddedPostgres(tmp_path_factory.mktemp("plain"), max_connections=30) as postgres:
            yield postgres.url


async def _prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in filter(str.strip, ROLES.split(";")):
        await connection.execute(statement)
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
    prepared = await asyncpg.connect(url, database="prepared")
    await prepared.execute("CREATE EXTENSION vector")
    await prepared.close()
