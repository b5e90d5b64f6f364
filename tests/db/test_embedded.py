"""The embedded Postgres: whose server is taken for ours, and what is left when it is over."""

import asyncio
import os
import pwd
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from aicq.db import account
from aicq.db.embedded import SOCKET, EmbeddedPostgres, running_url
from aicq.errors import StartError
from tests.process.service import is_alive, wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands Postgres to another user")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir(mode=0o700)
    return tmp_path / "data"


def ask(url: str, question: str) -> object:
    async def answer() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(answer())


def pid_file(data: Path) -> Path:
    return data / "pg" / "postmaster.pid"


def pid_in(data: Path) -> int:
    return int(pid_file(data).read_text().split()[0])


def test_it_keeps_what_was_written_and_is_reached_by_its_socket_alone(data: Path) -> None:
    with EmbeddedPostgres(data, max_connections=30) as postgres:
        ask(postgres.url, "CREATE TABLE kept AS SELECT 1 AS n")
        assert ask(postgres.url, "SHOW listen_addresses") == ""
        assert ask(postgres.url, "SHOW max_connections") == "30"
        assert ask(postgres.url, "SHOW fsync") == "on"
        assert ask(postgres.url, "SELECT current_database()") == "aicq"
    assert not pid_file(data).exists()
    with EmbeddedPostgres(data, max_connections=40) as postgres:
        assert ask(postgres.url, "SELECT n FROM kept") == 1
        assert ask(postgres.url, "SHOW max_connections") == "40"


def test_nothing_of_it_is_open_to_others(data: Path) -> None:
    with EmbeddedPostgres(data, max_connections=30):
        for part in ("", "pg", "run"):
            assert stat.S_IMODE((data / part).stat().st_mode) == 0o700
        assert stat.S_IMODE((data / "postgres.log").stat().st_mode) == 0o600
        assert stat.S_IMODE((data / "run" / SOCKET).stat().st_mode) == 0o700


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 40)
    deep.mkdir()
    with EmbeddedPostgres(deep, max_connections=30) as postgres:
        private = Path(postgres.url.partition("host=")[2]).parent
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert ask(postgres.url, "SELECT 1") == 1
        with running_url(deep) as url:
            assert url is not None
    assert not private.exists()


def test_a_killed_server_is_started_again(data: Path) -> None:
    with EmbeddedPostgres(data, max_connections=30) as postgres:
        ask(postgres.url, "CREATE TABLE kept AS SELECT 1 AS n")
        first = pid_in(data)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: pid_in(data) != first if pid_file(data).exists() else False)
        wait_until(lambda: answers(postgres.url))
        assert ask(postgres.url, "SELECT n FROM kept") == 1
    assert not pid_file(data).exists()


def answers(url: str) -> bool:
    try:
        return ask(url, "SELECT 1") == 1
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


def test_a_server_that_was_left_behind_is_taken_over_and_stopped(data: Path) -> None:
    left = EmbeddedPostgres(data, max_connections=30)
    left.start()
    pid = pid_in(data)
    with running_url(data) as url:
        assert url == left.url
    left._stopping.set()  # noqa: SLF001 - its owner no longer looks after it
    with EmbeddedPostgres(data, max_connections=30) as postgres:
        assert pid_in(data) != pid
        assert not is_alive(pid)
        assert ask(postgres.url, "SELECT 1") == 1
    assert not pid_file(data).exists()
    left.stop()


@pytest.fixture
def foreigner(data: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the very user that Postgres runs as."""
    with EmbeddedPostgres(data, max_connections=30):
        written = pid_file(data).read_text()
    owner = (data / "pg").stat()
    process = subprocess.Popen(["sleep", "300"], cwd="/", user=owner.st_uid, group=owner.st_gid)
    pid_file(data).write_text("\n".join([str(process.pid), *written.splitlines()[1:]]) + "\n")
    yield process
    process.kill()
    process.wait()


def test_a_stale_pid_file_never_blocks_a_start_nor_ends_a_stranger(
    data: Path, foreigner: "subprocess.Popen[bytes]"
) -> None:
    with running_url(data) as url:
        assert url is None
    with EmbeddedPostgres(data, max_connections=30) as postgres:
        assert ask(postgres.url, "SELECT 1") == 1
    assert foreigner.poll() is None


def test_a_server_that_somebody_else_started_on_our_data_is_left_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicq.db.embedded.ATTENTION", 0.3)
    stranger = EmbeddedPostgres(data, max_connections=30)
    stranger._sockets = tmp_path / "elsewhere"  # noqa: SLF001 - somebody who has another socket
    with stranger, pytest.raises(StartError, match="Another Postgres, process"):
        EmbeddedPostgres(data, max_connections=30).start()


def test_files_of_another_version_are_one_sentence(data: Path) -> None:
    with EmbeddedPostgres(data, max_connections=30):
        pass
    (data / "pg" / "PG_VERSION").write_text("12\n")
    with pytest.raises(StartError, match="was written by Postgres 12, and this is 18"):
        EmbeddedPostgres(data, max_connections=30).start()


def test_a_server_that_cannot_start_says_its_own_reason(data: Path) -> None:
    with EmbeddedPostgres(data, max_connections=30):
        pass
    (data / "pg" / "postgresql.conf").write_text("shared_preload_libraries = 'none_such'\n")
    with pytest.raises(StartError, match="could not access file"):
        EmbeddedPostgres(data, max_connections=30).start()


def test_an_interrupted_first_start_is_begun_again(data: Path) -> None:
    (data / "pg.new").mkdir()
    (data / "pg.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(data, max_connections=30) as postgres:
        assert ask(postgres.url, "SELECT 1") == 1
    assert not (data / "pg.new").exists()


@needs_root
def test_root_opens_nothing_to_the_user_that_runs_it(data: Path) -> None:
    with EmbeddedPostgres(data, max_connections=30):
        user = pwd.getpwuid((data / "pg").stat().st_uid)
        assert user.pw_uid != 0
        look = subprocess.run(
            ["ls", data], user=user.pw_uid, group=user.pw_gid, cwd="/", capture_output=True, check=False
        )
        assert look.returncode != 0


@pytest.fixture
def for_everybody() -> Iterator[Path]:
    """A directory that every user can reach."""
    with tempfile.TemporaryDirectory(prefix="aicq-programs-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@needs_root
def test_root_copies_programs_that_the_user_cannot_reach(
    data: Path, tmp_path: Path, for_everybody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = account.find_programs()
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for part in (shipped.parents[1], shipped.parents[2] / f"{account.PACKAGE}.libs"):
        subprocess.run(["cp", "-r", part, private], check=True)
    monkeypatch.setattr(account, "find_programs", lambda: private / shipped.relative_to(shipped.parents[2]))
    monkeypatch.setattr(account, "SHARED_PROGRAMS", tmp_path / "unreachable")
    with pytest.raises(StartError, match="cannot reach its programs"):
        EmbeddedPostgres(data, max_connections=30).start()
    monkeypatch.setattr(account, "SHARED_PROGRAMS", for_everybody)
    for _ in ("copied", "found"):
        with EmbeddedPostgres(data, max_connections=30) as postgres:
            assert ask(postgres.url, "SELECT 1") == 1
    assert len(list(for_everybody.iterdir())) == 1
