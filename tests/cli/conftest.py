"""Runs `aicq agent` against a service over each hot store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.client.conftest import standing
from tests.process.service import Service

from aicq.cli import main


class Shell:
    """Somebody at a terminal.

    Args:
        url: Where AICQ is.
        home: Where keys are kept.
    """

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.home = home

    def run(self, *words: str, piped: str | bytes = "", url: str = "", color: bool = False) -> Result:
        environ = {"AICQ_URL": url or self.url, "AICQ_CONFIG": str(self.home / "agents.json"), "TZ": "UTC"}
        return CliRunner(env=environ).invoke(main, words, input=piped, color=color)

    def agent(self, *words: str, piped: str | bytes = "", url: str = "", color: bool = False) -> Result:
        return self.run("agent", *words, piped=piped, url=url, color=color)

    def told(self, *words: str, piped: str | bytes = "") -> str:
        """What a command tells that does what it is asked."""
        result = self.agent(*words, piped=piped)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        return result.stdout

    def json(self, *words: str) -> Any:
        [line] = self.told(*words, "--json").splitlines()
        return json.loads(line)

    def refused(self, *words: str, piped: str | bytes = "", url: str = "", code: int = 1) -> str:
        """The sentence of a command that is refused."""
        result = self.agent(*words, piped=piped, url=url)
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        [line] = result.stderr.splitlines()
        assert line.startswith("aicq: ")
        return line.removeprefix("aicq: ")


@pytest.fixture(scope="session", params=["redis", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with standing(request.param, tmp_path_factory.mktemp(request.param)) as service:
        yield service


@pytest.fixture
def shell(service: Service, tmp_path: Path) -> Shell:
    return Shell(service.url, tmp_path)


@pytest.fixture
def ada(shell: Shell) -> str:
    """The id of the shell's first agent."""
    return str(shell.json("register", "ada")["id"])
