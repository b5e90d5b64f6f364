"""Every setting, read once from the environment into a frozen struct that is passed in, never global."""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, get_args, get_type_hints
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID

import msgspec
from msgspec import Meta

from aicq.errors import StartError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

RATE = re.compile(r"(?P<limit>[0-9]{1,13}) ?/ ?(?P<seconds>[0-9]{1,8})")

MOST = 10**12
"""The highest limit; sums of so much stay exact in both hot stores."""

LONGEST_WINDOW = 31 * 86_400
"""Seconds that a limit may count."""

Port = Annotated[int, Meta(ge=1, le=65535)]


class Rate(msgspec.Struct, frozen=True):
    """So much within a sliding window.

    Args:
        limit: The most that may be taken within any window.
        window: Milliseconds.
    """

    limit: int
    window: int


DEFAULT_RATES: Mapping[str, Rate] = MappingProxyType(
    {
        "register": Rate(10, 3_600_000),
        "who": Rate(100, 60_000),
        "channels": Rate(60, 60_000),
        "room_create": Rate(10, 3_600_000),
        "room_change": Rate(60, 3_600_000),
        "room_read": Rate(120, 60_000),
        "post": Rate(30, 60_000),
        "edit": Rate(30, 60_000),
        "delete": Rate(30, 60_000),
        "dm_send": Rate(60, 60_000),
        "dm_read": Rate(60, 60_000),
        "find": Rate(30, 60_000),
        "bytes": Rate(32_768, 60_000),
        "failures": Rate(30, 60_000),
        "streams": Rate(100, 60_000),
        "signup": Rate(10, 3_600_000),
        "login": Rate(20, 60_000),
        "account": Rate(10, 900_000),
        "refresh": Rate(60, 60_000),
        "token": Rate(30, 60_000),
        "read": Rate(600, 60_000),
        "write": Rate(120, 60_000),
        "live": Rate(60, 60_000),
        "frames": Rate(600, 60_000),
    }
)
"""The limits, by rule. `bytes` counts bodies per agent, `failures` costly failures per address, `streams` open streams
per address, which count for the window after they were last seen, `account` wrong passwords per account since the last
right one. `read` and `write` count calls of the platform per actor."""


class Environment(msgspec.Struct, frozen=True, rename=str.upper, kw_only=True):
    """The environment variables as they are written; `Settings` is what they mean."""

    database_url: str = ""
    postgres_host: str = ""
    postgres_port: Port = 5432
    postgres_db: str = "aicq"
    postgres_user: str = "aicq"
    postgres_password: str = ""
    database_pool_size: Annotated[int, Meta(ge=1, le=50)] = 5
    database_pool_overflow: Annotated[int, Meta(ge=0, le=100)] = 10
    database_pool_timeout: Annotated[int, Meta(ge=1)] = 30
    database_pool_idle: Annotated[int, Meta(ge=1)] = 600
    redis_url: str = ""
    redis_host: str = ""
    redis_port: Port = 6379
    redis_password: str = ""
    redis_db: Annotated[int, Meta(ge=0)] = 0
    redis_ssl: bool = False
    aicq_hot_store: Literal["auto", "redis", "postgres"] = "auto"
    aicq_hot_store_chosen: Literal["", "redis", "postgres"] = ""
    aicq_data_dir: str = ""
    host: str = "127.0.0.1"
    port: Port = 8080
    aicq_workers: Annotated[int, Meta(ge=1, le=64)] = 1
    aicq_admin_token: str = ""
    admin_agent_id: str = ""
    aicq_secret_key: str = ""
    rate_limits: str = ""
    rate_limit_whitelist: str = ""
    trusted_proxies: str = ""
    auto_block_enabled: bool = False
    message_retention_days: Annotated[int, Meta(ge=0)] = 0
    region: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    migrations_path: str = ""
    embedding_model: str = "text-embedding-3-small"
    embedding_api_key: str = ""
    embedding_dimensions: Annotated[int, Meta(ge=1, le=2000)] = 1536


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What AICQ runs with.

    Args:
        database_url: `postgresql://…`, or None: `aicq serve` starts the embedded Postgres in `data_dir`.
        redis_url: `redis://…` or `rediss://…`, or None: the hot store lives in Postgres.
        hot_store: `auto` takes Redis where `redis_url` is set, else Postgres.
        hot_store_chosen: What `aicq serve` has chosen for its workers; empty: each app chooses for itself.
        data_dir: Where the embedded Postgres and the secrets that were made once live.
        admin_token: Opens `/admin`; empty until `aicq serve` has made or read it.
        secret_key: Signs tokens and encrypts secrets; empty until `aicq serve` has made or read it.
        rates: The limit of each rule.
        whitelist: Addresses whose requests, and whose agents' requests, are not limited.
        trusted_proxies: Peers whose `X-Forwarded-For` is believed.
        message_retention_days: Days that the log keeps a message; 0 for ever.
    """

    database_url: str | None
    pool_size: int = 5
    pool_overflow: int = 10
    pool_timeout: int = 30
    pool_idle: int = 600
    redis_url: str | None = None
    hot_store: Literal["auto", "redis", "postgres"] = "auto"
    hot_store_chosen: Literal["", "redis", "postgres"] = ""
    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    admin_token: str = ""
    admin_agent_id: UUID | None = None
    secret_key: str = ""
    rates: Mapping[str, Rate] = DEFAULT_RATES
    whitelist: tuple[Network, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    auto_block_enabled: bool = False
    message_retention_days: int = 0
    region: str = ""
    log_level: str = "info"
    migrations_path: Path
    embedding_model: str = "text-embedding-3-small"
    embedding_api_key: str = ""
    embedding_dimensions: int = 1536


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the environment; an empty variable counts as unset.

    Raises:
        StartError: A variable has no meaning. The sentence names it and never repeats its value.
    """
    given = {name: value for name, value in (os.environ if environ is None else environ).items() if value}
    try:
        env = msgspec.convert(given, Environment, strict=False)
    except msgspec.ValidationError as error:
        raise StartError(f"{_meaning(error)}.") from None
    return Settings(
        database_url=_database_url(env),
        pool_size=env.database_pool_size,
        pool_overflow=env.database_pool_overflow,
        pool_timeout=env.database_pool_timeout,
        pool_idle=env.database_pool_idle,
        redis_url=_redis_url(env),
        hot_store=env.aicq_hot_store,
        hot_store_chosen=env.aicq_hot_store_chosen,
        data_dir=Path(env.aicq_data_dir).expanduser().absolute() if env.aicq_data_dir else _user_data_dir(given),
        host=env.host,
        port=env.port,
        workers=env.aicq_workers,
        admin_token=env.aicq_admin_token,
        admin_agent_id=_uuid("ADMIN_AGENT_ID", env.admin_agent_id),
        secret_key=env.aicq_secret_key,
        rates=_rates(env.rate_limits),
        whitelist=_networks("RATE_LIMIT_WHITELIST", env.rate_limit_whitelist),
        trusted_proxies=_networks("TRUSTED_PROXIES", env.trusted_proxies),
        auto_block_enabled=env.auto_block_enabled,
        message_retention_days=env.message_retention_days,
        region=env.region,
        log_level=env.log_level,
        migrations_path=Path(env.migrations_path).absolute() if env.migrations_path else _migrations(),
        embedding_model=env.embedding_model,
        embedding_api_key=env.embedding_api_key,
        embedding_dimensions=env.embedding_dimensions,
    )


def _meaning(error: msgspec.ValidationError) -> str:
    """Says which setting is wrong and what it has to be, without what it is."""
    told = str(error)
    name = told.rpartition("$.")[2].rstrip("`")
    choices = get_args(get_type_hints(Environment).get(name.lower()))
    if told.startswith("Invalid enum value"):
        return f"{name} must be one of {', '.join(choices)}"
    wanted = told.partition(", got")[0].partition(" - at")[0].replace("Expected ", "").replace("`", "")
    kinds = {"int": "a whole number", "bool": "true or false"}
    kind, _, bound = wanted.partition(" ")
    return f"{name} must be {kinds.get(kind, kind)} {bound}".rstrip()


def _database_url(env: Environment) -> str | None:
    if env.database_url:
        return _checked_url("DATABASE_URL", env.database_url, {"postgres": "postgresql", "postgresql": "postgresql"})
    if not env.postgres_host:
        return None
    login = quote(env.postgres_user, safe="")
    if env.postgres_password:
        login += ":" + quote(env.postgres_password, safe="")
    return f"postgresql://{login}@{env.postgres_host}:{env.postgres_port}/{quote(env.postgres_db, safe='')}"


def _redis_url(env: Environment) -> str | None:
    if env.redis_url:
        return _checked_url("REDIS_URL", env.redis_url, {"redis": "redis", "rediss": "rediss", "unix": "unix"})
    if not env.redis_host:
        return None
    login = f":{quote(env.redis_password, safe='')}@" if env.redis_password else ""
    return f"{'rediss' if env.redis_ssl else 'redis'}://{login}{env.redis_host}:{env.redis_port}/{env.redis_db}"


def _checked_url(name: str, url: str, schemes: Mapping[str, str]) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise StartError(f"{name} is not a URL.") from None
    scheme = schemes.get(parts.scheme.partition("+")[0])
    if scheme is None:
        raise StartError(f"{name} must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}.")
    return urlunsplit(parts._replace(scheme=scheme)) if parts.netloc else f"{scheme}:{url.partition(':')[2]}"


def _uuid(name: str, text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise StartError(f"{name} is not a UUID.") from None


def _rates(text: str) -> Mapping[str, Rate]:
    """Reads overrides such as `post=60/60,find=10/60`: so many in so many seconds."""
    rates = dict(DEFAULT_RATES)
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        rule, _, rate = part.partition("=")
        told = RATE.fullmatch(rate.strip())
        if told is None or int(told["limit"]) > MOST or not 0 < int(told["seconds"]) <= LONGEST_WINDOW:
            raise StartError("RATE_LIMITS must read like post=60/60,find=10/60: so many in so many seconds.")
        if rule.strip() not in rates:
            raise StartError(f"RATE_LIMITS names a rule that there is not; the rules are {', '.join(rates)}.")
        rates[rule.strip()] = Rate(int(told["limit"]), int(told["seconds"]) * 1000)
    return rates


def _networks(name: str, text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError:
        raise StartError(f"{name} must list addresses or networks, separated by commas.") from None


def _user_data_dir(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "aicq"


def _migrations() -> Path:
    """The migrations inside the installed package or, in a clone, beside `src`."""
    package = Path(__file__).parent
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent.parent / "migrations"
