"""The embedded Postgres: a server of our own in the data directory, for a start without any servers.

One process at a time runs it, the one that holds the data directory's lock. It listens on a socket in a
private directory and nowhere else. The programs come from a wheel; who runs them is `account.py`'s concern.
"""

import asyncio
import contextlib
import enum
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import asyncpg
import structlog

from aicq.db.account import POSTGRES_VERSION, Account
from aicq.errors import StartError

log = structlog.get_logger("aicq.postgres")

DATABASE = "aicq"
"""The name of the database, and of the role that owns it."""

SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 103
"""Bytes that every system allows; Linux allows four more."""

LONGEST_LOG = 10_000_000
"""Bytes of the server's log that are kept when it starts."""

PATIENCE = 60.0
"""Seconds that the server gets to stop."""

ATTENTION = 5.0
"""Seconds that a server on our data may leave our socket unanswered before it counts as somebody else's."""

POLL = 0.02

UNREACHABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""A connection that was refused, lost or timed out."""

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "cluster_name": "aicq",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "1GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """A Postgres server in `data_dir/pg`, started and stopped with this object and restarted when it dies.

    Args:
        data_dir: The data directory, whose lock the caller holds.
        max_connections: As many as all workers' pools can open, and some for people.
    """

    def __init__(self, data_dir: Path, max_connections: int) -> None:
        self._directory = data_dir / "pg"
        self._sockets = data_dir / "run"
        self._log_path = data_dir / "postgres.log"
        self._max_connections = max_connections
        self._resources = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._launching = threading.Lock()
        self._supervisor = threading.Thread(target=self._supervise, name="postgres-supervisor", daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server, and makes its files if there are none; returns when it answers.

        Raises:
            StartError: It cannot be started; the sentence says why.
        """
        try:
            self._prepare()
            self._launch()
            self._await_answer()
            asyncio.run(_create_database(self.url))
        except OSError as error:
            self.stop()
            raise StartError(f"The embedded Postgres cannot work in {self._directory}: {error.strerror}.") from error
        except BaseException:
            self.stop()
            raise
        self._supervisor.start()

    def stop(self) -> None:
        """Stops the server: open transactions are rolled back, all is written, nothing is left behind."""
        with self._launching:
            self._stopping.set()
        if self._process is not None:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, at any price
                self._process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(PATIENCE)
                    break
        if self._supervisor.is_alive():
            self._supervisor.join()
        self._resources.close()

    def _prepare(self) -> None:
        self._account = Account(owner=self._directory.stat().st_uid if self._directory.exists() else 0)
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        short = self._resources.enter_context(short_path(self._sockets))
        self.url = socket_url(short)
        self._account.own(self._sockets)
        if self._directory.exists():
            self._account.own(self._directory)
            self._end_leftover()
        else:
            self._initialise()
        version = (self._directory / "PG_VERSION").read_text().strip()
        if version != str(POSTGRES_VERSION):
            raise StartError(f"{self._directory} was written by Postgres {version}, and this is {POSTGRES_VERSION}.")
        (self._data, self._listen), self._descriptors = self._resources.enter_context(
            self._account.reaching(self._directory, short)
        )

    def _initialise(self) -> None:
        """Makes the server's files beside their place and moves them there, so that they are never half there."""
        half = self._directory.with_name("pg.new")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        self._account.own(half)
        words = ["--username", DATABASE, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        words += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-instructions"]
        with self._account.reaching(half) as ([path], descriptors), self._open_log() as output:
            process = self._account.start("initdb", ["-D", path, *words], descriptors=descriptors, output=output)
            if process.wait() != 0:
                raise StartError(f"Postgres cannot make its files: {self._last_words()}")
        half.rename(self._directory)

    def _end_leftover(self) -> None:
        """Stops a server that was left on our data by a process that was killed, if there is one."""
        file = self._directory / "postmaster.pid"
        if (pid := _pid_in(file)) is not None:
            self._stop_left_behind(pid, file)
            _disown(file)
        _end_orphans(self._directory)

    def _stop_left_behind(self, pid: int, file: Path) -> None:
        deadline = time.monotonic() + ATTENTION
        while _is_postgres_in(self._directory, pid):
            state = asyncio.run(_ask(self.url, file))
            if state is State.OURS:
                log.info("stopping a Postgres that was left behind", pid=pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
            if state is not State.NONE:  # it is ours or about to start or stop on our socket
                deadline = time.monotonic() + ATTENTION
            if time.monotonic() > deadline:
                raise StartError(f"Another Postgres, process {pid}, works on {self._directory}; stop it first.")
            time.sleep(POLL)

    def _launch(self) -> None:
        options = {
            **OPTIONS,
            "max_connections": str(self._max_connections),
            "unix_socket_directories": self._listen,
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with self._launching, self._open_log() as output:
            if self._stopping.is_set():
                return
            self._process = self._account.start(
                "postgres", ["-D", self._data, *words], descriptors=self._descriptors, output=output
            )

    def _await_answer(self) -> None:
        """Waits as long as it takes: after a crash Postgres reads its log again before it answers."""
        assert self._process is not None  # noqa: S101 - both callers have launched it
        told = time.monotonic()
        while not asyncio.run(_is_answering(self.url)):
            if self._process.poll() is not None:
                raise StartError(f"Postgres does not start: {self._last_words()}")
            if time.monotonic() - told > 10:  # noqa: PLR2004 - now and then
                told = time.monotonic()
                log.info("Postgres is recovering")
            time.sleep(POLL)

    def _supervise(self) -> None:
        while self._process is not None:
            code = self._process.wait()
            if self._stopping.is_set():
                return
            log.error("Postgres died and is started again", code=code)
            self._restart()

    def _restart(self) -> None:
        pause = 0.1
        while not self._stopping.is_set():
            try:
                _end_orphans(self._directory)
                self._launch()
                self._await_answer()
            except (StartError, OSError) as error:
                log.error("Postgres does not start", error=str(error))  # noqa: TRY400 - the sentence says it all
                self._stopping.wait(pause)
                pause = min(2 * pause, 5.0)
            else:
                log.info("Postgres is back")
                return

    def _open_log(self) -> IO[bytes]:
        if self._log_path.exists() and self._log_path.stat().st_size > LONGEST_LOG:
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        descriptor = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "wb")

    def _last_words(self) -> str:
        """The reason that the server gave last, without the time and the process."""
        with contextlib.suppress(OSError):
            for line in reversed(self._log_path.read_text(errors="replace").splitlines()[-50:]):
                for mark in ("FATAL:", "PANIC:", "error:"):
                    if mark in line:
                        return f"{line.partition(mark)[2].strip()} (see {self._log_path})."
        return f"see {self._log_path}."


@contextlib.contextmanager
def short_path(directory: Path) -> Iterator[Path]:
    """A path to the directory that a socket's name fits behind: its own, or a link in a private directory."""
    if len(os.fsencode(directory / SOCKET)) <= LONGEST_SOCKET_PATH:
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="aicq-") as private:
        link = Path(private) / "s"
        link.symlink_to(directory)
        yield link


def socket_url(directory: Path) -> str:
    """The URL of the embedded server that listens in this directory."""
    return f"postgresql://{DATABASE}@/{DATABASE}?host={quote(str(directory), safe='/')}"


@contextlib.contextmanager
def running_url(data_dir: Path) -> Iterator[str | None]:
    """The URL of the server that another process runs on this data directory; None if there is none."""
    with short_path(data_dir / "run") as short:
        url = socket_url(short)
        yield url if asyncio.run(_ask(url, data_dir / "pg" / "postmaster.pid")) is State.OURS else None


class State(enum.Enum):
    """What answers on our socket."""

    NONE = enum.auto()
    BUSY = enum.auto()
    OURS = enum.auto()


async def _ask(url: str, file: Path) -> State:
    """Tells whether the server on our socket works on our data: it has to read us our own pid file."""
    try:
        connection = await asyncpg.connect(url, database="postgres", timeout=PATIENCE)
    except asyncpg.CannotConnectNowError:
        return State.BUSY
    except UNREACHABLE:
        return State.NONE
    try:
        told = await connection.fetchval("SELECT pg_read_file('postmaster.pid')")
    except UNREACHABLE:
        return State.BUSY
    finally:
        connection.terminate()
    return State.OURS if told == await asyncio.to_thread(_text_of, file) else State.NONE


def _text_of(file: Path) -> str | None:
    return file.read_text() if file.exists() else None


async def _is_answering(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, database="postgres", timeout=PATIENCE)
    except asyncpg.TooManyConnectionsError:
        return True
    except UNREACHABLE:
        return False
    await connection.close()
    return True


async def _create_database(url: str) -> None:
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.InvalidCatalogNameError:
        connection = await asyncpg.connect(url, database="postgres")
        await connection.execute(f"CREATE DATABASE {DATABASE}")
    await connection.close()


def _pid_in(file: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        return int(file.read_text().splitlines()[0])
    return None


def _disown(file: Path) -> None:
    """Makes the pid file of a server that is gone say so, whoever has its number now.

    Postgres takes any process of its user with that number for a running server and refuses to start. The number
    of its own parent it takes for a server that is gone, and it still looks whether that server's memory is in use.
    """
    with contextlib.suppress(FileNotFoundError):
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join([f"{os.getpid()}\n".encode(), *lines[1:]]))


def _is_postgres_in(directory: Path, pid: int) -> bool:
    """Whether this process is a Postgres that works in this directory; the number alone proves nothing."""
    process = Path(f"/proc/{pid}")
    if process.parent.is_dir():
        try:
            is_postgres = (process / "exe").readlink().name.startswith("postgres")
            return is_postgres and (process / "cwd").samefile(directory)
        except OSError:
            return False
    command = ["/bin/ps", "-p", str(pid), "-o", "command="]  # where there is no /proc
    told = subprocess.run(command, check=False, capture_output=True, text=True).stdout  # noqa: S603 - fixed words
    return "postgres" in told and str(directory) in told


def _end_orphans(directory: Path) -> None:
    """Ends what a killed server left running; a new one refuses to start beside it."""
    deadline = time.monotonic() + PATIENCE
    while orphans := [pid for pid in _processes() if _is_postgres_in(directory, pid)]:
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
        if time.monotonic() > deadline:
            raise StartError(f"A Postgres that was killed has left process {orphans[0]} on {directory}.")
        time.sleep(POLL)


def _processes() -> list[int]:
    proc = Path("/proc")
    return [int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()] if proc.is_dir() else []
