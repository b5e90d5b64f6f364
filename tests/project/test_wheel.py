"""The wheel holds all that an installation needs, and nothing that is not AICQ's."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.project.openapi import ROOT


def files(directory: Path) -> set[str]:
    """Every file below, as it is named from where the directory lies."""
    found = (path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(directory.parent)) for path in found}


def test_the_wheel_ships_code_scripts_pages_and_migrations(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == files(ROOT / "src" / "aicq") | {f"aicq/{name}" for name in files(ROOT / "migrations")}
    assert {Path(name).suffix for name in packed} >= {".py", ".lua", ".sql", ".md", ".html", ".mako"}
