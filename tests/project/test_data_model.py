"""The map in docs/data-model.md tells of things that exist: each is looked up in a migrated database or in the code."""

import importlib
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import msgspec
import pytest

from aicq.settings import Environment
from tests.project.openapi import ROOT

SYSTEMS = ("S0", "S1", "S2", "S3", "S4")

PLACE = re.compile(r"`(table|column|index|constraint|trigger|function|enum|code|setting|redis|call|command):([^`]+)`")

CATALOGUE = """
SELECT 'table:' || relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'index:' || relname FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'column:' || attrelid::regclass || '.' || attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint:' || conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'trigger:' || tgrelid::regclass || '.' || tgname FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function:' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'enum:' || typname FROM pg_type WHERE typtype = 'e' AND typnamespace = 'public'::regnamespace
"""


def rows(system: str) -> list[tuple[str, str, str]]:
    """The table of one document: what it calls a thing, where that is here, and why it differs."""
    page = (ROOT / "docs" / "data-model.md").read_text()
    section = re.split(r"^#+ ", page.partition(f"### {system}: ")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] for line in lines]
    return [(name, place, why) for name, place, why in cells]


def missing_code(path: str) -> bool:
    """Whether `module:Name.attribute`, written with dots alone, leads nowhere."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for name in parts[count:]:
            if not hasattr(found, name) and name not in getattr(found, "__annotations__", {}):
                return True
            found = getattr(found, name, None)
        return False
    return True


def missing(places: Iterator[tuple[str, str]], catalogue: set[str]) -> Iterator[str]:
    settings = {field.encode_name for field in msgspec.structs.fields(Environment)}
    keys = (ROOT / "src" / "aicq" / "hot" / "keys.py").read_text()
    calls = (ROOT / "docs" / "openapi.yaml").read_text()
    commands = (ROOT / "README.md").read_text()
    for kind, name in places:
        looked_up = {
            "code": lambda path: not missing_code(path),
            "setting": settings.__contains__,
            "redis": keys.__contains__,
            "call": lambda path: f"{path.split()[-1]}:" in calls,
            "command": commands.__contains__,
        }
        is_there = looked_up[kind](name) if kind in looked_up else f"{kind}:{name}" in catalogue
        if not is_there:
            yield f"{kind}:{name}"


@pytest.mark.anyio
@pytest.mark.parametrize("system", SYSTEMS)
async def test_everything_the_map_points_at_exists(system: str, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        catalogue = {row[0] for row in await connection.fetch(CATALOGUE)}
    finally:
        await connection.close()
    places = (place for _, where, _ in rows(system) for place in PLACE.findall(where))
    assert list(missing(places, catalogue)) == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_row_of_the_map_points_somewhere_or_says_why_not(system: str) -> None:
    assert [name for name, where, why in rows(system) if not PLACE.search(where) and not why] == []
