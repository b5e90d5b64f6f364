"""Teams: who makes them, who belongs to them, who may change what."""

import asyncio
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import httpx
import pytest

from aicq.auth.secrets import Box
from tests.agents import Agent, error_of, register
from tests.messaging.conftest import locked, until_blocked
from tests.people import Person, sign_up

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

Caller: TypeAlias = Person | Agent


async def make_team(owner: Caller, slug: str = "red", **more: Any) -> str:
    answer = await owner.send("POST", "/v1/teams", {"name": "Red", "slug": slug, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def put(caller: Caller, team: str, member: Caller, role: str = "member") -> httpx.Response:
    return await caller.send("PUT", f"/v1/teams/{team}/members/{member.id}", {"role": role})


async def remove(caller: Caller, team: str, member: Caller) -> httpx.Response:
    return await caller.send("DELETE", f"/v1/teams/{team}/members/{member.id}")


async def roles(caller: Caller, team: str) -> dict[str, str]:
    """Each member's role."""
    answer = await caller.send("GET", f"/v1/teams/{team}/members")
    assert answer.status_code == 200, answer.text
    return {member["actor_id"]: member["role"] for member in answer.json()["items"]}


async def test_who_makes_a_team_owns_it(http: httpx.AsyncClient) -> None:
    ada = await register(http)
    team = await make_team(ada, settings={"tone": "calm"}, conversation_retention_days=30)
    shown = (await ada.send("GET", f"/v1/teams/{team}")).json()
    assert (shown["owner_id"], shown["settings"]) == (ada.id, {"tone": "calm"})
    assert shown["conversation_retention_days"] == 30
    assert await roles(ada, team) == {ada.id: "owner"}
    assert [each["id"] for each in (await ada.send("GET", "/v1/teams")).json()["items"]] == [team]


async def test_an_agent_can_do_whatever_a_person_can(http: httpx.AsyncClient) -> None:
    scout, ada = await register(http), await sign_up(http)
    team = await make_team(scout)
    assert (await put(scout, team, ada, "admin")).status_code == 204
    assert await roles(ada, team) == {scout.id: "owner", ada.id: "admin"}


async def test_a_webhooks_secret_is_kept_encrypted_and_never_shown(
    http: httpx.AsyncClient, database: Connection
) -> None:
    ada = await register(http)
    team = await make_team(ada, webhook_url="https://x.io/hook", webhook_secret="whisper")
    assert "whisper" not in (await ada.send("GET", f"/v1/teams/{team}")).text
    kept = await database.fetchval("SELECT webhook_secret FROM teams")
    assert "whisper" not in kept
    assert Box("a secret key for tests").open(kept) == "whisper"
    assert not await database.fetch("SELECT FROM audit_logs WHERE new_values::text LIKE '%whisper%'")
    await ada.send("PATCH", f"/v1/teams/{team}", {"webhook_secret": None})
    assert await database.fetchval("SELECT webhook_secret FROM teams") is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"slug": "A b"}, "slug"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"conversation_retention_days": 0}, "conversation_retention_days"),
        ({"webhook_url": "ftp://x"}, "webhook_url"),
        ({"owner_id": str(uuid4())}, "owner_id"),
    ],
)
async def test_what_cannot_be_a_team_is_told_with_its_field(
    http: httpx.AsyncClient, wrong: dict[str, object], field: str
) -> None:
    ada = await register(http)
    answer = await ada.send("POST", "/v1/teams", {"name": "Red", "slug": "red"} | wrong)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_slug_belongs_to_one_team(http: httpx.AsyncClient) -> None:
    ada = await register(http)
    await make_team(ada)
    answer = await ada.send("POST", "/v1/teams", {"name": "Other", "slug": "red"})
    assert (answer.status_code, answer.json()["field"]) == (409, "slug")


async def test_nobody_else_knows_of_a_team(http: httpx.AsyncClient) -> None:
    ada, eve = await register(http), await register(http)
    team = await make_team(ada)
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/members", None),
        ("PATCH", "", {"name": "Mine"}),
        ("DELETE", "", None),
        ("PUT", f"/members/{eve.id}", {"role": "owner"}),
        ("DELETE", f"/members/{ada.id}", None),
    ):
        theirs = await eve.send(method, f"/v1/teams/{team}{path}", body)
        none = await eve.send(method, f"/v1/teams/{uuid4()}{path}", body)
        assert (theirs.status_code, error_of(theirs)) == (404, "team not found"), (method, path)
        assert (none.status_code, error_of(none)) == (404, "team not found"), (method, path)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("owner", {"look", "change", "add", "promote", "delete"}),
        ("admin", {"look", "change", "add"}),
        ("member", {"look"}),
        ("viewer", {"look"}),
    ],
)
async def test_a_role_allows_what_it_is_for(http: httpx.AsyncClient, role: str, may: set[str]) -> None:
    owner, ada, scout = await register(http), await register(http), await register(http)
    team = await make_team(owner)
    await put(owner, team, ada, role)
    done = {
        "look": (await ada.send("GET", f"/v1/teams/{team}")).status_code == 200,
        "change": (await ada.send("PATCH", f"/v1/teams/{team}", {"name": "Blue"})).status_code == 200,
        "add": (await put(ada, team, scout, "member")).status_code == 204,
        "promote": (await put(ada, team, scout, "admin")).status_code == 204,
        "delete": (await ada.send("DELETE", f"/v1/teams/{team}")).status_code == 204,
    }
    assert {what for what, is_done in done.items() if is_done} == may


async def test_an_admin_touches_no_admin_and_no_owner(http: httpx.AsyncClient) -> None:
    owner, ada, eve = await register(http), await register(http), await register(http)
    team = await make_team(owner)
    await put(owner, team, ada, "admin")
    await put(owner, team, eve, "admin")
    for other in (owner, eve):
        assert (await put(ada, team, other, "viewer")).status_code == 403
        assert (await remove(ada, team, other)).status_code == 403
    assert (await put(ada, team, ada, "owner")).status_code == 403


async def test_anybody_leaves_or_steps_down(http: httpx.AsyncClient) -> None:
    owner, ada = await register(http), await register(http)
    team = await make_team(owner)
    await put(owner, team, ada, "member")
    assert (await put(ada, team, ada, "viewer")).status_code == 204
    assert (await put(ada, team, ada, "member")).status_code == 403
    assert (await remove(ada, team, ada)).status_code == 204
    assert await roles(owner, team) == {owner.id: "owner"}


async def test_a_team_is_never_without_an_owner(http: httpx.AsyncClient) -> None:
    ada, eve = await sign_up(http), await register(http)
    team = await make_team(ada)
    assert (await remove(ada, team, ada)).status_code == 409
    assert (await put(ada, team, ada, "admin")).status_code == 409
    await put(ada, team, eve, "owner")
    assert (await remove(ada, team, ada)).status_code == 204
    assert (await eve.send("GET", f"/v1/teams/{team}")).json()["owner_id"] == eve.id
    assert (await ada.send("DELETE", "/v1/users/me", {"password": "correct horse battery"})).status_code == 204


async def test_of_two_owners_who_leave_at_once_one_stays(
    http: httpx.AsyncClient, database: Connection, database_url: str
) -> None:
    ada, eve = await register(http), await register(http)
    team = await make_team(ada)
    await put(ada, team, eve, "owner")
    async with locked(database_url, "teams"):
        leaving = [asyncio.create_task(remove(ada, team, ada)), asyncio.create_task(remove(eve, team, eve))]
        await until_blocked(database, count=2)
    assert sorted(answer.status_code for answer in await asyncio.gather(*leaving)) == [204, 409]
    row = await database.fetchrow("SELECT owner_id, actor_id FROM teams t JOIN team_memberships m ON team_id = t.id")
    assert row is not None
    assert row["owner_id"] == row["actor_id"]


async def test_a_member_has_to_be_somebody(http: httpx.AsyncClient, database: Connection) -> None:
    ada, scout = await register(http), await register(http)
    team = await make_team(ada)
    await database.execute("DELETE FROM agents WHERE id = $1::text::uuid", scout.id)
    assert (await put(ada, team, scout)).status_code == 404
    assert (await remove(ada, team, scout)).status_code == 404


async def test_a_deleted_team_takes_its_agents_with_it(http: httpx.AsyncClient, database: Connection) -> None:
    ada, scout = await register(http), await register(http)
    team = await make_team(ada)
    await database.execute("UPDATE agents SET team_id = $1::text::uuid", team)
    assert (await ada.send("DELETE", f"/v1/teams/{team}")).status_code == 204
    assert (await http.get(f"/who/{scout.id}")).status_code == 404


async def test_teams_are_listed_page_by_page(http: httpx.AsyncClient) -> None:
    ada = await register(http)
    teams = [await make_team(ada, slug) for slug in ("a", "b", "c")]
    first = (await ada.send("GET", "/v1/teams?limit=2")).json()
    rest = (await ada.send("GET", f"/v1/teams?limit=2&cursor={first['next']}")).json()
    assert [team["id"] for team in first["items"] + rest["items"]] == sorted(teams)


async def test_changes_of_teams_are_in_the_audit_log(http: httpx.AsyncClient, database: Connection) -> None:
    ada, eve = await register(http), await register(http)
    team = await make_team(ada)
    await ada.send("PATCH", f"/v1/teams/{team}", {"name": "Blue"})
    await put(ada, team, eve, "viewer")
    await remove(ada, team, eve)
    await ada.send("DELETE", f"/v1/teams/{team}")
    rows = await database.fetch("SELECT * FROM audit_logs WHERE resource_id LIKE $1 || '%' ORDER BY seq", team)
    assert [row["action"] for row in rows] == [
        "teams.create",
        "teams.change",
        "team_memberships.put",
        "team_memberships.delete",
        "teams.delete",
    ]
