"""Rooms and their members as admins see them."""

from typing import Any

import httpx
import pytest

from tests.admin.samples import ROOM_KEY, World
from tests.agents import GLOBAL, error_of, read, register

pytestmark = pytest.mark.anyio

SECRET = {"is_private": True, "key": ROOM_KEY}


@pytest.fixture
def hot_kind() -> str:
    return "postgres"


async def test_a_room_made_by_an_admin_is_open_like_any_other(world: World, http: httpx.AsyncClient) -> None:
    ada = await register(http)
    room = (await world.make("rooms", **SECRET, created_by=ada.id))["id"]
    assert (await ada.post("inside", room, key=ROOM_KEY)).status_code == 201
    assert len((await read(http, room, key=ROOM_KEY))["messages"]) == 1
    assert (await world.admin.get(f"/admin/room_members/{room}/{ada.id}")).json()["role"] == "owner"


async def test_a_new_key_opens_and_the_old_one_does_no_more(world: World, http: httpx.AsyncClient) -> None:
    room = (await world.make("rooms", **SECRET))["id"]
    await read(http, room, key=ROOM_KEY)
    new = "another key that is long enough"
    answer = await world.admin.patch(f"/admin/rooms/{room}", json={"key": new}, headers={"If-Match": "*"})
    assert answer.status_code == 200
    await read(http, room, key=new)
    assert (await http.get(f"/room/{room}", headers={"X-AICQ-Room-Key": ROOM_KEY})).status_code == 403


async def test_what_is_said_meanwhile_does_not_stand_against_a_change(world: World, http: httpx.AsyncClient) -> None:
    ada = await register(http)
    tag = (await world.admin.get(f"/admin/rooms/{GLOBAL}")).headers["etag"]
    await ada.post("said")
    values = {"description": "where everybody is"}
    answer = await world.admin.patch(f"/admin/rooms/{GLOBAL}", json=values, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["message_count"]) == (200, 1)


async def test_a_deleted_room_answers_nobody_and_keeps_what_was_said(world: World, http: httpx.AsyncClient) -> None:
    ada = await register(http)
    room = await ada.create_room()
    await ada.post("said", room)
    assert (await world.admin.delete(f"/admin/rooms/{room}")).status_code == 204
    assert (await http.get(f"/room/{room}")).status_code == 404
    assert (await ada.post("more", room)).status_code == 404
    assert (await world.admin.get(f"/admin/rooms/{room}")).json()["deleted_at"]
    assert await world.database.fetchval("SELECT count(*) FROM messages WHERE room_id = $1", room) == 1


async def test_the_global_room_stays(world: World) -> None:
    answer = await world.admin.delete(f"/admin/rooms/{GLOBAL}")
    assert (answer.status_code, error_of(answer)) == (409, "the global room stays")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "room", "is_private": True}, "key"),
        ({"name": "room", "is_private": True, "key": "short"}, "key"),
        ({"name": "room", "is_private": True, "key": "ü" * 40}, "key"),
        ({"name": "room", "key": "nul in a key of\0sixteen"}, "key"),
        ({"name": "a room"}, "name"),
        ({"name": "room\n"}, "name"),
        ({"name": None}, "name"),
        ({"name": "room", "kind": "dm", "is_private": True}, "kind"),
        ({"name": "room", "kind": "text", "is_private": True}, "kind"),
        ({"name": "room", "key_hash": "$2b$12$x"}, "key_hash"),
        ({"name": "room", "last_seq": 5}, "last_seq"),
        ({"name": "room", "deleted_at": None}, "deleted_at"),
    ],
)
async def test_a_room_that_cannot_be_is_refused(world: World, values: dict[str, Any], field: str) -> None:
    answer = await world.admin.post("/admin/rooms", json=values)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_private_room_never_loses_its_key(world: World) -> None:
    room = (await world.make("rooms", **SECRET))["id"]
    answer = await world.admin.patch(f"/admin/rooms/{room}", json={"key": None}, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["field"]) == (422, "key")


async def test_a_direct_message_keeps_its_two_members(world: World, http: httpx.AsyncClient) -> None:
    ada, eve, third = [await register(http) for _ in range(3)]
    await ada.direct(eve.id, "hi")
    room = str(await world.database.fetchval("SELECT id FROM rooms WHERE kind = 'dm'"))
    added = await world.admin.post("/admin/room_members", json={"room_id": room, "actor_id": third.id})
    removed = await world.admin.delete(f"/admin/room_members/{room}/{ada.id}")
    assert (added.status_code, removed.status_code) == (409, 409)
    assert [message["body"] for message in await eve.inbox()] == ["hi"]


async def test_a_member_of_what_is_not_there_is_refused_by_its_field(world: World) -> None:
    room, agent = await world.id_of("rooms"), await world.id_of("agents")
    nobody = "019aa8f0-0000-7000-8000-000000000000"
    for field in ("room_id", "actor_id"):
        values = {"room_id": room, "actor_id": agent, field: nobody}
        answer = await world.admin.post("/admin/room_members", json=values)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    member = {"room_id": room, "actor_id": agent}
    assert (await world.admin.post("/admin/room_members", json=member)).status_code == 201
    again = await world.admin.post("/admin/room_members", json=member)
    assert (again.status_code, again.json()["field"]) == (409, "actor_id")
