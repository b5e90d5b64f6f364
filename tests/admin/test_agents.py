"""Agents as admins see them, and through them what holds for every table's rows."""

import asyncio
import json
from typing import Any

import asyncpg
import httpx
import pytest
from nacl.signing import SigningKey

from tests.admin.samples import World
from tests.agents import error_of, public_key, register
from tests.messaging.conftest import until_blocked

pytestmark = pytest.mark.anyio

NOBODY = "019aa8f0-0000-7000-8000-000000000000"


@pytest.fixture
def hot_kind() -> str:
    return "postgres"


async def newest_log(database: asyncpg.Connection) -> dict[str, Any]:
    row = await database.fetchrow("SELECT * FROM audit_logs ORDER BY seq DESC LIMIT 1")
    assert row is not None
    return {**row, **{name: json.loads(row[name] or "null") for name in ("old_values", "new_values")}}


async def change(admin: httpx.AsyncClient, path: str, values: dict[str, Any], tag: str = "*") -> httpx.Response:
    return await admin.patch(path, json=values, headers={"If-Match": tag})


async def test_what_was_done_is_told_with_who_and_from_where(world: World) -> None:
    answer = await world.admin.post("/admin/agents", json={"name": "ada", "email": "ada@example.org"})
    path, agent_id = answer.headers["location"], answer.json()["id"]
    told = await newest_log(world.database)
    assert (told["action"], told["acted_as"], told["actor_id"]) == ("agents.create", "admin", None)
    assert (told["resource_type"], told["resource_id"]) == ("agents", agent_id)
    assert (told["request_id"], str(told["ip_address"])) == (answer.headers["x-request-id"], "127.0.0.1")
    assert (told["old_values"], told["new_values"]) == (None, {"name": "ada", "email": "***"})

    await change(world.admin, path, {"name": "eve", "email": "eve@example.org", "status": "active"})
    told = await newest_log(world.database)
    assert told["action"] == "agents.update"
    assert (told["old_values"], told["new_values"]) == (
        {"name": "ada", "email": "***"},
        {"name": "eve", "email": "***"},
    )

    await world.admin.delete(path)
    told = await newest_log(world.database)
    assert (told["action"], told["old_values"]["name"], told["new_values"]) == ("agents.delete", "eve", None)


async def test_a_change_that_changes_nothing_is_not_told_of(world: World) -> None:
    agent = await world.make("agents", name="ada")
    before = await newest_log(world.database)
    for values in ({}, {"name": "ada"}):
        answer = await change(world.admin, f"/admin/agents/{agent['id']}", values)
        assert (answer.status_code, answer.json()) == (200, agent)
    assert await newest_log(world.database) == before


async def test_what_fails_leaves_neither_a_row_nor_a_word(world: World) -> None:
    before = await newest_log(world.database)
    refused = await world.admin.post("/admin/agents", json={"team_id": NOBODY})
    assert (refused.status_code, refused.json()["field"]) == (422, "team_id")
    assert await newest_log(world.database) == before
    assert (await world.admin.get("/admin/agents")).json()["items"] == []


async def test_of_changes_made_at_once_one_wins_and_the_others_are_told(world: World) -> None:
    path = f"/admin/agents/{await world.id_of('agents')}"
    for turn in range(5):
        tag = (await world.admin.get(path)).headers["etag"]
        names = [f"winner {turn}.{n}" for n in range(4)]
        answers = await asyncio.gather(*(change(world.admin, path, {"name": name}, tag) for name in names))
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
        (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
        assert (await world.admin.get(path)).json() == winner


async def test_a_change_of_what_others_wrote_meanwhile_waits_and_is_refused(world: World) -> None:
    agent_id = await world.id_of("agents")
    path = f"/admin/agents/{agent_id}"
    tag = (await world.admin.get(path)).headers["etag"]
    async with world.database.transaction():
        await world.database.execute("UPDATE agents SET name = 'other' WHERE id = $1", agent_id)
        waiting = asyncio.create_task(change(world.admin, path, {"name": "mine"}, tag))
        await until_blocked(world.database)
    assert (await waiting).status_code == 412
    assert (await world.admin.get(path)).json()["name"] == "other"


async def test_who_gets_in_the_way_of_another_is_told_to_try_again(world: World) -> None:
    agent_id = await world.id_of("agents")
    async with world.database.transaction():
        await world.database.execute("SELECT FROM actors WHERE id = $1 FOR UPDATE", agent_id)
        waiting = asyncio.create_task(world.admin.delete(f"/admin/agents/{agent_id}"))
        await until_blocked(world.database)
        # Now each waits for the other; Postgres ends whoever has waited longest.
        await world.database.execute("UPDATE agents SET name = 'other' WHERE id = $1", agent_id)
    answer = await waiting
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await world.admin.get(f"/admin/agents/{agent_id}")).json()["name"] == "other"


@pytest.mark.parametrize("spelling", ['"nothing", {tag}', "{tag},", " {tag} ", "*", '{tag}, "x"'])
async def test_if_match_may_list_several_tags(world: World, spelling: str) -> None:
    path = f"/admin/agents/{await world.id_of('agents')}"
    tag = (await world.admin.get(path)).headers["etag"]
    assert (await change(world.admin, path, {"name": "x"}, spelling.format(tag=tag))).status_code == 200


@pytest.mark.parametrize("tag", ['"x"', "x", '""', ",", "W/{tag}", "{tag}x"])
async def test_any_other_tag_is_refused(world: World, tag: str) -> None:
    path = f"/admin/agents/{await world.id_of('agents')}"
    given = tag.replace("{tag}", (await world.admin.get(path)).headers["etag"])
    assert (await change(world.admin, path, {"name": "x"}, given)).status_code == 412


async def test_what_is_measured_changes_no_tag(world: World) -> None:
    agent_id = await world.id_of("agents")
    path = f"/admin/agents/{agent_id}"
    tag = (await world.admin.get(path)).headers["etag"]
    await world.database.execute("UPDATE agents SET success_rate = 0.5 WHERE id = $1", agent_id)
    measured = await world.admin.get(path)
    assert (measured.json()["success_rate"], measured.headers["etag"]) == (0.5, tag)


async def test_pages_neither_repeat_nor_skip_while_rows_come_and_go(world: World) -> None:
    kept = [await world.id_of("agents") for _ in range(6)]
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await world.admin.get("/admin/agents", params={"limit": 2, **cursor})).json()
        seen += [row["id"] for row in page["items"]]
        await world.make("agents")
        await world.admin.delete(f"/admin/agents/{page['items'][-1]['id']}")
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == kept[::-1]


async def test_a_list_is_asked_for_by_several_things_at_once(world: World) -> None:
    ada = await world.make("agents", name="Ada", status="paused")
    await world.make("agents", name="Adam")
    await world.make("agents", name="Eve", status="paused")
    found = (await world.admin.get("/admin/agents", params={"q": "ad", "status": "paused"})).json()
    assert found["items"] == [ada]


@pytest.mark.parametrize("prefix", ["%", "_", "\\", "a%", "'"])
async def test_a_prefix_means_itself(world: World, prefix: str) -> None:
    await world.make("agents", name="ada")
    meant = await world.make("agents", name=f"{prefix}da")
    found = (await world.admin.get("/admin/agents", params={"q": prefix})).json()
    assert found["items"] == [meant]


async def test_a_taken_key_is_a_conflict_in_any_spelling(world: World) -> None:
    key = public_key(SigningKey.generate())
    first = await world.make("agents", public_key=key)
    loose = key.rstrip("=")[:-1] + chr(ord(key.rstrip("=")[-1]) + 1) + "="
    for spelling in (key, loose):
        answer = await world.admin.post("/admin/agents", json={"public_key": spelling})
        assert (answer.status_code, answer.json()["field"]) == (409, "public_key")
    assert first["public_key"] == key


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"name": "x" * 101}, "name", "name: expected str of length <= 100"),
        ({"name": 5}, "name", "name: expected str or null, got int"),
        ({"name": "a\0b"}, "name", "name must not contain U+0000"),
        ({"status": "gone"}, "status", "status: not one of the values there are"),
        ({"tags": ["x", 5]}, "tags[1]", "tags[1]: expected str, got int"),
        ({"personality": {"a": "\0"}}, "personality", "personality must not contain U+0000"),
        ({"is_experimental": "true"}, "is_experimental", "is_experimental: expected bool, got str"),
        ({"team_id": "x"}, "team_id", "team_id: invalid UUID"),
        ({"team_id": NOBODY}, "team_id", "team_id points at nothing"),
        ({"slug": "A b"}, "slug", "slug: expected str matching regex '^[a-z0-9]+(-[a-z0-9]+)*$'"),
        ({"slug": "line\n"}, "slug", "slug is not allowed"),
        ({"type": " x"}, "type", "type is not allowed"),
        ({"type": "x", "name": None}, "type", "typed have a name"),
        ({"is_active": True}, "is_active", "unknown field"),
        ({"id": NOBODY}, "id", "unknown field"),
        ({"public_key": "x"}, "public_key", "invalid public key: not base64"),
    ],
)
async def test_what_cannot_be_is_told_with_its_field(
    world: World, values: dict[str, Any], field: str, sentence: str
) -> None:
    answer = await world.admin.post("/admin/agents", json=values)
    assert answer.status_code in {400, 422}
    assert (answer.json()["field"], error_of(answer)) == (field, sentence)


async def test_deleting_an_agent_takes_its_profile_and_leaves_what_it_wrote(
    world: World, http: httpx.AsyncClient
) -> None:
    ada = await register(http)
    said = (await ada.post("said")).json()["id"]
    assert (await world.admin.delete(f"/admin/agents/{ada.id}")).status_code == 204
    assert (await ada.post("more")).status_code == 403
    assert (await http.get(f"/who/{ada.id}")).status_code == 404
    row = await world.database.fetchrow("SELECT * FROM messages WHERE author_id = $1", ada.id)
    assert row is not None
    assert said
    assert await world.database.fetchval("SELECT deleted_at FROM actors WHERE id = $1", ada.id)


async def test_who_is_paused_posts_no_more(world: World, http: httpx.AsyncClient) -> None:
    ada = await register(http)
    assert (await ada.post("said")).status_code == 201
    await change(world.admin, f"/admin/agents/{ada.id}", {"status": "paused"})
    assert (await ada.post("more")).status_code == 403
    await change(world.admin, f"/admin/agents/{ada.id}", {"status": "active"})
    assert (await ada.post("again")).status_code == 201


async def test_what_still_points_at_a_row_stands_against_its_deletion(world: World) -> None:
    agent_id = await world.id_of("agents")
    await world.database.execute("INSERT INTO teams (name, slug, owner_id) VALUES ('t', 't', $1)", agent_id)
    answer = await world.admin.delete(f"/admin/agents/{agent_id}")
    assert (answer.status_code, error_of(answer)) == (409, "teams still point at it")
