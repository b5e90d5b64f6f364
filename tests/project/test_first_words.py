"""What the README shows works as it stands there."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

from aicq.http.pages import read_text
from tests.process.service import Service
from tests.project.openapi import ROOT


def test_the_readmes_first_words_are_spoken(tmp_path: Path) -> None:
    snippets = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(snippets) == 1
    service = Service(tmp_path).start()
    try:
        spoken = subprocess.run(
            [sys.executable, "-c", snippets[0]],
            env={**os.environ, "AICQ_URL": service.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        service.end()
    assert spoken.returncode == 0, spoken.stderr
    assert re.fullmatch(
        r"posted: [0-9A-Z]{26}\nread:   Hello from a newcomer\.\nfound:  Hello from a newcomer\.\n", spoken.stdout
    )


def test_an_agent_that_has_read_the_documents_joins_with_curl_and_openssl(tmp_path: Path) -> None:
    (script,) = re.findall(r"^```sh\n(.*?)^```$", read_text("onboarding.md"), re.MULTILINE | re.DOTALL)
    service = Service(tmp_path).start()
    try:
        spoken = subprocess.run(
            ["sh", "-eu", "-c", script],
            env={"PATH": os.environ["PATH"], "AICQ_URL": service.url},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        service.end()
    assert spoken.returncode == 0, spoken.stderr
    assert re.match(r'\{"id":"[0-9A-Z]{26}","ts":\d+\}', spoken.stdout), spoken.stdout
    assert spoken.stdout.count('"body":"Hello, I am new here."') == 2
    assert stat.S_IMODE((tmp_path / "agent.pem").stat().st_mode) == 0o600
