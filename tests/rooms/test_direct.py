"""Direct messages under /v1: of two and of several, between agents and people, and past blocks."""

import uuid

import asyncpg
import httpx
import pytest

from aicq.ids import direct_room_id
from tests.agents import bodies, error_of, register
from tests.guilds.founding import Caller, page, post
from tests.people import sign_up

pytestmark = pytest.mark.anyio

Connection = asyncpg.Connection

BLOCKED = "one of you has blocked the other"


async def open_direct(caller: Caller, *others: Caller) -> httpx.Response:
    return await caller.send("POST", "/v1/rooms/direct", {"members": [other.id for other in others]})


async def test_a_pair_has_one_room_whoever_opens_it(http: httpx.AsyncClient) -> None:
    ada, agent = await sign_up(http), await register(http)
    opened = await open_direct(ada, agent)
    told = opened.json()
    assert (opened.status_code, told["kind"], told["name"]) == (200, "dm", None)
    assert set(told["members"]) == {ada.id, agent.id}
    assert (await open_direct(agent, ada)).json()["id"] == told["id"]
    assert told["id"] == str(direct_room_id(uuid.UUID(ada.id), uuid.UUID(agent.id)))
    assert (await post(ada, told["id"], "hello agent")).status_code == 201
    assert bodies({"messages": await agent.inbox()}) == ["hello agent"]
    assert (await agent.direct(ada.id, "hello ada")).status_code == 201
    assert bodies((await page(ada, told["id"])).json()) == ["hello ada", "hello agent"]


async def test_an_agent_writes_to_a_person_without_opening_anything(http: httpx.AsyncClient) -> None:
    ada, agent = await sign_up(http), await register(http)
    assert (await agent.direct(ada.id, "hello ada")).status_code == 201
    [room] = (await ada.send("GET", "/v1/rooms?kind=dm")).json()["items"]
    assert (room["unread"], set(room["members"])) == (1, {ada.id, agent.id})
    assert bodies((await page(ada, room["id"])).json()) == ["hello ada"]


async def test_nobody_else_learns_who_has_written_to_whom(http: httpx.AsyncClient) -> None:
    ada, agent, stranger = await sign_up(http), await register(http), await register(http)
    room = (await open_direct(ada, agent)).json()["id"]
    message = (await post(ada, room, "between us")).json()["id"]
    never = str(direct_room_id(uuid.UUID(ada.id), uuid.UUID(stranger.id)))
    for where in (room, never):
        for method, path, content in (
            ("GET", "", None),
            ("PATCH", "", {"name": "ours"}),
            ("DELETE", "", None),
            ("GET", "/members", None),
            ("PUT", f"/members/{stranger.id}", {}),
            ("GET", "/messages", None),
            ("POST", "/messages", {"body": "hi"}),
            ("PATCH", f"/messages/{message}", {"body": "hi"}),
            ("DELETE", f"/messages/{message}", None),
            ("POST", "/read", {"message_id": message}),
            ("GET", f"/messages/{message}/readers", None),
        ):
            answer = await stranger.send(method, f"/v1/rooms/{where}{path}", content)
            assert (answer.status_code, error_of(answer)) == (404, "room not found"), (method, path)
        assert (await stranger.send("GET", f"/room/{where}")).status_code == 404
        assert (await http.get(f"/room/{where}")).status_code == 404
        found = await stranger.send("GET", f"/find?q=between&room={where}")
        assert found.json()["results"] == []
    own = await ada.send("GET", f"/find?q=between&room={room}")
    assert bodies(own.json()) == ["between us"]


async def test_several_have_a_room_that_its_opener_owns(http: httpx.AsyncClient) -> None:
    ada, one, two, three = await sign_up(http), *[await register(http) for _ in range(3)]
    told = (await open_direct(ada, one, two)).json()
    room = told["id"]
    assert (told["kind"], told["role"], set(told["members"])) == ("group_dm", "owner", {ada.id, one.id, two.id})
    assert (await open_direct(ada, one, two)).json()["id"] != room
    for caller in (ada, one, two):
        assert (await post(caller, room)).status_code == 201
    assert (await page(three, room)).status_code == 404
    assert (await one.send("PUT", f"/v1/rooms/{room}/members/{three.id}", {})).status_code == 403
    assert (await ada.send("PUT", f"/v1/rooms/{room}/members/{three.id}", {})).status_code == 204
    assert (await ada.send("PATCH", f"/v1/rooms/{room}", {"name": "friends"})).json()["name"] == "friends"
    assert (await page(three, room)).status_code == 200
    assert (await three.send("DELETE", f"/v1/rooms/{room}/members/{three.id}")).status_code == 204
    assert (await page(three, room)).status_code == 404
    assert (await post(three, room)).status_code == 404


async def test_a_pair_stays_a_pair(http: httpx.AsyncClient) -> None:
    ada, agent, other = await sign_up(http), await register(http), await register(http)
    room = (await open_direct(ada, agent)).json()["id"]
    for answer in (
        await ada.send("PUT", f"/v1/rooms/{room}/members/{other.id}", {}),
        await ada.send("DELETE", f"/v1/rooms/{room}/members/{agent.id}"),
        await ada.send("DELETE", f"/v1/rooms/{room}/members/{ada.id}"),
        await ada.send("DELETE", f"/v1/rooms/{room}"),
        await ada.send("PATCH", f"/v1/rooms/{room}", {"name": "ours"}),
    ):
        assert answer.status_code == 403


async def test_a_block_stops_direct_messages_both_ways_and_nothing_else(http: httpx.AsyncClient) -> None:
    ada, agent, other = await sign_up(http), await register(http), await register(http)
    room = (await open_direct(ada, agent)).json()["id"]
    group = (await open_direct(ada, agent, other)).json()["id"]
    message = (await post(agent, room, "before")).json()["id"]
    assert (await ada.send("PUT", f"/v1/friends/{agent.id}/block")).status_code == 204
    for answer in (
        await post(ada, room),
        await post(agent, room),
        await agent.direct(ada.id, "hi"),
        await agent.send("PATCH", f"/v1/rooms/{room}/messages/{message}", {"body": "hear me"}),
        await open_direct(agent, ada),
        await open_direct(agent, other, ada),
    ):
        assert (answer.status_code, error_of(answer)) == (403, BLOCKED)
    assert bodies((await page(ada, room)).json()) == ["before"]
    assert (await post(agent, group)).status_code == 201
    assert (await agent.send("DELETE", f"/v1/rooms/{room}/messages/{message}")).status_code == 204
    assert (await ada.send("DELETE", f"/v1/friends/{agent.id}")).status_code == 204
    assert (await post(agent, room)).status_code == 201


@pytest.mark.parametrize(
    ("members", "status"),
    [([], 422), (["nonsense"], 422), ([str(uuid.UUID(int=n)) for n in range(26)], 422), ([str(uuid.uuid4())], 404)],
)
async def test_a_room_with_nobody_is_not_opened(http: httpx.AsyncClient, members: list[str], status: int) -> None:
    agent = await register(http)
    answer = await agent.send("POST", "/v1/rooms/direct", {"members": members})
    assert answer.status_code == status


async def test_who_is_deleted_stays_in_the_history_of_direct_messages(
    http: httpx.AsyncClient, database: Connection
) -> None:
    ada, agent = await sign_up(http), await register(http)
    room = (await open_direct(ada, agent)).json()["id"]
    await post(agent, room, "last words")
    await database.execute("DELETE FROM agents WHERE id = $1", uuid.UUID(agent.id))
    assert bodies((await page(ada, room)).json()) == ["last words"]
    assert set((await ada.send("GET", f"/v1/rooms/{room}")).json()["members"]) == {ada.id, agent.id}
    assert (await open_direct(ada, agent)).status_code == 404
