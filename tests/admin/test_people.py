"""Users, sessions, friendships and teams as admins see them, and people who are admins themselves."""

from typing import Any

import httpx
import pytest

from aicq.auth.secrets import Box
from tests.admin.samples import World
from tests.agents import error_of, register
from tests.conftest import RAISED_LIMITS
from tests.people import PASSWORD, log_in, sign_up, try_login

pytestmark = pytest.mark.anyio


@pytest.fixture
def hot_kind() -> str:
    return "postgres"


@pytest.fixture
def environment() -> dict[str, str]:
    return {**RAISED_LIMITS, "AICQ_ADMIN_TOKEN": "an admin token for tests", "AICQ_SECRET_KEY": "a key for tests"}


async def change(world: World, path: str, values: dict[str, Any]) -> httpx.Response:
    return await world.admin.patch(f"/admin/{path}", json=values, headers={"If-Match": "*"})


async def test_an_admins_own_token_opens_the_admins_calls(http: httpx.AsyncClient, world: World) -> None:
    ada = await sign_up(http)
    refused = await ada.send("GET", "/admin/users")
    assert (refused.status_code, error_of(refused)) == (403, "only admins may do this")
    await change(world, f"users/{ada.id}", {"role": "admin"})
    assert (await ada.send("GET", "/admin/users")).status_code == 200
    made = await ada.send("POST", "/admin/users", {"username": "eve", "email": "eve@example.com"})
    assert made.status_code == 201
    told = await world.database.fetchrow("SELECT actor_id, acted_as FROM audit_logs ORDER BY seq DESC LIMIT 1")
    assert told is not None
    assert (str(told["actor_id"]), told["acted_as"]) == (ada.id, "admin")
    await change(world, f"users/{ada.id}", {"role": "user"})
    assert (await ada.send("GET", "/admin/users")).status_code == 403


async def test_a_revoked_token_of_an_admin_opens_nothing(http: httpx.AsyncClient, world: World) -> None:
    ada = await sign_up(http)
    await change(world, f"users/{ada.id}", {"role": "admin"})
    await ada.send("POST", "/v1/auth/logout")
    assert (await ada.send("GET", "/admin/users")).status_code == 401


async def test_a_user_that_an_admin_has_made_logs_in(http: httpx.AsyncClient, world: World) -> None:
    await world.make("users", username="ada", email="ada@example.com", password=PASSWORD)
    assert await (await log_in(http)).is_in()


async def test_another_password_by_an_admin_ends_all_sessions(http: httpx.AsyncClient, world: World) -> None:
    ada = await sign_up(http)
    assert (await change(world, f"users/{ada.id}", {"password": "another password"})).status_code == 200
    assert not await ada.is_in()
    assert (await try_login(http)).status_code == 401
    await log_in(http, password="another password")
    assert (await change(world, f"users/{ada.id}", {"password": None})).status_code == 200
    assert (await try_login(http, password="another password")).status_code == 401


async def test_a_password_over_72_bytes_is_refused(world: World) -> None:
    answer = await change(world, f"users/{await world.id_of('users')}", {"password": "é" * 37})
    assert (answer.status_code, error_of(answer)) == (422, "password too long (max 72 bytes)")


async def test_secrets_are_kept_encrypted(world: World) -> None:
    await world.make("users", mfa_secret="JBSWY3DPEHPK3PXP")
    await world.make("teams", webhook_secret="whisper")
    box = Box("a key for tests")
    assert box.open(await world.database.fetchval("SELECT max(mfa_secret) FROM users")) == "JBSWY3DPEHPK3PXP"
    assert box.open(await world.database.fetchval("SELECT webhook_secret FROM teams")) == "whisper"


async def test_a_session_that_an_admin_deletes_is_over_at_once(http: httpx.AsyncClient, world: World) -> None:
    ada = await sign_up(http)
    [listed] = (await world.admin.get("/admin/sessions", params={"user_id": ada.id})).json()["items"]
    assert listed["id"] == ada.session_id
    assert (await world.admin.delete(f"/admin/sessions/{ada.session_id}")).status_code == 204
    assert not await ada.is_in()
    assert (await ada.refresh()).status_code == 401


async def test_a_user_who_is_deactivated_or_deleted_is_out_at_once(http: httpx.AsyncClient, world: World) -> None:
    ada, eve = await sign_up(http), await sign_up(http, "eve")
    await change(world, f"users/{ada.id}", {"is_active": False})
    await world.admin.delete(f"/admin/users/{eve.id}")
    assert [await person.is_in() for person in (ada, eve)] == [False, False]


async def test_who_owns_a_team_is_not_deleted(world: World) -> None:
    team = await world.make("teams")
    answer = await world.admin.delete(f"/admin/users/{team['owner_id']}")
    assert (answer.status_code, error_of(answer)) == (409, "teams still point at it")


async def test_an_agents_parts_have_to_be_what_they_are(world: World) -> None:
    answer = await world.admin.post("/admin/agents", json={"name": "a", "boundaries": {"max_cost_usd": -1}})
    assert (answer.status_code, answer.json()["field"]) == (422, "boundaries.max_cost_usd")
    agent = await world.make("agents", memory_config={"max_recalled": 5})
    assert agent["memory_config"] == {"max_recalled": 5}


async def test_friends_whom_an_admin_makes_have_a_row_each(http: httpx.AsyncClient, world: World) -> None:
    one, other = await register(http), await register(http)
    pair = {"actor_id": one.id, "friend_id": other.id}
    await world.make("friendships", **pair, status="accepted")
    for agent, friend in ((one, other), (other, one)):
        [found] = (await agent.send("GET", "/v1/friends")).json()["items"]
        assert found["actor_id"] == friend.id
    await change(world, f"friendships/{one.id}/{other.id}", {"status": "blocked"})
    assert await world.database.fetchval("SELECT count(*) FROM friendships") == 1
    await change(world, f"friendships/{one.id}/{other.id}", {"status": "accepted"})
    await world.admin.delete(f"/admin/friendships/{other.id}/{one.id}")
    assert await world.database.fetchval("SELECT count(*) FROM friendships") == 0


async def test_a_teams_owner_is_a_member_and_stays_one(http: httpx.AsyncClient, world: World) -> None:
    team, scout = await world.make("teams"), await register(http)
    owner = f"team_memberships/{team['id']}/{team['owner_id']}"
    assert (await world.admin.get(f"/admin/{owner}")).json()["role"] == "owner"
    assert (await world.admin.delete(f"/admin/{owner}")).status_code == 409
    assert (await change(world, owner, {"role": "viewer"})).status_code == 409
    assert (await change(world, f"teams/{team['id']}", {"owner_id": scout.id})).status_code == 200
    assert (await world.admin.delete(f"/admin/{owner}")).status_code == 204
    assert (await scout.send("GET", f"/v1/teams/{team['id']}")).status_code == 200


async def test_who_is_deleted_becomes_nothing_any_more(http: httpx.AsyncClient, world: World) -> None:
    gone, team = await register(http), await world.make("teams")
    await world.database.execute("DELETE FROM agents")
    other = await world.id_of("users")
    for table, values, field in (
        ("teams", {"name": "Red", "slug": "red", "owner_id": gone.id}, "owner_id"),
        ("team_memberships", {"team_id": team["id"], "actor_id": gone.id}, "actor_id"),
        ("friendships", {"actor_id": other, "friend_id": gone.id}, "friend_id"),
    ):
        answer = await world.admin.post(f"/admin/{table}", json=values)
        assert (answer.status_code, answer.json()["field"]) == (422, field), table


async def test_a_name_that_somebody_has_is_told_with_its_field(world: World) -> None:
    await world.make("users", username="ada", email="ada@example.com")
    for values, field in (
        ({"username": "ADA", "email": "x@example.com"}, "username"),
        ({"username": "x", "email": "ADA@example.com"}, "email"),
        ({"username": "x"}, "email"),
        ({"username": "x\n", "email": "x@example.com"}, "username"),
    ):
        answer = await world.admin.post("/admin/users", json=values)
        assert answer.status_code in {409, 422}
        assert answer.json()["field"] == field, answer.text
