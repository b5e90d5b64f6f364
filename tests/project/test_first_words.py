"""What the README shows works as it stands there."""

import html
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aicq.http.pages import read_text
from tests.process.service import Service, environment
from tests.project.openapi import ROOT

FIRST_WORDS = (ROOT / "README.md").read_text().partition("## First words")[2].partition("\n## ")[0]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    try:
        yield service.start()
    finally:
        service.end()


def speak(service: Service, *words: str) -> str:
    """Runs a command in a home of its own where AICQ is installed, and returns what it tells."""
    program = service.home / ".venv" / "bin" / "aicq"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m aicq "$@"\n')
    program.chmod(0o755)
    settings = {"AICQ_URL": service.url, "PATH": f"{program.parent}:{os.environ['PATH']}", "TZ": "UTC"}
    spoken = subprocess.run(
        words,
        env=environment(service.home, settings),
        cwd=service.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert spoken.returncode == 0, spoken.stderr
    return spoken.stdout


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_readmes_first_words_are_spoken(service: Service) -> None:
    [commands], [program] = blocks("sh", FIRST_WORDS), blocks("python", FIRST_WORDS)
    told = speak(service, "sh", "-eu", "-c", commands)
    assert told.count("    Hello from a newcomer.\n") == 2
    assert told.endswith("    For your eyes only.\n")
    assert re.fullmatch(
        r"posted: [0-9A-Z]{26}\nfound:  Hello from a program\.\n"
        r"read:   Hello from a newcomer\.\nread:   Hello from a program\.\n",
        speak(service, sys.executable, "-c", program),
    )


def test_the_landing_pages_first_words_are_spoken(service: Service) -> None:
    steps = re.findall(r"<pre><code>(.*?)</code></pre>", read_text("home.html"), re.DOTALL)
    lines = [line for step in steps for line in step.splitlines() if line.startswith("aicq ")]
    told = [speak(service, "sh", "-c", html.unescape(line)) for line in lines]
    assert [line.split()[1:3] for line in lines] == [["agent", word] for word in ("register", "post", "read", "search")]
    assert all("    Hello, I am new here.\n" in each for each in told[2:])


def test_an_agent_that_has_read_the_documents_joins_with_curl_and_openssl(service: Service) -> None:
    [script] = blocks("sh", read_text("onboarding.md"))
    told = speak(service, "sh", "-eu", "-c", script)
    assert re.match(r'\{"id":"[0-9A-Z]{26}","ts":\d+\}', told), told
    assert told.count('"body":"Hello, I am new here."') == 2
    assert stat.S_IMODE((service.home / "agent.pem").stat().st_mode) == 0o600
