"""Moves the schema up and down with alembic, under the advisory lock that `migrations/env.py` takes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from aicq.db.reach import check
from aicq.errors import StartError
from aicq.logs import masked

NO_RIGHT = "42501"
LOCKED = "55P03"


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema.

    Args:
        revision: Its number.
        purpose: What it does, in one sentence.
    """

    revision: str
    purpose: str


def upgrade(migrations: Path, database_url: str, revision: str = "head") -> None:
    """Moves the schema up to a revision; nothing happens if it is there already.

    Raises:
        StartError: The database refuses; the sentence says why, and the step that failed left nothing behind.
    """
    asyncio.run(check(database_url))
    _run(lambda: command.upgrade(_config(migrations, database_url), revision))


def downgrade(migrations: Path, database_url: str, revision: str) -> None:
    """Moves the schema down to a revision, or by steps such as `-1`, or to `base`, where nothing is left.

    Raises:
        StartError: The database refuses.
    """
    asyncio.run(check(database_url))
    _run(lambda: command.downgrade(_config(migrations, database_url), revision))


def known(migrations: Path) -> list[Migration]:
    """All migrations, oldest first."""
    scripts = ScriptDirectory.from_config(_config(migrations, ""))
    steps = [Migration(script.revision, script.doc.splitlines()[0]) for script in scripts.walk_revisions()]
    return steps[::-1]


def tell(migrations: Path, database_url: str) -> str:
    """Which migrations were made: a line for each, oldest first."""
    newest = asyncio.run(check(database_url)).revision
    lines = []
    made = bool(newest)
    for step in known(migrations):
        lines.append(f"{step.revision}  {'made   ' if made else 'pending'}  {step.purpose}")
        made = made and step.revision != newest
    return "\n".join(lines)


def _config(migrations: Path, database_url: str) -> Config:
    if not (migrations / "env.py").is_file():
        raise StartError(f"There are no migrations in {migrations}; MIGRATIONS_PATH says where they are.")
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config


def _run(migrate: Callable[[], None]) -> None:
    try:
        migrate()
    except CommandError as error:
        raise StartError(f"The schema cannot be moved: {masked(str(error)).rstrip('.')}.") from None
    except DBAPIError as error:
        raise StartError(_sentence(error)) from error


def _sentence(error: DBAPIError) -> str:
    state = getattr(error.orig, "sqlstate", None)
    reason = masked(str(error.orig).splitlines()[0].rpartition(">: ")[2]).rstrip(".")
    if state == NO_RIGHT:
        return f"The user in DATABASE_URL lacks a right that the migration needs: {reason}."
    if state == LOCKED:
        return "A migration waited 5 s for a table that is in use, and changed nothing; try again."
    return f"The migration failed and changed nothing: {reason}."
