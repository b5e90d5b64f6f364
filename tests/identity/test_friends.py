"""Friends, requests and blocks."""

import asyncio
from typing import TypeAlias
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.agents import Agent, error_of, register
from tests.people import Person, sign_up

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

Caller: TypeAlias = Person | Agent


async def befriend(one: Caller, other: Caller) -> str:
    answer = await one.send("PUT", f"/v1/friends/{other.id}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


async def names(caller: Caller, path: str = "/v1/friends") -> list[str]:
    """The ids on a list."""
    answer = await caller.send("GET", path)
    assert answer.status_code == 200, answer.text
    return [friend["actor_id"] for friend in answer.json()["items"]]


async def test_a_request_waits_until_it_is_accepted(http: httpx.AsyncClient) -> None:
    ada, scout = await sign_up(http), await register(http)
    assert await befriend(ada, scout) == "pending"
    assert await befriend(ada, scout) == "pending"
    assert await names(ada, "/v1/friends?status=pending") == [scout.id]
    assert await names(scout, "/v1/friends/requests") == [ada.id]
    assert await names(ada) == await names(scout) == []
    assert await befriend(scout, ada) == "accepted"
    assert await names(ada) == [scout.id]
    assert await names(scout) == [ada.id]
    assert await names(scout, "/v1/friends/requests") == []


async def test_two_who_ask_each_other_at_once_are_friends(http: httpx.AsyncClient, database: Connection) -> None:
    ada, eve = await register(http), await register(http)
    assert set(await asyncio.gather(befriend(ada, eve), befriend(eve, ada))) == {"pending", "accepted"}
    assert await database.fetchval("SELECT array_agg(DISTINCT status::text) FROM friendships") == ["accepted"]


@pytest.mark.parametrize("who_ends", ["ada", "eve"])
@pytest.mark.parametrize("is_accepted", [True, False])
async def test_either_one_ends_a_friendship_or_a_request(
    http: httpx.AsyncClient, database: Connection, who_ends: str, *, is_accepted: bool
) -> None:
    people = {name: await register(http, name) for name in ("ada", "eve")}
    await befriend(people["ada"], people["eve"])
    if is_accepted:
        await befriend(people["eve"], people["ada"])
    one = people.pop(who_ends)
    [other] = people.values()
    assert (await one.send("DELETE", f"/v1/friends/{other.id}")).status_code == 204
    assert await database.fetchval("SELECT count(*) FROM friendships") == 0
    assert (await one.send("DELETE", f"/v1/friends/{other.id}")).status_code == 404


async def test_a_block_ends_the_friendship_and_direct_messages_both_ways(
    http: httpx.AsyncClient, database: Connection
) -> None:
    scout, spam = await register(http), await register(http)
    await befriend(scout, spam)
    await befriend(spam, scout)
    assert (await spam.direct(scout.id, "hi")).status_code == 201
    assert (await scout.send("PUT", f"/v1/friends/{spam.id}/block")).status_code == 204
    for one, other in ((spam, scout), (scout, spam)):
        refused = await one.direct(other.id, "hi")
        assert refused.status_code == 403, refused.text
        assert error_of(refused) == "one of you has blocked the other"
    assert await names(spam) == []
    assert await names(scout, "/v1/friends?status=blocked") == [spam.id]
    assert [tuple(row) for row in await database.fetch("SELECT status::text FROM friendships")] == [("blocked",)]


async def test_who_never_wrote_cannot_after_a_block(http: httpx.AsyncClient) -> None:
    scout, spam = await register(http), await register(http)
    await scout.send("PUT", f"/v1/friends/{spam.id}/block")
    assert (await spam.direct(scout.id, "hi")).status_code == 403


async def test_a_block_is_not_told_to_whom_it_keeps_out(http: httpx.AsyncClient) -> None:
    ada, spam = await register(http), await register(http)
    await ada.send("PUT", f"/v1/friends/{spam.id}/block")
    assert await befriend(spam, ada) == "pending"
    assert await names(ada, "/v1/friends/requests") == []
    answer = await ada.send("PUT", f"/v1/friends/{spam.id}")
    assert answer.status_code == 409
    assert error_of(answer) == "You have blocked them; lift the block first"


async def test_who_was_blocked_does_not_lift_it(http: httpx.AsyncClient) -> None:
    scout, spam = await register(http), await register(http)
    await scout.send("PUT", f"/v1/friends/{spam.id}/block")
    assert (await spam.send("DELETE", f"/v1/friends/{scout.id}")).status_code == 404
    assert (await spam.direct(scout.id, "hi")).status_code == 403
    assert (await scout.send("DELETE", f"/v1/friends/{spam.id}")).status_code == 204
    assert (await spam.direct(scout.id, "hi")).status_code == 201


async def test_friends_are_listed_page_by_page(http: httpx.AsyncClient) -> None:
    ada = await register(http)
    scouts = [await register(http) for _ in range(3)]
    for scout in scouts:
        await befriend(ada, scout)
        await befriend(scout, ada)
    first = (await ada.send("GET", "/v1/friends?limit=2")).json()
    rest = (await ada.send("GET", f"/v1/friends?limit=2&cursor={first['next']}")).json()
    assert [friend["actor_id"] for friend in first["items"] + rest["items"]] == sorted(scout.id for scout in scouts)
    assert rest["next"] is None


async def test_nobody_befriends_themselves_or_nobody(http: httpx.AsyncClient) -> None:
    ada = await register(http)
    assert (await ada.send("PUT", f"/v1/friends/{ada.id}")).status_code == 422
    assert (await ada.send("PUT", f"/v1/friends/{uuid4()}")).status_code == 404
    assert (await ada.send("PUT", "/v1/friends/x")).status_code == 400
    assert (await ada.send("GET", "/v1/friends?status=x")).status_code == 400


async def test_friends_are_told_to_nobody_else(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/friends")).status_code == 401


async def test_a_signed_request_is_accepted_once(http: httpx.AsyncClient) -> None:
    scout, other = await register(http), await register(http)
    headers = scout.headers()
    assert (await http.put(f"/v1/friends/{other.id}", headers=headers)).status_code == 200
    assert (await http.put(f"/v1/friends/{other.id}/block", headers=headers)).status_code == 401
