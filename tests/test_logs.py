"""Log lines: one JSON object each, without secrets, ours and the libraries' alike."""

import json
import subprocess
import sys
from typing import Any

import pytest

from aicq.logs import is_secret, masked

PROGRAM = """
import logging, structlog, warnings
from aicq import logs
logs.configure("{level}")
log = structlog.get_logger("aicq.test")
{body}
"""


def lines_of(body: str, level: str = "info") -> list[dict[str, Any]]:
    """What a program that does this writes to stderr."""
    program = PROGRAM.format(level=level, body=body)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_an_event_is_one_line() -> None:
    [line] = lines_of("log.info('request', status=200, path='/room/x', agent=None, of=ValueError)")
    assert line["time"].endswith("+00:00")
    assert (line["level"], line["logger"], line["event"]) == ("info", "aicq.test", "request")
    assert (line["status"], line["path"], line["agent"]) == (200, "/room/x", None)


def test_the_level_filters() -> None:
    body = "log.debug('a'); log.info('b'); log.warning('c'); logging.getLogger('lib').info('d')"
    assert [line["event"] for line in lines_of(body, "warning")] == ["c"]
    assert [line["event"] for line in lines_of(body, "debug")] == ["a", "b", "c"]


def test_libraries_and_warnings_write_the_same_lines() -> None:
    warned, told = lines_of("warnings.warn('careful'); logging.getLogger('lib').error('failed: %s', 7)")
    assert (warned["logger"], warned["level"]) == ("py.warnings", "warning")
    assert (told["logger"], told["level"], told["event"]) == ("lib", "error", "failed: 7")


def test_a_traceback_stays_within_its_line_and_holds_no_login() -> None:
    body = """
try:
    raise OSError("no route to postgresql://me:hunter2@db.example/aicq")
except OSError as error:
    log.error("lost", exc_info=error)
    log.exception("lost")
    logging.getLogger("lib").exception("lost")
"""
    for line in lines_of(body):
        assert "OSError: no route to postgresql://***@db.example/aicq" in line["exception"]
        assert line["level"] == "error"


async def test_what_postgres_tells_of_rows_stays_out_of_the_log(database_url: str) -> None:
    hashed = "$2b$12$" + "a" * 53
    body = f"""
import asyncio, asyncpg
from sqlalchemy import text
from aicq.db.engine import create_engine

async def insert(name):
    engine = create_engine({database_url!r}, name="test")
    try:
        async with engine.connect() as connection:
            await connection.execute(text(
                "INSERT INTO rooms (name, kind, is_private, key_hash) VALUES (:name, 'dm', false, :hash)"
            ), {{"name": name, "hash": "{hashed}"}})
    except Exception as error:
        log.error("failed", exc_info=error)
        log.error("failed", told=str(error.orig.__cause__), hash="{hashed}")
    finally:
        await engine.dispose()

asyncio.run(insert('a "name"\\nHINT of more than one line'))
"""
    traced, told = lines_of(body)
    for text in (traced["exception"], told["told"]):
        assert 'violates check constraint "ck_rooms_only_plain_rooms_are_public"\nDETAIL: ***' in text
    assert "[SQL: INSERT INTO rooms" in traced["exception"]
    assert "The above exception was the direct cause" in traced["exception"]
    assert not {
        part for line in (traced, told) for part in ("a" * 53, "a name", "more than one line") if part in str(line)
    }
    assert told["hash"] == "***"


def test_values_of_secret_names_are_masked() -> None:
    [line] = lines_of("log.info('x', password='a', headers={'Authorization': 'b', 'accept': 'c'}, token='', tokens=12)")
    assert line["password"] == "***"
    assert line["headers"] == {"Authorization": "***", "accept": "c"}
    assert (line["token"], line["tokens"]) == ("", 12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me:hunter2@db/aicq", "postgresql://***@db/aicq"),
        ("redis://:hunter2@cache:6379/0", "redis://***@cache:6379/0"),
        ("postgresql://me:hun/te@r2@db/aicq", "postgresql://***@db/aicq"),
        ("https://example.org/a@b", "https://example.org/a@b"),
        ("http://127.0.0.1:8080/docs", "http://127.0.0.1:8080/docs"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("host=db password=hunter2 user=me", "host=db password=*** user=me"),
        ("hash: $2b$12$" + "./Az09" * 8 + "abcde, of a key", "hash: ***, of a key"),
        ("failed\nDETAIL:  Key (email)=(a@b.c) exists.\nIt does.\nHINT:  none", "failed\nDETAIL: ***\nHINT:  none"),
        ("failed\nDETAIL:  Key (email)=(a@b.c) exists.", "failed\nDETAIL: ***"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_logins_are_masked_wherever_they_stand(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize("name", ["password", "POSTGRES_PASSWORD", "admin_token", "api-key", "X-Room-Key", "cookie"])
def test_secret_names(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["tokens", "key", "path", "monkey", "request_id"])
def test_names_that_are_no_secrets(name: str) -> None:
    assert not is_secret(name)


def test_a_line_costs_little() -> None:
    body = """
import time
fields = {"method": "GET", "path": "/room/x", "status": 200, "ms": 1.2, "request_id": "0b0762237127a6c1"}
started = time.perf_counter()
for _ in range(2000):
    log.info("request", **fields)
log.info("cost", each=(time.perf_counter() - started) / 2000)
"""
    assert min(lines_of(body)[-1]["each"] for _ in range(3)) < 100e-6  # 13 us on a quiet machine


def test_the_lines_of_requests_that_end_together_are_written_together_but_never_more_than_a_pipe_takes() -> None:
    body = """
import asyncio, os
writes, write = [], os.write
os.write = lambda file, line: writes.append(len(line)) or write(file, line)
async def answer():
    for number in range(100):
        logs.write_access(request_id="r", method="GET", path="/room/x", status=200, ms=number, agent="")
asyncio.run(answer())
log.info("writes", sizes=writes)
"""
    *requests, told = lines_of(body)
    assert [line["ms"] for line in requests] == list(range(100))
    assert len(told["sizes"]) < 10
    assert max(told["sizes"]) <= 4096
