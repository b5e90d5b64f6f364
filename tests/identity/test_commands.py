"""`aicq user create`."""

import os
import pty
import sys
from contextlib import suppress
from pathlib import Path

import asyncpg
import bcrypt

from tests.people import PASSWORD
from tests.process.service import environment, run

FIND = "SELECT u.*, (SELECT acted_as FROM audit_logs WHERE action = 'users.register') AS acted_as FROM users u"


async def find(database_url: str) -> asyncpg.Record:
    connection = await asyncpg.connect(database_url)
    try:
        [row] = await connection.fetch(FIND)
    finally:
        await connection.close()
    return row


async def test_it_makes_an_admin_who_can_log_in(tmp_path: Path, database_url: str) -> None:
    words = ("user", "create", "ada@example.com", "--admin", "--username", "ada", "--display-name", "Ada L.")
    made = run(tmp_path, *words, piped=f"{PASSWORD}\n", DATABASE_URL=database_url)
    assert made.returncode == 0, made.stderr
    row = await find(database_url)
    assert made.stdout == f"{row['id']}  ada  admin\n"
    assert (row["email"], row["display_name"], row["acted_as"]) == ("ada@example.com", "Ada L.", "system")
    assert bcrypt.checkpw(PASSWORD.encode(), row["password_hash"].encode())


async def test_what_cannot_be_is_one_sentence(tmp_path: Path, database_url: str) -> None:
    def told(*words: str, password: str = PASSWORD) -> str:
        ended = run(tmp_path, "user", "create", *words, piped=f"{password}\n", DATABASE_URL=database_url)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert password not in ended.stderr
        return str(ended.stderr)

    assert told("nobody").startswith("aicq: email: ")
    assert told("a@x.io", password="short").startswith("aicq: password: ")
    assert told("a@x.io", password="é" * 37) == "aicq: password too long (max 72 bytes)\n"
    run(tmp_path, "user", "create", "a@x.io", piped=f"{PASSWORD}\n", DATABASE_URL=database_url)
    assert told("A@x.io") == "aicq: email is taken already\n"


def type_twice(command: list[str], settings: dict[str, str], typed: str) -> tuple[int, str]:
    """Runs a command on a terminal, answers its first two questions, and returns its end and what was shown."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], command, settings)  # noqa: S606 - the command itself
    shown = b""
    for question in (1, 2):
        # What is typed ahead of a question is thrown away.
        while shown.count(b": ") < question:
            shown += os.read(terminal, 1024)
        os.write(terminal, f"{typed}\n".encode())
    with suppress(OSError):  # how Linux tells that the other end is closed
        while more := os.read(terminal, 1024):
            shown += more
    return os.waitpid(child, 0)[1], shown.decode()


async def test_on_a_terminal_it_asks_twice_and_shows_nothing(tmp_path: Path, database_url: str) -> None:
    command = [sys.executable, "-m", "aicq", "user", "create", "ada@example.com"]
    ended, shown = type_twice(command, environment(tmp_path, {"DATABASE_URL": database_url}), PASSWORD)
    assert ended == 0, shown
    assert PASSWORD not in shown
    assert bcrypt.checkpw(PASSWORD.encode(), (await find(database_url))["password_hash"].encode())


async def test_without_a_schema_it_says_what_makes_one(tmp_path: Path) -> None:
    made = run(tmp_path, "user", "create", "a@x.io", piped=f"{PASSWORD}\n")
    assert made.returncode == 1
    assert "`aicq migrate up`" in made.stderr
