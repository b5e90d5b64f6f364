"""`aicq serve` starts with nothing configured, and says in one sentence why it does not start otherwise."""

import re
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.process.conftest import PASSWORD
from tests.process.service import Service, free_port, run, wait_until

Make = Callable[..., Service]

SECRET = "s3cr3t-p4ss"


def assert_refuses(home: Path, sentence: str, **settings: str) -> None:
    """It exits with 1, one sentence on stderr, nothing on stdout, and no secret."""
    ended = run(home, "serve", PORT=str(free_port()), **settings)
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert re.search(sentence, " ".join(lines)), ended.stderr
    assert len(lines) == 1
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert SECRET not in ended.stderr
    assert PASSWORD not in ended.stderr


def test_it_starts_with_nothing_configured(tmp_path: Path, service: Make) -> None:
    fresh = service()
    del fresh.settings["AICQ_DATA_DIR"]
    fresh.start()
    data = tmp_path / ".local" / "share" / "aicq"
    told = wait_until(fresh.out.read_text)
    for line in (fresh.url, f"{fresh.url}/docs", str(data / "pg"), "hot store    Postgres", str(data / "admin_token")):
        assert line in told
    assert httpx.get(f"{fresh.url}/health").status_code == 200
    for name in ("admin_token", "secret_key"):
        file = data / name
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(file.read_text().strip()) >= 32
        assert file.read_text().strip() not in fresh.told()
    for name in ("pg", "run"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o700
    assert fresh.stop() == 0


def test_a_warm_start_keeps_the_secrets_and_takes_less_than_ten_seconds(service: Make) -> None:
    first = service().start()
    secrets = [(first.data / name).read_text() for name in ("admin_token", "secret_key")]
    assert first.stop() == 0
    began = time.monotonic()
    second = service().start()
    assert time.monotonic() - began < 10  # five on a machine of its own
    assert [(second.data / name).read_text() for name in ("admin_token", "secret_key")] == secrets


def test_options_override_the_environment(service: Make) -> None:
    port = free_port()
    chosen = service(HOST="203.0.113.1", AICQ_WORKERS="1")
    chosen.port = port
    chosen.start("--host", "127.0.0.1", "--port", str(port), "--workers", "2")
    assert len(wait_until(lambda: len(chosen.workers()) == 2 and chosen.workers())) == 2


def test_a_token_that_was_given_is_not_written_down(service: Make) -> None:
    given = service(AICQ_ADMIN_TOKEN=SECRET).start()
    wait_until(lambda: "AICQ_ADMIN_TOKEN" in given.told())
    assert not (given.data / "admin_token").exists()
    assert SECRET not in given.told()


def test_deep_data_directories_and_odd_names_work(tmp_path: Path, service: Make) -> None:
    deep = tmp_path / ("d" * 90) / "with space & ünïcode %41"
    given = service(AICQ_DATA_DIR=str(deep)).start()
    assert httpx.get(f"{given.url}/health/ready").status_code == 200
    assert given.stop() == 0


@pytest.fixture(params=[False, True], ids=["alone", "shared"])
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port that somebody listens on, willing to share it or not."""
    with socket.socket() as listener:
        if request.param:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_refused(tmp_path: Path, taken: int) -> None:
    ended = run(tmp_path, "serve", "--port", str(taken))
    assert ended.stderr == f"aicq: Nothing can listen on 127.0.0.1:{taken}: address already in use.\n"
    assert ended.returncode == 1
    assert not (tmp_path / "data").exists()


def test_a_second_service_on_the_same_port_is_refused(tmp_path: Path, service: Make) -> None:
    first = service().start()
    ended = run(tmp_path, "serve", PORT=str(first.port), AICQ_DATA_DIR=str(tmp_path / "other"))
    assert "address already in use" in ended.stderr
    assert ended.returncode == 1


def test_a_data_directory_in_use_is_refused(tmp_path: Path, service: Make) -> None:
    first = service().start()
    assert_refuses(tmp_path, f"is in use by another AICQ, process {first.pid}")
    assert first.answers("/health/ready")


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert_refuses(tmp_path, "The data directory .* cannot be used")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABASE_URL", f"mysql://root:{SECRET}@localhost/aicq", "DATABASE_URL must begin with postgres://"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@localhost:port/aicq", "DATABASE_URL is not a URL"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@[localhost/aicq", "DATABASE_URL is not a URL"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@127.0.0.1:1/aicq", "Postgres is down"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@no.such.host.invalid/aicq", "The host .* is not known"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@/aicq?host=/nowhere", "Postgres is down"),
        ("REDIS_URL", f"http://:{SECRET}@localhost", "REDIS_URL must begin with redis://"),
        ("AICQ_HOT_STORE", SECRET, "AICQ_HOT_STORE must be one of auto, redis, postgres"),
        ("LOG_LEVEL", SECRET, "LOG_LEVEL must be one of"),
        ("AICQ_WORKERS", SECRET, "AICQ_WORKERS must be a whole number"),
        ("HOST", "203.0.113.1", "Nothing can listen on 203.0.113.1"),
        ("HOST", "no.such.host.invalid", "HOST is no address of this machine"),
        ("MIGRATIONS_PATH", "/nowhere", "There are no migrations in /nowhere"),
    ],
)
def test_a_wrong_setting_is_one_sentence(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    assert_refuses(tmp_path, sentence, **{name: value})


@pytest.mark.parametrize(
    ("login", "database", "sentence"),
    [
        (f"guest:{SECRET}", "guests", "refuses the login"),
        ("guest", "guests", "refuses the login"),
        (f"nobody-known:{SECRET}", "guests", "refuses the login"),
        ("aicq", "missing", "There is no database missing"),
        (f"guest:{PASSWORD}", "guests", "may not create the vector extension"),
        (f"guest:{PASSWORD}", "prepared", "may not create tables"),
        ("aicq", "latin", "a database in UTF8"),
    ],
)
def test_a_database_that_will_not_do_is_one_sentence(
    tmp_path: Path, guarded: str, login: str, database: str, sentence: str
) -> None:
    assert_refuses(tmp_path, sentence, DATABASE_URL=f"postgresql://{login}@/{database}?host={guarded}")


def test_a_missing_vector_extension_is_one_sentence(tmp_path: Path, without_vector: str) -> None:
    assert_refuses(tmp_path, "This Postgres has no vector extension", DATABASE_URL=without_vector)


def test_embeddings_of_another_length_than_the_columns_are_one_sentence(tmp_path: Path, service: Make) -> None:
    assert run(tmp_path, "migrate", "up", EMBEDDING_DIMENSIONS="8").returncode == 0
    assert_refuses(tmp_path, "EMBEDDING_DIMENSIONS is 1536, but memories hold embeddings of 8 numbers: set it to 8")
    told = run(tmp_path, "doctor")
    assert "FAIL  embeddings       EMBEDDING_DIMENSIONS is 1536" in told.stdout
    assert service(EMBEDDING_DIMENSIONS="8").start().stop() == 0


def test_what_is_no_postgres_is_one_sentence(tmp_path: Path, service: Make) -> None:
    other = service().start()
    url = f"postgresql://u:{SECRET}@127.0.0.1:{other.port}/aicq"
    assert_refuses(tmp_path, "Postgres", DATABASE_URL=url, AICQ_DATA_DIR=str(tmp_path / "other"))


def test_redis_that_is_demanded_and_down_is_one_sentence(tmp_path: Path) -> None:
    url = f"redis://:{SECRET}@127.0.0.1:1"
    assert_refuses(tmp_path, "Redis does not answer at REDIS_URL", REDIS_URL=url, AICQ_HOT_STORE="redis")
    assert_refuses(tmp_path, "REDIS_URL is not set", AICQ_HOT_STORE="redis")


def test_redis_that_is_down_leaves_postgres_and_says_degraded(service: Make) -> None:
    degraded = service(REDIS_URL=f"redis://:{SECRET}@127.0.0.1:1").start()
    wait_until(lambda: "degraded: Redis does not answer" in degraded.out.read_text())
    health = httpx.get(f"{degraded.url}/health").json()
    assert (health["status"], health["hot_store"], health["redis"]) == ("degraded", "postgres", "error")
    assert SECRET not in degraded.told()


def test_a_stop_while_starting_leaves_nothing_behind(service: Make) -> None:
    starting = service().launch()
    wait_until((starting.data / "lock").exists)
    starting.signal(signal.SIGTERM)
    assert starting.wait() in {0, -signal.SIGTERM}
    assert not (starting.data / "pg" / "postmaster.pid").exists()
