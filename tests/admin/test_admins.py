"""People who are admins call with their own token, and the audit log tells which of them."""

from collections.abc import Mapping

import httpx
import pytest

from tests.admin.conftest import TOKEN
from tests.admin.samples import World
from tests.agents import error_of
from tests.conftest import RAISED_LIMITS
from tests.people import sign_up

pytestmark = pytest.mark.anyio


@pytest.fixture
def hot_kind() -> str:
    return "postgres"


@pytest.fixture
def environment() -> Mapping[str, str]:
    rates = RAISED_LIMITS["RATE_LIMITS"].replace("failures=100000/60", "failures=3/60")
    return {"RATE_LIMITS": rates, "AICQ_ADMIN_TOKEN": TOKEN, "AICQ_SECRET_KEY": "a secret key for tests"}


async def test_what_an_admin_does_is_told_under_their_name(world: World, http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    await world.database.execute("UPDATE users SET role = 'admin' WHERE id = $1", ada.id)
    answer = await ada.send("POST", "/admin/agents", {"name": "made by ada"})
    assert answer.status_code == 201, answer.text
    told = (await world.admin.get("/admin/audit_logs", params={"action": "agents.create"})).json()["items"]
    assert [(row["actor_id"], row["acted_as"]) for row in told] == [(ada.id, "admin")]


async def test_who_is_no_admin_any_more_is_refused_at_once(world: World, http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    for role, status in (("user", 403), ("manager", 403), ("admin", 200), ("user", 403)):
        await world.database.execute("UPDATE users SET role = $2::platform_role WHERE id = $1", ada.id, role)
        assert (await ada.send("GET", "/admin/agents")).status_code == status


async def test_a_session_that_has_ended_is_no_guess(world: World, http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    await world.database.execute("UPDATE users SET role = 'admin' WHERE id = $1", ada.id)
    assert (await ada.send("POST", "/v1/auth/logout")).status_code < 300
    for _ in range(6):
        answer = await ada.send("GET", "/admin/agents")
        assert (answer.status_code, error_of(answer)) == (401, "token revoked")
    assert (await world.admin.get("/admin/agents")).status_code == 200
