"""Documents that tell of the code stay true to it."""

import importlib
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec
import pytest
import yaml
from prometheus_client import REGISTRY

import aicq
from aicq.app import metadata
from aicq.cli import main
from aicq.db.reach import POOLED, POOLED_BESIDE_ENGINE, connections_needed
from aicq.errors import AICQError
from aicq.http.pages import read_text
from aicq.settings import DEFAULT_RATES, Environment, Rate, Settings
from tests.project.openapi import DOCUMENT, ROOT, document

CLIENTS = {"AICQ_URL": "http://127.0.0.1:8080", "AICQ_CONFIG": ""}
"""What the commands that speak to a running AICQ read; the service itself does not."""

README = (ROOT / "README.md").read_text()

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()

OPERATING = (ROOT / "docs" / "operating.md").read_text()

DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")})


def plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def settings_and_defaults() -> dict[str, str]:
    return {field.encode_name: plain(field.default) for field in msgspec.structs.fields(Environment)}


def example_lines() -> Iterator[tuple[str, str, str]]:
    """Each setting in `.env.example`, its value, and the line above it."""
    before = ""
    for line in (ROOT / ".env.example").read_text().splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            yield name, value, before
        before = line


def commands(group: click.Group, words: str = "aicq") -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, f"{words} {name}")
        else:
            yield f"{words} {name}"


def errors(of: type[AICQError] = AICQError) -> Iterator[type[AICQError]]:
    yield of
    for error in of.__subclasses__():
        yield from errors(error)


def everything() -> None:
    """Imports every module."""
    for module in pkgutil.walk_packages(aicq.__path__, "aicq."):
        if module.name != "aicq.__main__":
            importlib.import_module(module.name)


def tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    return set(listed.stdout.splitlines())


def test_the_example_lists_every_setting_with_its_default_and_nothing_else() -> None:
    lines = list(example_lines())
    assert {name: value for name, value, _ in lines} == {**settings_and_defaults(), **CLIENTS}
    assert len(lines) == len({name for name, _, _ in lines})


def test_the_example_says_of_every_setting_what_it_means() -> None:
    for name, _, before in example_lines():
        assert re.fullmatch(r"# [^-].+\.", before), name


def test_the_stack_passes_every_setting_on() -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["aicq"]
    of_the_image = {"HOST", "PORT", "AICQ_DATA_DIR", "MIGRATIONS_PATH"}
    assert set(service["environment"]) == set(settings_and_defaults()) - of_the_image


def test_the_stack_passes_on_what_was_set() -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["aicq"]
    for name, value in service["environment"].items():
        assert value.startswith(f"${{{name}:-"), name
    assert service["ports"] == ["${HOST:-127.0.0.1}:${PORT:-8080}:8080"]


def test_the_stacks_servers_are_pinned_watched_and_lose_nothing() -> None:
    stack = yaml.safe_load((ROOT / "compose.yaml").read_text())
    servers = {name: service for name, service in stack["services"].items() if name != "aicq"}
    for name, service in servers.items():
        assert re.search(r":\d+\.\d+\.\d+-", service["image"]), name
        assert {"healthcheck", "networks", "volumes", "restart"} <= service.keys(), name
        assert "ports" not in service, name
        assert service["volumes"][0].partition(":")[0] in stack["volumes"], name
    assert stack["services"]["aicq"]["depends_on"] == {each: {"condition": "service_healthy"} for each in servers}
    words = " ".join(servers["redis"]["command"])
    assert "--appendonly yes" in words
    assert "--maxmemory-policy noeviction" in words


def test_the_readme_names_settings_that_exist() -> None:
    table = README.partition("## Settings")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named
    assert named <= set(settings_and_defaults())


def test_the_readme_lists_every_limit() -> None:
    table = README.partition("## Limits")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|.*\| (\d+) in (\d+) s \|$", table, re.MULTILINE)
    assert {rule: Rate(int(limit), int(seconds) * 1000) for rule, limit, seconds in listed} == DEFAULT_RATES


def test_the_readme_lists_every_command_and_no_other() -> None:
    table = README.partition("## Commands")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(aicq [a-z -]+[a-z])", table, re.MULTILINE)
    assert sorted(listed) == sorted(commands(main))


def test_the_calls_that_the_readme_names_exist() -> None:
    paths = [
        f"{re.sub(r'{.*?}', '{}', path)}/" for path in re.findall(r"^  (/.*):$", DOCUMENT.read_text(), re.MULTILINE)
    ]
    named = {re.sub(r"{.*?}", "{}", path) for path in re.findall(r"`(?:[A-Z]+ )?(/[^`]*)`", README)}
    assert len(named) > 20
    assert {path for path in named if not any(known.startswith(f"{path.rstrip('/')}/") for known in paths)} == set()


def test_the_readmes_two_commands_are_a_line_each() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", README.partition("## First words")[0], re.MULTILINE | re.DOTALL)
    assert [block.strip().rpartition("&& ")[2] for block in blocks] == [".venv/bin/aicq serve", ".venv/bin/pytest"]
    assert all(block.count("\n") == 1 for block in blocks)


def test_the_changelog_tells_each_thing_once() -> None:
    told = re.findall(r"^- (.*?)[,:;.]", CHANGELOG, re.MULTILINE)
    assert [thing for thing in told if told.count(thing) > 1] == []


def test_the_openapi_document_is_the_codes() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "`just openapi` writes it anew"


def test_every_error_is_listed_with_its_status_and_sentence() -> None:
    everything()
    rows = [
        [cell.strip(" `") for cell in row.strip("| ").split(" | ")[:3]]
        for row in re.findall(r"^\| `.*$", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    ]
    assert len(rows) == len({name for name, _, _ in rows})
    assert {name: (status, sentence) for name, status, sentence in rows} == {
        error.__name__: (str(error.status or "none"), error.__doc__)
        for error in errors()
        if error.__module__.startswith("aicq.")
    }


def test_the_limits_that_agents_are_told_are_the_limits() -> None:
    windows = {"a minute": 60_000, "an hour": 3_600_000, "at a time": 60_000}
    told = {}
    for rule, limit in re.findall(r"^\| `(\w+)` \| (.*?) \|", read_text("onboarding.md"), re.MULTILINE):
        if limit[0].isdecimal():
            window = next(length for words, length in windows.items() if limit.endswith(words))
            told[rule] = Rate(int(limit.split()[0]), window)
    of_people = {"signup", "login", "account", "refresh"}
    assert told == {rule: rate for rule, rate in DEFAULT_RATES.items() if rule not in of_people}


def test_the_calls_that_agents_are_told_of_exist() -> None:
    paths = yaml.safe_load(DOCUMENT.read_text())["paths"]
    known = {f"{method.upper()} {re.sub(r'{.*?}', '{}', path)}" for path in paths for method in paths[path]}
    told = re.findall(r"`((?:GET|POST|PATCH|DELETE) /[^`?]*)", read_text("onboarding.md"))
    assert len(told) > 10
    assert {re.sub(r"{.*?}", "{}", call) for call in told} <= known


def test_every_metric_is_explained_to_those_who_run_the_service() -> None:
    everything()
    told = re.findall(r"^\| `(aicq_\w+)` \|", OPERATING, re.MULTILINE)
    kept = [family for family in REGISTRY.collect() if family.name.startswith("aicq_")]
    names = [f"{family.name}_total" if family.type == "counter" else family.name for family in kept]
    assert sorted(told) == sorted(names)


def test_the_connections_that_a_worker_opens_are_told() -> None:
    settings = Settings(database_url="postgresql://nowhere/none", data_dir=ROOT, migrations_path=ROOT / "migrations")
    assert f"`DATABASE_POOL_SIZE + DATABASE_POOL_OVERFLOW + {POOLED_BESIDE_ENGINE}`" in OPERATING
    assert f"That is {connections_needed(settings)} with the defaults." in OPERATING


def test_a_pooler_is_told_to_ignore_what_sessions_are_told() -> None:
    assert f"`ignore_startup_parameters = {','.join(POOLED)}`" in OPERATING
    assert set(re.findall(r"^ALTER ROLE aicq SET (\w+) = (\w+);$", OPERATING, re.MULTILINE)) == set(POOLED.items())


def test_every_table_is_in_the_data_model_once() -> None:
    told = (ROOT / "docs" / "data-model.md").read_text()
    assert sorted(re.findall(r"\*\*`(\w+)`\*\*", told)) == sorted(metadata().tables)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_document_names_exists(page: Path) -> None:
    text = page.read_text()
    links = [urlsplit(link).path for link in re.findall(r"\]\(([^)#]+)\)", text) if not urlsplit(link).scheme]
    missing = [link for link in links if not (page.parent / link).exists()]
    quoted = re.findall(r"`((?:src|tests|docs|migrations|requirements)/[\w./*-]*|[\w-]+\.(?:toml|yaml|lock))`", text)
    missing += [path for path in quoted if path != "uv.lock" and not list(ROOT.glob(path.rstrip("/")))]
    assert not missing


def test_every_decision_has_its_parts() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        text = page.read_text()
        assert text.startswith(f"# {page.name[:4]} "), page.name
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
            "Alternatives",
            "References",
        ], page.name


def test_requirements_are_pinned_with_hashes_and_name_no_place() -> None:
    for file in sorted((ROOT / "requirements").iterdir()):
        text = file.read_text()
        assert "//" not in text, file.name
        assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE), file.name
        pins = re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
        assert pins, file.name
        assert all(re.match(r"[a-z0-9.-]+(\[[a-z,]+\])?==", pin) and "--hash=sha256:" in pin for pin in pins), file.name


def test_requirements_for_running_and_building_are_a_part_of_those_for_developing() -> None:
    pins = {
        file.stem: set(re.findall(r"^[a-z0-9].*?==[^ ;]+", file.read_text(), re.MULTILINE))
        for file in (ROOT / "requirements").iterdir()
    }
    assert pins["runtime"] | pins["build"] <= pins["dev"]


def test_no_lock_file_is_kept() -> None:
    assert "uv.lock" in (ROOT / ".gitignore").read_text().splitlines()
    assert not {path for path in tracked() if path.endswith(("uv.lock", ".env"))}
