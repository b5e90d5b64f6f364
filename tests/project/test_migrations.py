"""Migrations: up from nothing, down to nothing, each step undone by its own way down, and the models they end with."""

import asyncio
import os
import re
import sys
from collections.abc import Iterator

import alembic.command
import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from aicq.app import metadata
from aicq.db.engine import create_engine
from aicq.db.migrate import downgrade, upgrade
from tests.project.catalog import snapshot
from tests.servers import ROOT, Databases

MIGRATIONS = ROOT / "migrations"

WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

COMPARED = ("table ", "relation ", "constraint ", "index ", "type ")
"""What models declare; functions, triggers and extensions stand in migrations alone."""


def alembic_config(url: str = "") -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = url
    return config


def revisions() -> list[str]:
    """All steps, the first one first."""
    return [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()][::-1]


@pytest.fixture
def empty(databases: Databases) -> Iterator[str]:
    """A database with nothing in it."""
    name = asyncio.run(databases.make_empty())
    yield databases.url(name)
    asyncio.run(databases.drop(name))


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def migrate_at_once(url: str, *, processes: int) -> list[tuple[int | None, str]]:
    """Has processes wait for the migrations' lock, then lets them go; their exit codes and what they said."""
    key = re.findall(r"^MIGRATION_LOCK = ([\d_]+)$", (MIGRATIONS / "env.py").read_text(), re.MULTILINE)[0]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"SELECT pg_advisory_lock({key})")
        started = [await start_alembic(url) for _ in range(processes)]
        async with asyncio.timeout(60):
            while await connection.fetchval(WAITING) < processes:  # noqa: ASYNC110 - they are other processes
                await asyncio.sleep(0.05)
        assert not await connection.fetchval("SELECT to_regclass('alembic_version')")
    finally:
        await connection.close()
    return [(process.returncode, told.decode()) for process in started for _, told in [await process.communicate()]]


async def start_alembic(url: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    environment = {**os.environ, "DATABASE_URL": url}
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE)


async def create_from_models(url: str) -> None:
    engine = create_engine(url, name="test")
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE EXTENSION vector"))
            await connection.run_sync(metadata().create_all)
    finally:
        await engine.dispose()


def test_names_and_chain_follow_the_numbers() -> None:
    files = sorted(path.name for path in (MIGRATIONS / "versions").glob("*.py"))
    assert [name[:4] for name in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert revisions() == [name[:4] for name in files]
    for script in ScriptDirectory.from_config(alembic_config()).walk_revisions():
        assert script.down_revision == (None if script.revision == "0001" else f"{int(script.revision) - 1:04}")


def test_down_to_base_leaves_nothing_and_up_works_again(empty: str) -> None:
    nothing = snapshot(empty)
    upgrade(MIGRATIONS, empty)
    full = snapshot(empty)
    assert "relation messages" in full
    downgrade(MIGRATIONS, empty, "base")
    assert snapshot(empty) == nothing
    upgrade(MIGRATIONS, empty)
    assert snapshot(empty) == full


def test_each_step_down_undoes_its_step_up(empty: str) -> None:
    before = {}
    for revision in revisions():
        before[revision] = snapshot(empty)
        upgrade(MIGRATIONS, empty, revision)
    full = snapshot(empty)
    for revision in reversed(revisions()):
        downgrade(MIGRATIONS, empty, "-1")
        assert snapshot(empty) == before[revision], f"the way down of {revision}"
    upgrade(MIGRATIONS, empty)
    assert snapshot(empty) == full


def test_rows_do_not_keep_a_step_from_going_down(empty: str) -> None:
    upgrade(MIGRATIONS, empty)
    asyncio.run(execute(empty, "INSERT INTO agents (public_key) VALUES ('key'); INSERT INTO rooms (name) VALUES ('r')"))
    downgrade(MIGRATIONS, empty, "base")
    assert "relation agents" not in snapshot(empty)


def test_three_processes_at_once_migrate_one_after_the_other(empty: str) -> None:
    told = asyncio.run(migrate_at_once(empty, processes=3))
    assert [code for code, _ in told] == [0, 0, 0], told
    assert snapshot(empty)["relation messages"] == "r p"


def test_models_and_migrations_agree(databases: Databases, empty: str) -> None:
    migrated = databases.url(asyncio.run(databases.make()))
    alembic.command.check(alembic_config(migrated))
    asyncio.run(create_from_models(empty))
    declared, stepped = snapshot(empty), snapshot(migrated)
    kept = {"relation alembic_version", "relation alembic_version_pkc", "table alembic_version.version_num"}
    of_alembic = {name for name in stepped if "alembic_version" in name}
    assert kept <= of_alembic
    assert {name: what for name, what in declared.items() if name.startswith(COMPARED)} == {
        name: what for name, what in stepped.items() if name.startswith(COMPARED) and name not in of_alembic
    }
