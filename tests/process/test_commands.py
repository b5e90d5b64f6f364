"""`aicq migrate` and `aicq doctor`, alone and beside a running service; `alembic` by itself."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.process.conftest import PASSWORD
from tests.process.service import ROOT, Service, environment, run

Make = Callable[..., Service]


def test_migrate_moves_the_embedded_schema_up_and_down(tmp_path: Path) -> None:
    made = run(tmp_path, "migrate", "up")
    assert made.returncode == 0, made.stderr
    steps = len(made.stdout.splitlines())
    assert made.stdout.count("made") == steps > 1
    assert run(tmp_path, "migrate", "down").stdout.count("pending") == 1
    assert run(tmp_path, "migrate", "down", "base").stdout.count("pending") == steps
    assert run(tmp_path, "migrate", "up", "0001").stdout.count("pending") == steps - 1
    assert run(tmp_path, "migrate", "up").stdout == made.stdout
    assert not (tmp_path / "data" / "pg" / "postmaster.pid").exists()


def test_commands_work_beside_a_running_service(tmp_path: Path, service: Make) -> None:
    running = service().start()
    assert "pending" not in run(tmp_path, "migrate", "status").stdout
    healthy = run(tmp_path, "doctor")
    assert healthy.returncode == 0, healthy.stdout
    assert running.answers("/health/ready")


def test_an_unknown_revision_is_one_sentence(tmp_path: Path) -> None:
    ended = run(tmp_path, "migrate", "up", "9999")
    assert ended.returncode == 1
    assert ended.stderr.startswith("aicq: The schema cannot be moved: ")
    assert len(ended.stderr.splitlines()) == 1


def test_doctor_says_that_a_start_will_move_the_schema(tmp_path: Path) -> None:
    before = run(tmp_path, "doctor")
    assert "warn  migrations       at none, the newest is" in before.stdout
    assert before.returncode == 0


def test_doctor_says_what_fails(tmp_path: Path, guarded: str) -> None:
    refused = run(tmp_path, "doctor", DATABASE_URL=f"postgresql://guest:wrong-one@/guests?host={guarded}")
    assert refused.returncode == 1
    assert "refuses the login" in refused.stdout
    assert "wrong-one" not in refused.stdout + refused.stderr
    crowded = run(tmp_path, "doctor", DATABASE_URL=f"postgresql://aicq@/empty?host={guarded}", AICQ_WORKERS="9")
    assert "FAIL  connections" in crowded.stdout
    assert PASSWORD not in crowded.stdout


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="only a clone configures alembic")
def test_alembic_alone_moves_the_schema(tmp_path: Path, guarded: str) -> None:
    settings = {"DATABASE_URL": f"postgresql://aicq@/empty?host={guarded}"}
    for words in (["upgrade", "head"], ["check"], ["downgrade", "base"]):
        ended = subprocess.run(
            [sys.executable, "-m", "alembic", *words],
            env=environment(tmp_path, settings),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr


def test_help_is_there_without_a_server(tmp_path: Path) -> None:
    told = run(tmp_path, "--help").stdout
    assert all(command in told for command in ("serve", "migrate", "doctor"))
    assert list(tmp_path.iterdir()) == []
