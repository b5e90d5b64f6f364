"""The Containerfile's own commands, run in a clean folder, so that they cannot rot where no engine is."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.service import free_port, wait_until
from tests.project.openapi import ROOT

FOLDERS = re.compile(r"(?<![\w.}])/(build|app|data)\b")
"""The image's folders, which lie in the test's."""

ENOUGH = 600
"""Seconds for everything to be fetched and installed."""

pytestmark = pytest.mark.timeout(ENOUGH)


def stages() -> list[list[tuple[str, str]]]:
    """The Containerfile's instructions, each with what it says, by stage."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Containerfile").read_text(), flags=re.MULTILINE)
    found: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, text.replace("\\\n", " ").splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest.strip()))
    return found


def said(stage: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for each, rest in stage if each == word]


BUILD, FINAL = stages()

OPTIONS = dict(part.partition("=")[::2] for rest in said(FINAL, "ENV") for part in rest.split())


class Folder:
    """What stands for the image's file system.

    Args:
        root: An empty folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        for name in ("build", "app", "data"):
            (root / name).mkdir()
        self.path = f"{self._programs()}:{os.environ['PATH']}"

    def inside(self, text: str) -> str:
        """A text with the image's folders replaced by ours."""
        return FOLDERS.sub(lambda found: f"{self._root}/{found[1]}", text)

    def _programs(self) -> Path:
        """The image's `python` and `pip`, which change nothing outside."""
        base, programs, python = self._root / "base", self._root / "programs", Path(sys.base_prefix) / "bin" / "python3"
        subprocess.run([python, "-m", "venv", "--without-pip", base], check=True)
        programs.mkdir()
        for name, words in {
            "python": f'"{base}/bin/python" "$@"',
            # The last of two --python counts, so the Containerfile's own does.
            "pip": f'"{python}" -m pip --python "{base}/bin/python" "$@"',
        }.items():
            (programs / name).write_text(f"#!/bin/sh\nexec {words}\n")
            (programs / name).chmod(0o755)
        return programs

    def build(self) -> None:
        """Does what the first stage says."""
        context = self._context()
        for word, rest in BUILD:
            if word == "COPY":
                *sources, target = rest.split()
                for source in sources:
                    within = Path(source).name if target.endswith("/") else ""
                    copy(context / source, self._root / "build" / target / within)
            elif word == "RUN":
                environment = {"PATH": self.path, "HOME": str(self._root), **forwarded()}
                where = self._root / "build"
                subprocess.run(["sh", "-euc", self.inside(rest)], cwd=where, env=environment, check=True)
            else:
                assert word in {"FROM", "WORKDIR"}, word

    def _context(self) -> Path:
        """What an engine would be given: all that `.dockerignore` does not leave out."""
        everything, *rules = (ROOT / ".dockerignore").read_text().split()
        assert everything == "*"
        for name in (rule.removeprefix("!") for rule in rules if rule.startswith("!")):
            copy(ROOT / name, self._root / "context" / name)
        return self._root / "context"


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def forwarded() -> dict[str, str]:
    """Where this machine's pip finds packages."""
    return {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http", "HTTP"))}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("image"))
    folder.build()
    return folder


def test_what_was_built_serves_and_its_health_check_sees_it(image: Folder) -> None:
    port = str(free_port())
    environment = {name: image.inside(value.replace("$PATH", image.path)) for name, value in OPTIONS.items()}
    environment |= {"PORT": port, "HOST": "127.0.0.1", "HOME": image.inside("/data")}
    words = json.loads(said(FINAL, "ENTRYPOINT")[0]) + json.loads(said(FINAL, "CMD")[0])
    (check,) = said(FINAL, "HEALTHCHECK")
    probe = json.loads(check.partition(" CMD ")[2])
    assert subprocess.run(probe, env=environment, check=False, capture_output=True).returncode == 1
    with subprocess.Popen(words, env=environment, cwd=image.inside("/data")) as service:
        try:
            wait_until(lambda: subprocess.run(probe, env=environment, check=False, capture_output=True).returncode == 0)
        finally:
            service.terminate()
    assert service.returncode == 0


def test_the_image_holds_no_tool_of_its_making(image: Folder) -> None:
    programs = {path.name for path in Path(image.inside("/app/bin")).iterdir()}
    assert "aicq" in programs
    assert not programs & {"pip", "pytest", "ruff", "hatchling", "just"}
    assert [rest for rest in said(FINAL, "COPY") if "--from=build" not in rest] == []


def test_it_runs_without_root_and_keeps_its_data_in_a_volume() -> None:
    (user,) = said(FINAL, "USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert said(FINAL, "VOLUME") == [OPTIONS["AICQ_DATA_DIR"]]
    assert said(FINAL, "EXPOSE") == [OPTIONS["PORT"]]
    assert f"useradd --uid {user.partition(':')[0]} " in said(FINAL, "RUN")[0]


def test_both_stages_stand_on_the_same_pinned_image() -> None:
    bases = [rest.partition(" AS ")[0] for stage in (BUILD, FINAL) for rest in said(stage, "FROM")]
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", bases[0])
