"""Logs: one line of JSON per event on stderr, ours and the libraries' alike, without secrets.

What a key calls a secret is masked, and so is what looks like one anywhere in the line: the login in a URL, a
bearer token, a password in a connection string, a bcrypt hash, and the detail of a Postgres error, which repeats rows.
The latter is done on the finished bytes, tracebacks included.
"""

import asyncio
import logging
import os
import re
import select
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any

import msgspec
import structlog

STDERR = 2

MASK = "***"

SECRET_KEYS = re.compile(r"(?i)authorization|passw|secret|token$|cookie|dsn$|private.?key|api.?key|room.?key")

# The second form is for passwords that should have been escaped and hold a slash or an @.
SECRETS = re.compile(
    rb"""(?i)(?<=://)[^\s"'<>/?#\\]*@ | (?<=://)[^\s"'<>/?#@:\\]*:[^\s"'<>\\]*@ | (?<=\bbearer\ )[\w.~+/=-]+ |
    (?<=\bpassword=)[^\s"'&;\\]+ | \$2[abxy]?\$\d\d\$[\w./]{53}""",
    re.VERBOSE,
)

# What Postgres tells in detail goes on to the next of its parts, to the next exception, or to the end of the text. In a
# line of JSON a new line is written as two characters, and a quote is the end.
DETAIL = re.compile(
    rb"""(?<=DETAIL:) (?:[^"\\] | \\.)*? (?=
        (?:\n|\\n) [ |]* (?:HINT: | \[SQL: | \(Background | Traceback | The\ above | During) | " | \Z)""",
    re.VERBOSE,
)

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def configure(level: str = "info") -> None:
    """Sends every event from this level on to stderr; may be called again, in a new process for instance."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=NamedLoggers(),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers = [Bridge()]
    # Libraries speak up when something is wrong; their debug lines hold whatever they were given.
    root.setLevel(max(number, logging.WARNING))


def masked(text: str) -> str:
    """The text without what looks like a secret in it."""
    return mask_line(text.encode(errors="replace")).decode()


def mask_line(line: bytes) -> bytes:
    """Masks logins in URLs, bearer tokens, passwords of connection strings, hashes, and what Postgres tells of rows."""
    if b"DETAIL:" in line:
        line = DETAIL.sub(b" ***", line)
    if b"://" in line or b"earer " in line or b"assword=" in line or b"$2" in line:
        return SECRETS.sub(lambda match: b"***@" if match[0].endswith(b"@") else b"***", line)
    return line


def render(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    """Turns an event into its line; the last processor, and the only one that costs."""
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": "error" if method == "exception" else method,
        "logger": logger.name,
    }
    for key, value in event.items():
        if key == "exc_info":
            line["exception"] = _traceback(value)
        else:
            line[key] = _masked_value(key, value)
    return mask_line(_encode(line))


def _masked_value(key: str, value: Any) -> Any:
    if is_secret(key):
        return MASK if value else value
    if isinstance(value, dict):
        return {str(inner): _masked_value(str(inner), each) for inner, each in value.items()}
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value


@lru_cache(maxsize=1024)
def is_secret(key: str) -> bool:
    """Whether what goes by this name is nobody's business."""
    return SECRET_KEYS.search(key) is not None


Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def _traceback(info: BaseException | Raised | bool | None) -> str | None:  # noqa: FBT001 - structlog's own form
    if isinstance(info, BaseException):
        return "".join(traceback.format_exception(info))
    raised = info if isinstance(info, tuple) else sys.exc_info() if info else None
    return "".join(traceback.format_exception(*raised)) if raised and raised[0] else None


class Access(msgspec.Struct, omit_defaults=True):
    """The line of one request, in the order it is read."""

    time: str
    level: str
    logger: str
    event: str
    request_id: str
    method: str
    path: str
    status: int
    ms: float
    agent: str = ""


def write_access(*, request_id: str, method: str, path: str, status: int, ms: float, agent: str) -> None:
    """Writes the line of one request; written for each, it goes without the steps that other events need."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = Access(now, "info", "aicq.access", "request", request_id, method, path, status, ms, agent)
    ACCESS.msg(mask_line(_encode(line)))


class Line:
    """Writes lines to stderr for one name, each in one call, so that those of several processes do not mix.

    Without a lock: one that another thread holds while a worker is forked would be held in the worker for ever.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, line: bytes) -> None:
        """Writes a line; if nobody can read it any more, the work goes on without it."""
        with suppress(OSError):
            os.write(STDERR, line + b"\n")

    debug = info = warning = error = critical = exception = msg


class AccessLines(Line):
    """Writes what one turn of the event loop has to tell in one call, or in a few.

    A call never writes more than a pipe takes at once, so that lines of several processes do not mix.
    """

    def __init__(self) -> None:
        super().__init__("aicq.access")
        self._waiting: list[bytes] = []
        self._size = 0

    def msg(self, line: bytes) -> None:
        """Writes a line when the turn is over."""
        if self._size + len(line) >= select.PIPE_BUF:
            self._write()
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append(line)
        self._size += len(line) + 1

    def _write(self) -> None:
        if self._waiting:
            super().msg(b"\n".join(self._waiting))
            self._waiting.clear()
            self._size = 0


ACCESS = AccessLines()


class NamedLoggers:
    """Makes the logger behind `structlog.get_logger(name)`."""

    def __call__(self, name: str = "aicq") -> Line:
        """The logger of that name."""
        return Line(name)


class Bridge(logging.Handler):
    """Brings what libraries log to the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hands a record on."""
        try:
            details = {"exc_info": record.exc_info} if record.exc_info else {}
            structlog.get_logger(record.name).log(record.levelno, record.getMessage(), **details)
        except Exception:  # noqa: BLE001 - a line that cannot be written must not end what it tells of
            self.handleError(record)
