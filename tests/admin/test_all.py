"""What holds for every resource alike: each is walked through all of its calls."""

import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import jsonschema_rs
import pytest
import yaml
from litestar import Litestar

from aicq.app import create_app
from aicq.db.plugin import DatabasePlugin
from aicq.http.resources.resource import Resource
from aicq.settings import load
from tests.admin.conftest import RESOURCES, TOKEN
from tests.admin.samples import SAMPLES, SECRETS, World
from tests.agents import error_of
from tests.conftest import RAISED_LIMITS, running
from tests.db.observed import statements_of
from tests.project.openapi import DOCUMENT
from tests.servers import Databases

pytestmark = pytest.mark.anyio

TOLD: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text())

SECRET = re.compile(r"hash$|secret|passw|token(?!s$|_count$)|^key$|ciphertext")

WITHOUT = {
    "actors": "an anchor, which comes and goes with its agent or user by triggers",
    "alembic_version": "migrations keep it",
    "messages": "the log, which is written by one function; /admin/messages lists it and deletes through it",
    "nonces": "each is good for minutes, and one that was taken away could be shown again",
    **dict.fromkeys(
        (
            "hot_blocks",
            "hot_limit_hits",
            "hot_locks",
            "hot_mark",
            "hot_members",
            "hot_messages",
            "hot_spans",
            "hot_store",
            "hot_values",
        ),
        "the hot store keeps it; /admin/hot tells of it",
    ),
}
"""Tables that admins have no such calls for, and why."""

HOSTILE = [
    None,
    True,
    -1,
    10**30,
    1.5,
    1e308,
    "",
    "\x00",
    "x" * 20_000,
    "' OR 1=1; DROP TABLE agents; --",
    [],
    [None],
    ["\x00"],
    {},
    {"\x00": "\x00"},
    {"a": {"b": ["\x00"]}},
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "00000000-0000-0000-0000-000000000000",
    "NaN",
    "Infinity",
    "null",
]


@pytest.fixture(scope="module")
async def app(
    databases: Databases,
    tmp_path_factory: pytest.TempPathFactory,
    anyio_backend: object,  # noqa: ARG001 - runs asynchronous fixtures
) -> AsyncIterator[Litestar]:
    """One app for all tests of the module; the hot store plays no part in them."""
    name = await databases.make()
    servers = {"DATABASE_URL": databases.url(name), "AICQ_DATA_DIR": str(tmp_path_factory.mktemp("data"))}
    yield create_app(load({**servers, **RAISED_LIMITS, "AICQ_ADMIN_TOKEN": TOKEN}))
    await databases.drop(name)


@pytest.fixture(scope="module")
async def world(app: Litestar) -> AsyncIterator[World]:
    """Makes rows; those of other tests are there as well."""
    async with running(app) as admin:
        admin.headers["Authorization"] = f"Bearer {TOKEN}"
        database = await asyncpg.connect(app.plugins.get(DatabasePlugin).database.url)
        yield World(admin, database)
        await database.close()


@pytest.fixture(params=RESOURCES)
def resource(request: pytest.FixtureRequest) -> Resource:
    return RESOURCES[request.param]


def assert_told(answer: httpx.Response, path: str) -> None:
    """The answer is as the document says."""
    responses = TOLD["paths"][path][answer.request.method.lower()]["responses"]
    told = responses.get(str(answer.status_code))
    assert told, f"{answer.request.method} {path} {answer.status_code} is not in the document: {answer.text}"
    for kind, content in told.get("content", {}).items():
        assert answer.headers["content-type"].partition(";")[0] == kind
        schema = {**content["schema"], "components": TOLD["components"]}
        jsonschema_rs.validator_for(schema).validate(answer.json())
    assert all(name in answer.headers for name in told.get("headers", {}))


def keyed(resource: Resource) -> str:
    return f"/admin/{resource.name}" + "".join(f"/{{{name}}}" for name in resource.key)


def path_of(resource: Resource, row: dict[str, Any]) -> str:
    return f"/admin/{resource.name}/" + "/".join(str(row[name]) for name in resource.key)


async def some_row(resource: Resource, world: World) -> dict[str, Any]:
    """A row of the resource, made by an admin if admins can."""
    if resource.new_type is not None:
        return await world.make(resource.name)
    await SAMPLES[resource.name].new(world)
    row: dict[str, Any] = (await world.admin.get(f"/admin/{resource.name}")).json()["items"][0]
    return row


async def told_of(database: "asyncpg.Connection[asyncpg.Record]", resource: Resource, verb: str) -> int:
    count: int = await database.fetchval(
        "SELECT count(*) FROM audit_logs WHERE action = $1 AND acted_as = 'admin'", f"{resource.name}.{verb}"
    )
    return count


def test_every_resource_has_a_sample() -> None:
    assert set(SAMPLES) == set(RESOURCES)


async def test_every_table_is_one_that_admins_see_or_is_told_why_not(world: World) -> None:
    tables = await world.database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert RESOURCES.keys() | WITHOUT.keys() == {row[0] for row in tables}
    assert not RESOURCES.keys() & WITHOUT.keys()


async def test_a_row_is_added_and_found(resource: Resource, world: World) -> None:
    path = f"/admin/{resource.name}"
    if resource.new_type is None:
        assert (await world.admin.post(path, json={})).status_code == 405
        return
    new = await SAMPLES[resource.name].new(world)
    before = await told_of(world.database, resource, "create")
    answer = await world.admin.post(path, json=new)
    assert answer.status_code == 201, answer.text
    assert_told(answer, path)
    assert answer.headers["location"] == path_of(resource, answer.json())
    found = await world.admin.get(answer.headers["location"])
    assert_told(found, keyed(resource))
    assert (found.json(), found.headers["etag"]) == (answer.json(), answer.headers["etag"])
    assert_told(await world.admin.get(path), path)
    assert answer.json() in await everything(world, resource, limit=200)
    assert await told_of(world.database, resource, "create") == before + 1


async def test_a_row_is_changed_once_for_each_reading(resource: Resource, world: World) -> None:
    row = await some_row(resource, world)
    path, change = path_of(resource, row), SAMPLES[resource.name].change
    if resource.change_type is None:
        assert (await world.admin.patch(path, json={})).status_code == 405
        return
    assert change, "a sample of a change is wanted"
    before = await told_of(world.database, resource, "update")
    tag = (await world.admin.get(path)).headers["etag"]
    changed = await world.admin.patch(path, json=change, headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    assert_told(changed, keyed(resource))
    shown = {name: value for name, value in change.items() if name not in resource.secrets}
    assert {name: changed.json()[name] for name in shown} == shown
    assert (await world.admin.get(path)).json() == changed.json()
    assert await told_of(world.database, resource, "update") == before + 1
    assert changed.headers["etag"] != tag
    refused = await world.admin.patch(path, json=change, headers={"If-Match": tag})
    assert refused.status_code == 412
    assert_told(refused, keyed(resource))


async def test_a_change_wants_to_know_what_was_read(resource: Resource, world: World) -> None:
    if resource.change_type is None:
        return
    path = path_of(resource, await some_row(resource, world))
    refused = await world.admin.patch(path, json=SAMPLES[resource.name].change)
    assert (refused.status_code, refused.json()["field"]) == (428, "If-Match")
    assert_told(refused, keyed(resource))


async def test_a_row_is_deleted_where_rows_may_be(resource: Resource, world: World) -> None:
    row = await some_row(resource, world)
    path = path_of(resource, row)
    before = await told_of(world.database, resource, "delete")
    if not resource.can_delete:
        assert (await world.admin.delete(path)).status_code == 405
        return
    refused = await world.admin.delete(path, headers={"If-Match": '"another"'})
    assert refused.status_code == 412
    answer = await world.admin.delete(path, headers={"If-Match": (await world.admin.get(path)).headers["etag"]})
    assert answer.status_code == 204, answer.text
    assert await told_of(world.database, resource, "delete") == before + 1
    left = await world.admin.get(path)
    assert left.status_code == 404 or left.json()["deleted_at"] is not None
    again = await world.admin.delete(path)
    assert again.status_code in {404, 409}
    assert_told(again, keyed(resource))
    assert await told_of(world.database, resource, "delete") == before + 1


async def everything(world: World, resource: Resource, **query: Any) -> list[dict[str, Any]]:
    """All rows of a list, page by page."""
    rows: list[dict[str, Any]] = []
    while True:
        answer = await world.admin.get(f"/admin/{resource.name}", params=query)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["items"]
        if answer.json()["next"] is None:
            return rows
        query["cursor"] = answer.json()["next"]


async def test_pages_hold_every_row_once(resource: Resource, world: World) -> None:
    for _ in range(5):
        await some_row(resource, world)
    rows = await everything(world, resource, limit=200)
    count = await world.database.fetchval(f"SELECT count(*) FROM {resource.name}")
    assert len(rows) == len({path_of(resource, row) for row in rows}) == count
    assert await everything(world, resource, limit=max(2, count // 7)) == rows


async def test_a_page_takes_one_statement_however_long_it_is(resource: Resource, world: World, app: Litestar) -> None:
    for _ in range(3):
        await some_row(resource, world)
    with statements_of(app.plugins.get(DatabasePlugin).database.config.get_engine()) as statements:
        for limit in (1, 200):
            answer = await world.admin.get(f"/admin/{resource.name}", params={"limit": limit})
            assert len(answer.json()["items"]) >= min(limit, 3)
        assert len(statements) == 2


async def test_lists_are_asked_for_by_each_of_their_filters(resource: Resource, world: World) -> None:
    row = await some_row(resource, world)
    path = f"/admin/{resource.name}"
    for name in resource.filters:
        assert row[name] is not None or resource.fields[name].nullable
        if row[name] is not None:
            value = str(row[name]).lower() if isinstance(row[name], bool) else row[name]
            found = await everything(world, resource, limit=200, **{name: value})
            assert row in found
            assert {each[name] for each in found} == {row[name]}
        for value in ("' OR true --", "\x00", "null", "9" * 30, "x" * 20_000):
            answer = await world.admin.get(path, params={name: value})
            assert_told(answer, path)
            assert answer.status_code == 400 or answer.json()["items"] == []


async def test_what_no_document_tells_of_is_refused(resource: Resource, world: World) -> None:
    path = f"/admin/{resource.name}"
    for cursor in ("", "x", "W10", "bnVsbA", "WyJcdTAwMDAiXQ", "é", "=" * 8, "A" * 2_000):
        answer = await world.admin.get(path, params={"cursor": cursor})
        assert (answer.status_code, answer.json()["field"]) == (400, "cursor"), cursor
        assert_told(answer, path)
    for name, value in (("limit", "0"), ("limit", "201"), ("limit", "x"), ("limit", "9" * 30), ("unknown", "1")):
        answer = await world.admin.get(path, params={name: value})
        assert (answer.status_code, answer.json()["field"]) == (400, name), value
        assert_told(answer, path)
    for part in ("%00", "x", "-1", "9" * 40, "%F0%28%8C%28", "'%20OR%20true%20--", "1%2F2"):
        for method in ("GET", "DELETE"):
            answer = await world.admin.request(method, f"{path}/" + "/".join(part for _ in resource.key))
            assert answer.status_code in {400, 404, 405}, answer.text
            error_of(answer)


async def test_whatever_is_written_into_a_field_is_stored_or_refused_by_name(resource: Resource, world: World) -> None:
    if resource.new_type is None:
        return
    path = f"/admin/{resource.name}"
    for name in resource.new_type.__struct_fields__:
        for value in HOSTILE:
            new = {**await SAMPLES[resource.name].new(world), name: value}
            answer = await world.admin.post(path, json=new)
            assert_told(answer, path)
            assert answer.status_code in {201, 400, 409, 422}, answer.text
            if answer.status_code != 201:
                assert answer.json().get("field"), f"{name}: {value!r} {answer.text}"


async def test_a_body_that_is_not_in_the_document_is_refused(resource: Resource, world: World) -> None:
    if resource.new_type is None:
        return
    path = f"/admin/{resource.name}"
    kind = {"Content-Type": "application/json"}
    for body in (b"", b"{", b"[]", b"null", b'{"a":1}', b"[" * 100_000, b'{"name":"\xff"}', b'{"\\ud800":1}'):
        answer = await world.admin.post(path, content=body, headers=kind)
        assert answer.status_code in {400, 422}, answer.text
        assert_told(answer, path)
    large = await world.admin.post(path, content=b'{"a":"' + b"x" * 1_048_576 + b'"}', headers=kind)
    assert large.status_code == 413
    other = await world.admin.post(path, content=b"{}", headers={"Content-Type": "text/plain"})
    assert other.status_code == 415
    assert_told(other, path)


async def test_what_is_derived_is_not_written(resource: Resource, world: World) -> None:
    for method, wanted in (("POST", resource.new_type), ("PATCH", resource.change_type)):
        if wanted is None:
            continue
        path = f"/admin/{resource.name}" if method == "POST" else path_of(resource, await some_row(resource, world))
        for name in {*resource.fields} - {*wanted.__struct_fields__}:
            answer = await world.admin.request(method, path, json={name: None}, headers={"If-Match": "*"})
            assert answer.status_code == 422, name


async def test_nothing_opens_without_the_token(world: World) -> None:
    for path, methods in TOLD["paths"].items():
        for method, operation in methods.items():
            if operation.get("security") == [{"Admin": []}]:
                headers = {"Authorization": ""}
                answer = await world.admin.request(method, re.sub(r"{\w+}", "x", path), headers=headers)
                assert answer.status_code == 401, f"{method} {path}"
                assert answer.headers["www-authenticate"] == "Bearer"
                assert_told(answer, path)


async def test_no_secret_is_in_any_answer(world: World) -> None:
    answers: list[httpx.Response] = []

    async def keep(answer: httpx.Response) -> None:
        await answer.aread()
        answers.append(answer)

    world.admin.event_hooks = {"response": [keep]}
    for resource in RESOURCES.values():
        row = await some_row(resource, world)
        path, sample = path_of(resource, row), SAMPLES[resource.name]
        await world.admin.patch(path, json=dict(sample.change), headers={"If-Match": "*"})
        await world.admin.get(path)
        await world.admin.get(f"/admin/{resource.name}")
        for name in resource.secrets:
            await world.admin.patch(path, json={name: "x"}, headers={"If-Match": "*"})
    await world.admin.get("/admin/audit_logs", params={"limit": 200})

    secrets = {*SECRETS}
    columns = await world.database.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    )
    for table, column in columns:
        if SECRET.search(column) and table in RESOURCES:
            assert column not in {field.name for field in RESOURCES[table].shown}
            rows = await world.database.fetch(f'SELECT "{column}"::text FROM "{table}" WHERE "{column}" IS NOT NULL')
            secrets |= {row[0] for row in rows}
    assert len(secrets) > 1
    assert len(answers) > 4 * len(RESOURCES)
    for answer in answers:
        for secret in secrets:
            assert secret not in answer.text, answer.request.url
