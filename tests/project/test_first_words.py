"""What the README shows works as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

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
