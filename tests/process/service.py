"""Runs the `aicq` command as a user would, and watches its processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 60.0

ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], Any], *, seconds: float = PATIENCE, told: str = "") -> Any:
    """Looks again and again, for so long at most, and returns what was true."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{told or condition} did not come true in {seconds} s"
        time.sleep(0.02)
    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """What a shell gives a command, and none of the settings that the tests themselves were given."""
    own = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT / "src")}
    return {**own, **settings}


def is_alive(pid: int) -> bool:
    return state_of(pid) not in {"", "Z"}


def state_of(pid: int) -> str:
    return _status(pid)[0]


def parent_of(pid: int) -> int:
    return int(_status(pid)[1])


def _status(pid: int) -> tuple[str, str]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", "0"
    return fields[0], fields[1]


def program_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except (FileNotFoundError, ProcessLookupError):
        return ""


def all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


class Service:
    """One `aicq serve` in a home of its own.

    Args:
        home: The user's home; the data directory is `home/data`.
        settings: Environment variables.
    """

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.data = home / "data"
        self.port = int(settings.pop("PORT", 0)) or free_port()
        self.settings = {"AICQ_DATA_DIR": str(self.data), "PORT": str(self.port), **settings}
        self.out = home / f"out-{self.port}"
        self.err = home / f"err-{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *arguments: str) -> "Service":
        """Starts it and waits until it is healthy."""
        self.launch(*arguments)
        wait_until(self.is_healthy, told="the service's health")
        return self

    def launch(self, *arguments: str) -> "Service":
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "aicq", "serve", *arguments],
                stdout=out,
                stderr=err,
                env=environment(self.home, self.settings),
                cwd=self.home,
                start_new_session=True,
            )
        return self

    def is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.told()
        return self.answers("/health/live")

    def answers(self, path: str) -> bool:
        try:
            return httpx.get(f"{self.url}{path}", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def told(self) -> str:
        """All it has written so far."""
        return self.out.read_text() + self.err.read_text()

    def workers(self) -> list[int]:
        """Its workers, in the order of their numbers."""
        mine = [pid for pid in all_processes() if parent_of(pid) == self.pid and is_alive(pid)]
        return sorted(pid for pid in mine if program_of(pid).startswith("python"))

    def postmaster(self) -> int:
        return int((self.data / "pg" / "postmaster.pid").read_text().split()[0])

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self) -> int:
        """Has it stop in good order, and returns its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        """Leaves nothing of it behind, whatever the test did."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def run(home: Path, *words: str, piped: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command that ends by itself, with something piped in."""
    return subprocess.run(
        [sys.executable, "-m", "aicq", *words],
        env=environment(home, {"AICQ_DATA_DIR": str(home / "data"), **settings}),
        cwd=home,
        input=piped,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
