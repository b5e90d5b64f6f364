"""The gate of /admin, before a call that answers with who was let in."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Request, get

from aicq.app import create_app
from aicq.auth.admin import AdminAccess, admin_only
from aicq.errors import Forbidden
from aicq.settings import load

pytestmark = pytest.mark.anyio

TOKEN = "the-admin-token"
USER = UUID("019aa8f0-0000-7000-8000-000000000001")


class People:
    """Knows one admin and one who is none."""

    async def admin_of(self, token: str) -> UUID | None:
        if token == "of somebody":
            raise Forbidden
        return USER if token == "of an admin" else None


@get("/secret", before_request=admin_only)
async def secret(request: Request[Any, Any, Any]) -> str:
    return str(request.user.id)


@pytest.fixture(params=[TOKEN])
def token(request: pytest.FixtureRequest) -> str:
    given: str = request.param
    return given


@pytest.fixture
async def http(database_url: str, tmp_path: Path, token: str) -> AsyncIterator[httpx.AsyncClient]:
    environ = {"DATABASE_URL": database_url, "AICQ_DATA_DIR": str(tmp_path), "RATE_LIMITS": "failures=3/60"}
    app = create_app(load({**environ, "AICQ_ADMIN_TOKEN": token}))
    app.register(secret)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type] # Litestar types its scopes more narrowly
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        app.state["admin_access"] = AdminAccess(token, People())
        yield client


async def ask(http: httpx.AsyncClient, authorization: str | None) -> httpx.Response:
    return await http.get("/secret", headers={} if authorization is None else {"Authorization": authorization})


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer  {TOKEN}", f"BEARER {TOKEN} "])
async def test_the_admin_token_opens(http: httpx.AsyncClient, authorization: str) -> None:
    answer = await ask(http, authorization)
    assert (answer.status_code, answer.text) == (200, "None")


async def test_an_admins_own_token_opens_and_tells_who_it_is(http: httpx.AsyncClient) -> None:
    assert (await ask(http, "Bearer of an admin")).text == str(USER)
    assert (await ask(http, "Bearer of somebody")).status_code == 403


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN])
async def test_what_is_no_token_is_told_what_is_wanted(http: httpx.AsyncClient, authorization: str | None) -> None:
    answers = [await ask(http, authorization) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {401}
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert answers[0].headers["content-type"] == "application/problem+json"
    assert answers[0].json()["error"] == "authorization required"


async def test_guesses_are_counted_by_address_and_then_not_listened_to(http: httpx.AsyncClient) -> None:
    guesses = [await ask(http, f"Bearer {TOKEN[:-1]}{n}") for n in range(5)]
    assert [answer.status_code for answer in guesses] == [401, 401, 401, 429, 429]
    assert guesses[0].headers["www-authenticate"] == "Bearer"
    assert (await ask(http, f"Bearer {TOKEN}")).status_code == 429


@pytest.mark.parametrize("token", [""], indirect=True)
@pytest.mark.parametrize("authorization", ["Bearer", "Bearer ", "Bearer   ", 'Bearer ""', "Bearer x"])
async def test_no_token_set_opens_to_nobody(http: httpx.AsyncClient, authorization: str) -> None:
    assert (await ask(http, authorization)).status_code == 401
