"""Guessing passwords: counted by account and by address, over both hot stores."""

import asyncio
from collections.abc import Mapping

import httpx
import pytest

from tests.agents import error_of
from tests.people import PASSWORD, Person, log_in, sign_up, try_login


@pytest.fixture(params=[pytest.param("redis"), pytest.param("postgres")])
def hot_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def environment() -> Mapping[str, str]:
    return {"RATE_LIMITS": "account=3/900,login=8/60,signup=2/3600,failures=4/60"}


async def test_three_wrong_passwords_close_an_account_to_the_right_one(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    for _ in range(3):
        assert (await try_login(http, password="wrong password")).status_code == 401
    closed = await try_login(http)
    assert closed.status_code == 429
    assert 0 < int(closed.headers["retry-after"]) <= 900
    assert await ada.is_in()


async def test_of_guesses_at_once_no_more_are_checked_than_allowed(http: httpx.AsyncClient) -> None:
    await sign_up(http)
    answers = await asyncio.gather(*(try_login(http, password="wrong password") for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [401] * 3 + [429] * 3


async def test_unknown_accounts_are_closed_like_known_ones(http: httpx.AsyncClient) -> None:
    answers = [await try_login(http, "nobody", "wrong password") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_a_right_password_forgives_the_wrong_ones(http: httpx.AsyncClient) -> None:
    await sign_up(http)
    for password in ("wrong password", "wrong password", PASSWORD, "wrong password", "wrong password", PASSWORD):
        answer = await try_login(http, password=password)
        assert answer.status_code == (200 if password == PASSWORD else 401)


async def test_an_address_is_told_to_wait_before_the_ninth_login(http: httpx.AsyncClient) -> None:
    answers = [await try_login(http, f"nobody{n}", "wrong password") for n in range(9)]
    assert [answer.status_code for answer in answers] == [401] * 8 + [429]


async def test_an_address_makes_no_third_account(http: httpx.AsyncClient) -> None:
    await sign_up(http, "ada")
    await sign_up(http, "eve")
    wanted = {"email": "mallory@x.io", "password": PASSWORD}
    assert (await http.post("/v1/auth/register", json=wanted)).status_code == 429


async def test_who_holds_a_token_does_not_guess_the_password_either(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    passwords = {"old_password": "wrong password", "new_password": "another password"}
    answers = [await ada.send("PUT", "/v1/users/me/password", passwords) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [403, 403, 403, 429]


async def test_forged_tokens_are_counted_as_failures_and_old_ones_are_not(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    elsewhere = await log_in(http)
    await ada.send("DELETE", f"/v1/auth/sessions/{elsewhere.session_id}")
    assert [await elsewhere.is_in() for _ in range(6)] == [False] * 6
    forged = Person(http, vars(ada) | {"user_id": ada.id, "access_token": ada.access_token[:-4] + "AAAA"})
    answers = [await forged.send("GET", "/v1/users/me") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401] * 4 + [429]
    assert error_of(answers[0]) == "invalid token"
