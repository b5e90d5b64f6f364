"""Reaches Postgres and looks whether AICQ can live there; every failure is one sentence without a secret."""

import socket
import ssl
from urllib.parse import unquote, urlsplit

import asyncpg
import msgspec

from aicq.errors import StartError
from aicq.settings import Settings

OLDEST = 150_000
"""The oldest Postgres that will do, as the server numbers itself."""

OLDEST_VECTOR = (0, 8)
"""The oldest vector extension that will do: it goes on through its index until it has found enough of a team."""

TIMEOUT = 10.0
"""Seconds that a server gets to let us in."""


SESSION = {"jit": "off"}
"""What every session is told: our statements are short, and compiling them takes longer than they do."""

POOLED = {**SESSION, "plan_cache_mode": "force_generic_plan"}
"""What pooled sessions are told besides: planned once, because planning anew takes longer than the statements do."""

POOLED_BESIDE_ENGINE = 24
"""Connections that a worker holds beside the engine's pool: the log's, the hot store's and its listeners'."""


class Server(msgspec.Struct, frozen=True):
    """A Postgres server and database, as far as AICQ is concerned.

    Args:
        version: Such as `18.4`.
        number: Such as 180004.
        encoding: Of the database.
        is_read_only: It is a standby, or its sessions may not write.
        max_connections: As many as it admits.
        volatile: The settings that are off and without which a crash may lose what was committed.
        vector_available: The version of the vector extension that can be installed; empty if none.
        vector: The version that is installed; empty if none.
        may_create: The user may make tables in the schema they would go to.
        may_extend: The user may make extensions such as vector.
        may_write: The user may use the tables that are there already.
        keeps_sessions: A connection stays with one session; a pooler in front may give each transaction another.
        revision: The newest migration that was made; empty if none.
    """

    version: str
    number: int
    encoding: str
    is_read_only: bool
    max_connections: int
    volatile: list[str]
    vector_available: str
    vector: str
    may_create: bool
    may_extend: bool
    may_write: bool
    keeps_sessions: bool
    revision: str


SERVER = """
SELECT current_setting('server_version') AS version,
    current_setting('server_version_num')::int AS number,
    pg_encoding_to_char(d.encoding) AS encoding,
    pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS is_read_only,
    current_setting('max_connections')::int AS max_connections,
    ARRAY(
        SELECT name FROM pg_settings
        WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name
    ) AS volatile,
    coalesce((SELECT default_version FROM pg_available_extensions WHERE name = 'vector'), '') AS vector_available,
    coalesce((SELECT extversion FROM pg_extension WHERE extname = 'vector'), '') AS vector,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        OR has_database_privilege(current_database(), 'CREATE') AND coalesce(
            (SELECT bool_or(trusted) FROM pg_available_extension_versions WHERE name = 'vector'), false
        ) AS may_extend,
    coalesce(
        has_table_privilege(to_regclass('messages'), 'SELECT')
        AND has_table_privilege(to_regclass('messages'), 'INSERT')
        AND has_table_privilege(to_regclass('messages'), 'UPDATE'), true
    ) AS may_write
FROM pg_database d WHERE d.datname = current_database()
"""


WHICH = "SELECT pg_backend_pid()"


def connections_needed(settings: Settings) -> int:
    """As many connections as all workers' pools can open."""
    return settings.workers * (settings.pool_size + settings.pool_overflow + POOLED_BESIDE_ENGINE)


def place(database_url: str) -> str:
    """Where a database is, without the login: `aicq at db.example:5432`."""
    parts = urlsplit(database_url)
    name = unquote(parts.path.lstrip("/")) or "its default database"
    if not parts.hostname:
        return f"{name} at a local socket"
    return f"{name} at {parts.hostname}:{parts.port or 5432}"


# The first that fits is told; `{}` is the place.
FAILURES: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((asyncpg.InvalidCatalogNameError,), "There is no database {}; create it, or correct DATABASE_URL."),
    (
        (asyncpg.InvalidAuthorizationSpecificationError,),
        "Postgres refuses the login that DATABASE_URL gives for {}.",
    ),
    ((asyncpg.InsufficientPrivilegeError,), "The user in DATABASE_URL may not connect to {}."),
    (
        (asyncpg.ProtocolViolationError,),
        f"The pooler in front of Postgres must ignore the startup parameters {' and '.join(POOLED)}: {{}}.",
    ),
    ((asyncpg.CannotConnectNowError,), "Postgres is starting or stopping and lets nobody in: {}."),
    ((asyncpg.TooManyConnectionsError,), "Postgres has no connection left: {}."),
    ((asyncpg.PostgresError,), "Postgres does not let AICQ in: {}."),
    ((ssl.SSLError,), "Postgres and AICQ do not agree on TLS: {}."),
    ((socket.gaierror,), "The host that DATABASE_URL names is not known: {}."),
    ((TimeoutError,), "Postgres does not answer: {}."),
    ((ConnectionRefusedError, FileNotFoundError), "Postgres is down, nothing listens there: {}."),
    ((OSError,), "Postgres cannot be reached as DATABASE_URL describes it: {}."),
    ((asyncpg.InternalClientError, AssertionError), "What answers is not Postgres: {}."),
    ((asyncpg.InterfaceError, ValueError, TypeError), "DATABASE_URL cannot be understood."),
)


async def reach(database_url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Opens a connection.

    Raises:
        StartError: It cannot be opened; the sentence says why.
    """
    try:
        return await asyncpg.connect(database_url, timeout=TIMEOUT, server_settings=POOLED)
    except Exception as error:
        for kinds, sentence in FAILURES:
            if isinstance(error, kinds):
                raise StartError(sentence.format(place(database_url))) from None
        raise


async def examine(database_url: str) -> Server:
    """Asks the server all that AICQ has to know about it.

    Raises:
        StartError: It lets nobody in; the sentence says why.
    """
    connection = await reach(database_url)
    try:
        row = await connection.fetchrow(SERVER)
        assert row is not None  # noqa: S101 - the database we are connected to is in the list of databases
        revision = ""
        if row["may_write"] and await connection.fetchval("SELECT to_regclass('alembic_version')"):
            revision = await connection.fetchval("SELECT max(version_num) FROM alembic_version") or ""
        return Server(**row, keeps_sessions=await keeps_session(connection, database_url), revision=revision)
    finally:
        await connection.close()


async def keeps_session(connection: "asyncpg.Connection[asyncpg.Record]", database_url: str) -> bool:
    """Whether a connection stays with its session while another one is in a transaction."""
    session = await connection.fetchval(WHICH)
    other = await reach(database_url)
    try:
        async with other.transaction():
            await other.execute(WHICH)
            return bool(await connection.fetchval(WHICH) == session)
    except asyncpg.InvalidSQLStatementNameError:  # what was prepared was left behind in the other session
        return False
    finally:
        await other.close()


async def check(database_url: str) -> Server:
    """Looks whether AICQ can live in this database.

    Raises:
        StartError: It cannot; the sentence says why.
    """
    server = await examine(database_url)
    if problem := find_problem(server):
        raise StartError(f"{problem}: {place(database_url)}.")
    return server


def find_problem(server: Server) -> str:
    """What keeps AICQ from working in this database, as the beginning of a sentence; empty if nothing does."""
    problems = {
        f"AICQ needs Postgres 15 or newer, and this is {server.version}": server.number < OLDEST,
        f"AICQ needs a database in UTF8, and this one is in {server.encoding}": server.encoding != "UTF8",
        "AICQ has to write, and this database is read-only": server.is_read_only,
        "This Postgres has no vector extension; install pgvector": not (server.vector or server.vector_available),
        f"AICQ needs the vector extension 0.8 or newer, and this is {server.vector or server.vector_available}": (
            _version(server.vector or server.vector_available) < OLDEST_VECTOR
        ),
        "The user in DATABASE_URL may not create the vector extension; have an administrator do it": not (
            server.vector or server.may_extend
        ),
        "The user in DATABASE_URL may not create tables": not (server.revision or server.may_create),
        "The user in DATABASE_URL may not read and write AICQ's tables": not server.may_write,
        "AICQ needs sessions of its own, and a pooler gives each transaction another; have it pool by session": not (
            server.keeps_sessions
        ),
    }
    return next((problem for problem, is_there in problems.items() if is_there), "")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())
