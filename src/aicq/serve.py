"""`aicq serve`: the parent process. It makes ready what the workers need, watches over them, and clears up.

The port and the data directory are looked at before anything is started, and what was started is stopped in
reverse, whatever happens. If the parent is killed, the kernel stops the workers and Postgres.
"""

import asyncio
import gc
import os
import shutil
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from aicq import __version__, data_dir, logs
from aicq.db.embedded import EmbeddedPostgres, running_url
from aicq.db.reach import check, connections_needed, place
from aicq.errors import HotStoreUnavailable, StartError
from aicq.lifeline import die_with
from aicq.settings import Settings

if TYPE_CHECKING:
    from aicq.hot.choice import Choice

log = structlog.get_logger("aicq.serve")

APP = "aicq.app:from_environment"

BESIDE_WORKERS = 20
"""Connections for people and for the parent."""

OPEN_PER_WORKER = 10_000
"""Requests, streams and sockets that a worker holds open at a time; more wait to be accepted."""

FINISH_WITHIN = 30
"""Seconds that a worker gets to finish what is in flight."""

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to look, not where to listen


def serve(settings: Settings) -> None:
    """Serves until it is told to stop.

    Raises:
        StartError: It cannot; the sentence says why, and nothing is left running.
    """
    logs.configure(settings.log_level)
    gc.disable()  # nothing of what is imported from here on is ever freed; the workers turn it on again
    with ExitStack() as stack:
        stack.enter_context(_stoppable())
        address = free_address(settings.host, settings.port)
        stack.enter_context(data_dir.locked(settings.data_dir))
        settings = data_dir.with_secrets(settings)
        _share_metrics(settings)
        url = stack.enter_context(_own_database(settings))
        choice, lines = _make_ready(settings, url)
        free_address(settings.host, settings.port)  # somebody may have come first
        os.environ.update(_environment(settings, url, choice))
        _run_workers(settings, address, lines)


def _share_metrics(settings: Settings) -> None:
    """Has several workers count in common files; must be set before any of them imports the metrics' library."""
    if settings.workers == 1 or "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return
    directory = settings.data_dir / "metrics"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """The database's URL for a command beside `aicq serve`: the one given, or the embedded server's.

    The embedded server runs for as long as the context is open, unless a running `aicq serve` has it already.
    """
    with ExitStack() as stack:
        try:
            if settings.database_url is None:
                stack.enter_context(data_dir.locked(settings.data_dir))
        except data_dir.InUse:
            running = stack.enter_context(running_url(settings.data_dir))
            if running is None:
                raise
            yield running
        else:
            yield stack.enter_context(_own_database(settings))


@contextmanager
def _own_database(settings: Settings) -> Iterator[str]:
    if settings.database_url is not None:
        yield settings.database_url
        return
    with EmbeddedPostgres(settings.data_dir, connections_needed(settings) + BESIDE_WORKERS) as postgres:
        yield postgres.url


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turns the first signal to stop into an orderly exit; those that follow change nothing."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    yield


def free_address(host: str, port: int) -> str:
    """The address to listen on.

    Raises:
        StartError: Nobody can listen there, or somebody does already; granian would share the port unnoticed.
    """
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise StartError(f"HOST is no address of this machine: {host}.") from None
    with socket.socket(family, kind, protocol) as probe:
        # Passes over connections that are about to end, never over somebody who listens.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
            probe.listen()
        except PermissionError:
            raise StartError(f"Port {port} is reserved for the system; choose another with PORT.") from None
        except OSError as error:
            raise StartError(f"Nothing can listen on {host}:{port}: {(error.strerror or '').lower()}.") from None
    return str(target[0])


def _make_ready(settings: Settings, url: str) -> tuple["Choice", list[str]]:
    """Brings database and hot store to where the workers can start; the hot store chosen, and what there is to tell."""
    server = asyncio.run(check(url))
    from aicq.db.migrate import upgrade  # noqa: PLC0415 - takes a second to import; wrong settings are told before
    from aicq.memory.dimensions import check_dimensions  # noqa: PLC0415 - likewise

    upgrade(settings.migrations_path, url)
    asyncio.run(check_dimensions(url, settings.embedding_dimensions))
    choice, hot_store = asyncio.run(find_hot_store(settings))
    where = f"{settings.data_dir / 'pg'} (embedded)" if settings.database_url is None else place(url)
    token = settings.data_dir / data_dir.ADMIN_TOKEN
    return choice, [
        f"data         {where}, Postgres {server.version}",
        f"hot store    {hot_store}",
        f"admin token  {token if token.exists() else 'AICQ_ADMIN_TOKEN'}",
    ]


async def find_hot_store(settings: Settings) -> tuple["Choice", str]:
    """Chooses the hot store for all workers, and says which it is.

    Raises:
        StartError: Redis was demanded and does not answer.
    """
    from aicq.hot.choice import choose  # noqa: PLC0415 - wrong settings are told before

    choice = await choose(msgspec.structs.replace(settings, hot_store_chosen=""))
    if choice.kind == "postgres":
        return choice, "Postgres" + (" (degraded: Redis does not answer at REDIS_URL)" if choice.degraded else "")
    from aicq.hot.redis import RedisHotStore  # noqa: PLC0415 - not needed without Redis

    redis = RedisHotStore(settings.redis_url or "")
    try:
        return choice, (await redis.probe()).version.capitalize()
    except HotStoreUnavailable:
        return choice, "Redis"
    finally:
        await redis.close()


def _environment(settings: Settings, url: str, choice: "Choice") -> dict[str, str]:
    """What the workers are told beyond the environment that we were given."""
    return {
        "DATABASE_URL": url,
        "AICQ_DATA_DIR": str(settings.data_dir),
        "AICQ_ADMIN_TOKEN": settings.admin_token,
        "AICQ_SECRET_KEY": settings.secret_key,
        "AICQ_HOT_STORE_CHOSEN": choice.kind,
        "AICQ_WORKERS": str(settings.workers),
        "HOST": settings.host,
        "PORT": str(settings.port),
    }


def _run_workers(settings: Settings, address: str, lines: list[str]) -> None:
    from granian.constants import Interfaces, Loops  # noqa: PLC0415 - wrong settings are told before
    from granian.log import LogLevels  # noqa: PLC0415 - likewise
    from granian.server import Server  # noqa: PLC0415 - likewise

    server = Server(
        APP,
        factory=True,
        address=address,
        port=settings.port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=settings.workers,
        websockets=True,
        backlog=4096,
        backpressure=OPEN_PER_WORKER,
        log_level=LogLevels(settings.log_level),
        log_dictconfig=QUIET,
        respawn_failed_workers=True,
        workers_kill_timeout=FINISH_WITHIN,
    )
    logs.configure(settings.log_level)
    over = threading.Event()

    @server.on_startup
    def started() -> None:
        # A closed terminal means stop, not begin again.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, server.signal_handler_interrupt)
        threading.Thread(target=_announce, args=(settings, address, lines, over), daemon=True).start()

    try:
        server.serve(target_loader=partial(load_app, os.getpid(), settings.log_level))
    except SystemExit as error:
        if error.code and not server.interrupt_signal:
            raise StartError("The workers cannot work; what they logged says why.") from None
    finally:
        over.set()


QUIET: dict[str, Any] = {"handlers": {}, "formatters": {}, "loggers": {"_granian": {"handlers": []}}}
"""Granian's own lines go the way of all others."""


def load_app(parent: int, level: str, target: str) -> Callable[..., Any]:
    """Makes the app in a worker that has just been forked."""
    die_with(parent)
    # The terminal's Ctrl-C is for the parent alone, and until granian listens a stop is just the end.
    os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    logs.configure(level)
    module, _, name = target.partition(":")
    try:
        app: Callable[..., Any] = getattr(import_module(module), name)()
    except Exception:
        log.exception("the app cannot be made")
        sys.exit(1)
    gc.freeze()  # what is there now stays: collections need not look at it, and its pages stay shared
    # What lives long is streams, of many objects: to look them all over stops everything for 20 to 40 ms, so seldom.
    gc.set_threshold(10_000, 50, 5)
    gc.enable()
    return app


def _announce(settings: Settings, address: str, lines: list[str], over: threading.Event) -> None:
    """Tells people where everything is, once a worker answers."""
    host = WILDCARDS.get(address, address)
    url = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
    while not over.is_set():
        with suppress(urllib.error.HTTPError, OSError):
            urllib.request.urlopen(f"{url}/health/live", timeout=5).close()  # noqa: S310 - always http
            break
        time.sleep(0.02)
    else:
        return
    everywhere = " (all addresses)" if address in WILDCARDS else ""
    told = [f"AICQ {__version__}", f"listening    {url}{everywhere}", f"documents    {url}/docs", *lines]
    sys.stdout.write("\n  ".join(told) + "\n")
    sys.stdout.flush()
