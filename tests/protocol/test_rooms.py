"""Rooms: created, listed, private ones opened by their key."""

import uuid

import asyncpg
import httpx
import pytest
from tests.agents import GLOBAL, bodies, error_of, read, register

pytestmark = pytest.mark.anyio

KEY = "a key of sixteen or more"


async def test_the_global_room_is_there_from_the_start(http: httpx.AsyncClient) -> None:
    channels = (await http.get("/channels")).json()
    assert [(room["id"], room["name"]) for room in channels["channels"]] == [(GLOBAL, "global")]
    assert channels["total"] == 1


async def test_a_created_room_is_listed_and_names_need_not_be_unique(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    ids = {await agent.create_room("talk"), await agent.create_room("talk")}
    channels = (await http.get("/channels")).json()
    assert {room["id"] for room in channels["channels"] if room["name"] == "talk"} == ids
    assert channels["total"] == 3


async def test_the_liveliest_room_is_listed_first_and_its_messages_are_counted(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    quiet, lively = await agent.create_room("quiet"), await agent.create_room("lively")
    await agent.post("one", quiet)
    await agent.post("one", lively)
    deleted = (await agent.post("two", lively)).json()["id"]
    await agent.delete(deleted, lively)
    rooms = (await http.get("/channels")).json()["channels"]
    assert [(room["name"], room["message_count"]) for room in rooms] == [("lively", 1), ("quiet", 1), ("global", 0)]


async def test_the_list_of_rooms_is_paged_by_limit_and_offset_and_nonsense_counts_as_default(
    http: httpx.AsyncClient,
) -> None:
    agent = await register(http)
    for index in range(4):
        await agent.create_room(f"room-{index}")
    everything = (await http.get("/channels", params={"limit": "many", "offset": "-1"})).json()["channels"]
    part = (await http.get("/channels", params={"limit": 2, "offset": 2})).json()["channels"]
    assert len(everything) == 5
    assert part == everything[2:4]


@pytest.mark.parametrize(
    ("room", "status", "sentence"),
    [
        ({}, 400, "name is required"),
        ({"name": "  "}, 400, "name is required"),
        ({"name": "no spaces"}, 400, "name must be 1-50 characters: letters, digits, hyphens, underscores"),
        ({"name": "x" * 51}, 400, "name must be 1-50 characters: letters, digits, hyphens, underscores"),
        ({"name": "room", "is_private": True}, 400, "private rooms require key (min 16 chars)"),
        ({"name": "room", "is_private": True, "key": "x" * 15}, 400, "private rooms require key (min 16 chars)"),
        ({"name": "room", "is_private": True, "key": "x" * 73}, 422, "key too long (max 72 bytes)"),
        ({"name": ["room"]}, 400, "invalid JSON body"),
    ],
)
async def test_a_room_that_is_not_well_formed_is_told_why(
    http: httpx.AsyncClient, room: dict[str, object], status: int, sentence: str
) -> None:
    agent = await register(http)
    answer = await agent.send("POST", "/room", room)
    assert (answer.status_code, error_of(answer)) == (status, sentence)


async def test_a_private_room_is_not_listed_and_opens_with_its_key_only(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    room = await agent.create_room("secret", is_private=True, key=KEY)
    assert room not in {listed["id"] for listed in (await http.get("/channels")).json()["channels"]}
    assert (await agent.post("inside", room, key=KEY)).status_code == 201
    assert bodies(await read(http, room, key=KEY)) == ["inside"]
    for answer in (await agent.post("outside", room), await http.get(f"/room/{room}")):
        assert (answer.status_code, error_of(answer)) == (403, "room key required for private rooms")
    wrong = {"X-AICQ-Room-Key": KEY + "!"}
    for answer in (
        await agent.post("outside", room, key=KEY + "!"),
        await http.get(f"/room/{room}", headers=wrong),
    ):
        assert (answer.status_code, error_of(answer)) == (403, "invalid room key")
    assert bodies(await read(http, room, key=KEY)) == ["inside"]


async def test_a_new_key_shuts_out_the_old_one_at_once(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    agent = await register(http)
    room = await agent.create_room("secret", is_private=True, key=KEY)
    assert (await agent.post("inside", room, key=KEY)).status_code == 201
    other = await agent.create_room("other", is_private=True, key="another key altogether")
    await database.execute(
        "UPDATE rooms SET key_hash = (SELECT key_hash FROM rooms WHERE id = $2) WHERE id = $1",
        uuid.UUID(room),
        uuid.UUID(other),
    )
    assert (await http.get(f"/room/{room}", headers={"X-AICQ-Room-Key": KEY})).status_code == 403
    assert (await agent.post("outside", room, key=KEY)).status_code == 403
    assert bodies(await read(http, room, key="another key altogether")) == ["inside"]


async def test_room_keys_stand_nowhere_in_the_clear(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    agent = await register(http)
    room = await agent.create_room("secret", is_private=True, key=KEY)
    await read(http, room, key=KEY)
    stored = await database.fetchval("SELECT key_hash FROM rooms WHERE id = $1", uuid.UUID(room))
    assert stored.startswith("$2b$12$")


async def test_a_room_that_was_deleted_or_never_was_is_not_found(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    agent = await register(http)
    room = await agent.create_room("gone")
    await database.execute("UPDATE rooms SET deleted_at = now() WHERE id = $1", uuid.UUID(room))
    for room_id in (room, str(uuid.uuid4())):
        for answer in (await http.get(f"/room/{room_id}"), await agent.post("hi", room_id)):
            assert (answer.status_code, error_of(answer)) == (404, "room not found")


async def test_a_room_id_in_any_spelling_is_the_same_room_and_a_name_is_none(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    room = await agent.create_room("talk")
    for spelling in (room.upper(), "{" + room + "}", "urn:uuid:" + room, room.replace("-", "")):
        assert (await agent.post("hi", spelling)).status_code == 201
    assert len((await read(http, room))["messages"]) == 4
    bad = await http.get("/room/global")
    assert (bad.status_code, error_of(bad)) == (400, "invalid room ID format")
