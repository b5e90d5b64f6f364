"""A process that is asked to stop ends its streams with a word, and answers what is in flight."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.process.service import ROOT, environment, free_port, wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    port = free_port()
    words = ["--interface", "asgi", "--loop", "uvloop", "--port", str(port), "tests.process.streaming:app"]
    process = subprocess.Popen(
        [sys.executable, "-m", "granian", *words], cwd=ROOT, env=environment(tmp_path, {}), start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"

    def listens() -> bool:
        try:
            return httpx.get(f"{url}/nothing").status_code == 404
        except httpx.TransportError:
            return False

    wait_until(listens)
    yield url, process
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_says_goodbye(server: tuple[str, "subprocess.Popen[bytes]"], number: signal.Signals) -> None:
    url, process = server
    with httpx.stream("GET", f"{url}/stream", timeout=30) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "hello"
        process.send_signal(number)
        assert list(lines) == ["goodbye"]
    assert process.wait(30) == 0


def test_what_is_in_flight_is_answered(server: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    url, process = server
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}/slow", timeout=30).text))
    asking.start()
    wait_until(lambda: httpx.get(f"{url}/has-arrived").text == "true")
    process.send_signal(signal.SIGTERM)
    asking.join(30)
    assert answers == ["done"]
    assert process.wait(30) == 0
