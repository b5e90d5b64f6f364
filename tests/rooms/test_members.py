"""Who is in a room: joining, adding, roles, leaving."""

import uuid

import httpx
import pytest

from tests.agents import Agent, error_of, register
from tests.guilds.founding import Caller, page
from tests.people import sign_up

pytestmark = pytest.mark.anyio


async def put(by: Caller, room: str, who: Caller, role: str = "member") -> tuple[int, str]:
    answer = await by.send("PUT", f"/v1/rooms/{room}/members/{who.id}", {"role": role})
    return answer.status_code, "" if answer.status_code == 204 else error_of(answer)


async def remove(by: Caller, room: str, who: Caller) -> tuple[int, str]:
    answer = await by.send("DELETE", f"/v1/rooms/{room}/members/{who.id}")
    return answer.status_code, "" if answer.status_code == 204 else error_of(answer)


async def roles(by: Caller, room: str) -> dict[str, str]:
    answer = await by.send("GET", f"/v1/rooms/{room}/members")
    assert answer.status_code == 200, answer.text
    return {member["actor_id"]: member["role"] for member in answer.json()["items"]}


ONLY_OWNERS = (403, "only an owner of the room may do this")


async def test_a_public_room_is_joined_and_left_by_everybody(http: httpx.AsyncClient) -> None:
    owner, agent, ada = await register(http), await register(http), await sign_up(http)
    room = await owner.create_room("open")
    for caller in (agent, ada):
        assert await put(caller, room, caller) == (204, "")
    assert await roles(agent, room) == {owner.id: "owner", agent.id: "member", ada.id: "member"}
    assert await put(agent, room, agent, "admin") == (403, "your role in this room does not allow it")
    assert await put(agent, room, ada, "viewer") == (403, "your role in this room does not allow it")
    assert await remove(agent, room, ada) == (403, "your role in this room does not allow it")
    assert await remove(ada, room, ada) == (204, "")
    assert await remove(ada, room, ada) == (404, "member not found")
    assert await roles(ada, room) == {owner.id: "owner", agent.id: "member"}


async def test_nobody_joins_a_private_room_by_themselves(http: httpx.AsyncClient) -> None:
    owner, stranger = await register(http), await register(http)
    room = await owner.create_room("secret", is_private=True, key="a key of sixteen or more")
    assert await put(stranger, room, stranger) == (403, "you are not a member of this room")
    answer = await stranger.send("GET", f"/v1/rooms/{room}/members")
    assert (answer.status_code, error_of(answer)) == (403, "you are not a member of this room")


async def test_admins_see_to_members_and_viewers_and_owners_to_all(http: httpx.AsyncClient) -> None:
    owner, admin, other, member = [await register(http) for _ in range(4)]
    room = await owner.create_room("room")
    for who in (admin, other):
        assert await put(owner, room, who, "admin") == (204, "")
    assert await put(admin, room, member, "viewer") == (204, "")
    assert await put(admin, room, member, "member") == (204, "")
    assert await put(admin, room, member, "admin") == ONLY_OWNERS
    assert await put(admin, room, admin, "owner") == ONLY_OWNERS
    assert await put(admin, room, other, "member") == ONLY_OWNERS
    assert await remove(admin, room, other) == ONLY_OWNERS
    assert await remove(admin, room, owner) == ONLY_OWNERS
    assert await remove(admin, room, member) == (204, "")
    assert await put(owner, room, other, "viewer") == (204, "")
    assert await roles(owner, room) == {owner.id: "owner", admin.id: "admin", other.id: "viewer"}


async def test_a_room_always_has_an_owner(http: httpx.AsyncClient) -> None:
    owner, heir = await register(http), await register(http)
    room = await owner.create_room("room")
    alone = (403, "the room would be left without an owner")
    assert await remove(owner, room, owner) == alone
    assert await put(owner, room, owner, "member") == alone
    assert await put(owner, room, heir, "owner") == (204, "")
    assert await remove(owner, room, owner) == (204, "")
    assert await roles(heir, room) == {heir.id: "owner"}


async def test_a_viewer_of_a_private_room_reads_and_does_not_write(http: httpx.AsyncClient) -> None:
    owner, viewer = await register(http), await sign_up(http)
    room = (await owner.send("POST", "/v1/rooms", {"name": "inner", "is_private": True})).json()["id"]
    await put(owner, room, viewer, "viewer")
    assert (await page(viewer, room)).status_code == 200
    answer = await viewer.send("POST", f"/v1/rooms/{room}/messages", {"body": "hi"})
    assert (answer.status_code, error_of(answer)) == (403, "you may not write in this room")
    told = (await viewer.send("GET", f"/v1/rooms/{room}")).json()
    assert (told["role"], told["permissions"]) == ("viewer", 1)


async def test_nobody_is_added_who_is_not_there_or_has_blocked(http: httpx.AsyncClient) -> None:
    owner, other = await register(http), await register(http)
    room = await owner.create_room("room")
    gone = await register(http)
    assert (await gone.send("DELETE", "/v1/agents/me", {"id": gone.id})).status_code == 204
    for nobody in (uuid.uuid4(), gone.id):
        answer = await owner.send("PUT", f"/v1/rooms/{room}/members/{nobody}", {})
        assert (answer.status_code, error_of(answer)) == (404, "actor not found")
    blocked = await other.send("PUT", f"/v1/friends/{owner.id}/block")
    assert blocked.status_code == 204, blocked.text
    assert await put(owner, room, other) == (403, "one of you has blocked the other")
    bad = await owner.send("PUT", f"/v1/rooms/{room}/members/{other.id}", {"role": "king"})
    assert (bad.status_code, bad.json()["field"]) == (422, "role")


async def test_members_are_listed_page_by_page(http: httpx.AsyncClient) -> None:
    owner: Agent = await register(http)
    room = await owner.create_room("room")
    others = [await register(http) for _ in range(4)]
    for other in others:
        await put(other, room, other)
    first = (await owner.send("GET", f"/v1/rooms/{room}/members?limit=3")).json()
    rest = (await owner.send("GET", f"/v1/rooms/{room}/members?limit=3&cursor={first['next']}")).json()
    seen = [member["actor_id"] for member in first["items"] + rest["items"]]
    assert seen == sorted({owner.id, *(other.id for other in others)})
    assert rest["next"] is None
