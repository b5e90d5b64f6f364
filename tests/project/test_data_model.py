"""What docs/data-model.md maps and draws exists: it is looked up in a migrated database or in the code."""

import importlib
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest

from aicq.app import metadata
from aicq.settings import Environment
from tests.project.openapi import ROOT

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

PAGE = (ROOT / "docs" / "data-model.md").read_text()

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

VALUES = """
SELECT 'enum:' || typname AS place, array_agg(enumlabel::text) AS takes
FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid GROUP BY 1
UNION ALL
SELECT 'constraint:' || conname, array_agg(v[1])
FROM pg_constraint, regexp_matches(pg_get_constraintdef(oid), '''(\\w+)''::text', 'g') v WHERE contype = 'c' GROUP BY 1
"""

LISTED = re.compile(r"\((\w+(?:, \w+)+)\)")
"""Values, after the name of what takes them."""

FOREIGN_KEYS = """
SELECT DISTINCT confrelid::regclass::text, conrelid::regclass::text,
    CASE confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'r' THEN 'RESTRICT' WHEN 'n' THEN 'SET NULL' ELSE 'nothing' END
FROM pg_constraint WHERE contype = 'f'
"""

COLUMNS = """
SELECT attrelid::regclass::text, replace(format_type(atttypid, -1), 'timestamp with time zone', 'timestamptz'),
    attname::text,
    EXISTS (SELECT FROM pg_constraint WHERE conrelid = attrelid AND contype = 'p' AND attnum = ANY (conkey))
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
"""

DRAWING = re.compile(r"^```mermaid\nerDiagram\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEY = re.compile(r'^    (\w+) \|\|(--|\.\.)o[|{] (\w+) : "(.*)"$', re.MULTILINE)
TABLE = re.compile(r"^    (\w+) {\n((?:        \w+ \w+(?: PK)?\n)+)    }$", re.MULTILINE)
COLUMN = re.compile(r"^        (\w+) (\w+)( PK)?$", re.MULTILINE)

DRAWN = "".join(DRAWING.findall(PAGE))


def rows(system: str) -> list[tuple[str, str, str]]:
    """The table of one document: what it calls a thing, where that is here, and why it differs."""
    section = re.split(r"^#+ ", PAGE.partition(f"### {system}: ")[2], maxsplit=1, flags=re.MULTILINE)[0]
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


def has_call(document: str, call: str) -> bool:
    """Whether the OpenAPI document has a call, named by its method and path."""
    method, path = call.split()
    calls = document.partition(f"\n  {path}:\n")[2].partition("\n  /")[0]
    return f"    {method.lower()}:\n" in f"{calls}\n"


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
            "call": lambda call: has_call(calls, call),
            "command": commands.__contains__,
        }
        is_there = looked_up[kind](name) if kind in looked_up else f"{kind}:{name}" in catalogue
        if not is_there:
            yield f"{kind}:{name}"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.mark.anyio
async def test_everything_the_map_points_at_exists(connection: Connection) -> None:
    catalogue = {row[0] for row in await connection.fetch(CATALOGUE)}
    places = (place for system in SYSTEMS for _, where, _ in rows(system) for place in PLACE.findall(where))
    assert list(missing(places, catalogue)) == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_row_of_the_map_points_somewhere_or_says_why_not(system: str) -> None:
    assert [name for name, where, why in rows(system) if not PLACE.search(where) and not why] == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_thing_is_mapped_once(system: str) -> None:
    named = [name for name, _, _ in rows(system)]
    assert [name for name in named if named.count(name) > 1] == []


@pytest.mark.anyio
async def test_values_that_the_map_names_are_taken(connection: Connection) -> None:
    takes = {row["place"]: set(row["takes"]) for row in await connection.fetch(VALUES)}
    unknown = []
    for name, where, _ in (row for system in SYSTEMS for row in rows(system)):
        taken = {value for kind, place in PLACE.findall(where) for value in takes.get(f"{kind}:{place}", ())}
        named = {value for listed in LISTED.findall(name) for value in listed.split(", ")}
        unknown += [(name, named - taken)] if taken and named - taken else []
    assert unknown == []


@pytest.mark.anyio
async def test_every_foreign_key_is_drawn_with_what_a_delete_does(connection: Connection) -> None:
    drawn, apart = set(), set()
    for parent, line, child, label in KEY.findall(DRAWN):
        actions = re.findall("CASCADE|RESTRICT|SET NULL", label)
        assert ("no key" in label) == (line == "..") == (not actions), label
        drawn |= {(parent, child, action) for action in actions}
        apart |= {(parent, child)} if not actions else set()
    keys = {tuple(row) for row in await connection.fetch(FOREIGN_KEYS)}
    assert drawn == keys
    assert not apart & {key[:2] for key in keys}


@pytest.mark.anyio
async def test_columns_that_are_drawn_exist(connection: Connection) -> None:
    drawn = {
        (table, kind, name, bool(key))
        for table, body in TABLE.findall(DRAWN)
        for kind, name, key in COLUMN.findall(body)
    }
    columns = {tuple(row) for row in await connection.fetch(COLUMNS)}
    assert drawn - columns == set()


def test_every_table_is_drawn_and_nothing_else() -> None:
    tables = {table for parent, _, child, _ in KEY.findall(DRAWN) for table in (parent, child)}
    tables |= {table for table, _ in TABLE.findall(DRAWN)}
    assert tables == set(metadata().tables)
    assert KEY.sub("", TABLE.sub("", DRAWN)).strip() == ""


def test_every_column_is_told_of() -> None:
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", PAGE.partition("\n## The map\n")[0])) + DRAWN))
    columns = {f"{table}.{column.name}" for table, of in metadata().tables.items() for column in of.columns}
    assert {column for column in columns if column.partition(".")[2] not in told} == set()
