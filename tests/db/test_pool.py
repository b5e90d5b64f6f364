"""How many requests at once the pool of connections serves."""

import asyncio

import httpx
import pytest

from tests.people import sign_up

pytestmark = pytest.mark.anyio

AT_ONCE = 200


@pytest.fixture
def hot_kind() -> str:
    return "postgres"


async def test_two_hundred_requests_at_once_are_all_answered_by_a_pool_of_the_usual_size(
    http: httpx.AsyncClient,
) -> None:
    ada = await sign_up(http)
    names = [f"{number}" for number in range(AT_ONCE // 2)]
    answers = await asyncio.gather(
        *(ada.send("GET", "/v1/users/me") for _ in names),
        *(ada.send("POST", "/v1/guilds", {"name": name}) for name in names),
    )
    listed, founded = answers[: len(names)], answers[len(names) :]
    assert [(answer.status_code, answer.json()["id"]) for answer in listed] == [(200, ada.id)] * len(names)
    assert [(answer.status_code, answer.json()["name"]) for answer in founded] == [(201, name) for name in names]
    kept = (await ada.send("GET", "/v1/guilds?limit=200")).json()["items"]
    assert sorted(guild["name"] for guild in kept) == sorted(names)
