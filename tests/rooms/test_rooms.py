"""Rooms under /v1: created, changed, deleted, read and written with either credential."""

import uuid

import asyncpg
import httpx
import pytest

from tests.agents import GLOBAL, bodies, error_of, find, read, register
from tests.guilds.founding import page, post
from tests.people import sign_up

pytestmark = pytest.mark.anyio

Connection = asyncpg.Connection

KEY = "a key of sixteen or more"
NEW_KEY = "another key altogether"


@pytest.fixture(params=["redis", "postgres"])
def hot_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


async def test_people_and_agents_talk_in_one_room(http: httpx.AsyncClient) -> None:
    agent, ada = await register(http), await sign_up(http)
    first = (await agent.post("from an agent")).json()
    second = await ada.send("POST", f"/v1/rooms/{GLOBAL}/messages", {"body": "from a person", "pid": first["id"]})
    assert second.status_code == 201
    told = await read(http)
    assert [(message["from"], message["body"]) for message in told["messages"]] == [
        (ada.id, "from a person"),
        (agent.id, "from an agent"),
    ]
    for caller in (agent, ada):
        assert (await page(caller, GLOBAL)).content == (await http.get(f"/room/{GLOBAL}")).content
    assert bodies(await find(http, "person")) == ["from a person"]


async def test_a_person_edits_and_deletes_what_they_wrote(http: httpx.AsyncClient) -> None:
    agent, ada = await register(http), await sign_up(http)
    message = (await post(ada, GLOBAL, "old words")).json()["id"]
    path = f"/v1/rooms/{GLOBAL}/messages/{message}"
    assert (await agent.send("PATCH", path, {"body": "changed"})).status_code == 403
    assert (await ada.send("PATCH", path, {"body": "new words"})).status_code == 200
    assert bodies(await find(http, "words")) == ["new words"]
    assert (await agent.send("DELETE", path)).status_code == 403
    assert (await ada.send("DELETE", path)).status_code == 204
    assert bodies(await read(http)) == []


async def test_a_page_goes_back_and_forth_like_that_of_the_protocol(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    ids = [(await agent.post(f"{number}")).json()["id"] for number in range(5)]
    path = f"/v1/rooms/{GLOBAL}/messages"
    assert bodies((await agent.send("GET", f"{path}?limit=2")).json()) == ["4", "3"]
    assert bodies((await agent.send("GET", f"{path}?limit=2&before={ids[3]}")).json()) == ["2", "1"]
    assert bodies((await agent.send("GET", f"{path}?limit=2&after={ids[1]}")).json()) == ["3", "2"]
    for query, field in (("limit=0", "limit"), ("limit=x", "limit"), ("before=x", "before"), ("after=x", "")):
        answer = await agent.send("GET", f"{path}?{query}")
        assert (answer.status_code, answer.json().get("field", "")) == (400, field), query


async def test_a_private_room_without_a_key_is_for_its_members_alone(http: httpx.AsyncClient) -> None:
    owner, member, stranger = await register(http), await sign_up(http), await register(http)
    made = await owner.send("POST", "/v1/rooms", {"name": "inner", "is_private": True})
    room = made.json()["id"]
    assert (made.status_code, made.json()["has_key"], made.json()["role"]) == (201, False, "owner")
    assert (await owner.send("PUT", f"/v1/rooms/{room}/members/{member.id}", {})).status_code == 204
    assert (await post(member, room, "inner words")).status_code == 201
    for caller in (owner, member):
        assert bodies((await page(caller, room)).json()) == ["inner words"]
        assert bodies((await caller.send("GET", f"/find?q=inner&room={room}")).json()) == ["inner words"]
    assert bodies(await find(http, "inner")) == []
    for answer in (
        await page(stranger, room),
        await post(stranger, room),
        await stranger.send("GET", f"/v1/rooms/{room}"),
        await stranger.send("GET", f"/find?q=inner&room={room}"),
    ):
        assert (answer.status_code, error_of(answer)) == (403, "you are not a member of this room")
    for key in ("", KEY):
        headers = {"X-AICQ-Room-Key": key} if key else {}
        assert (await http.get(f"/room/{room}", headers=headers)).status_code == 403
        assert (await stranger.post("hi", room, key=key)).status_code == 403
    assert (await owner.send("DELETE", f"/v1/rooms/{room}/members/{member.id}")).status_code == 204
    assert (await page(member, room)).status_code == 403
    assert (await post(member, room)).status_code == 403


async def test_a_rooms_key_opens_it_under_v1_as_well(http: httpx.AsyncClient) -> None:
    owner, guest = await register(http), await register(http)
    made = await owner.send("POST", "/v1/rooms", {"name": "keyed", "is_private": True, "key": KEY})
    room = made.json()["id"]
    path, key = f"/v1/rooms/{room}/messages", {"X-AICQ-Room-Key": KEY}
    posted = await guest.send("POST", path, {"body": "by key"}, headers=key)
    assert posted.status_code == 201
    assert bodies((await guest.send("GET", path, headers=key)).json()) == ["by key"]
    wrong = {"X-AICQ-Room-Key": KEY + "!"}
    for answer in (
        await guest.send("GET", path, headers=wrong),
        await guest.send("POST", path, {"body": "x"}, headers=wrong),
    ):
        assert (answer.status_code, error_of(answer)) == (403, "invalid room key")
    assert (await guest.send("GET", path)).status_code == 403
    assert (await guest.send("DELETE", f"{path}/{posted.json()['id']}")).status_code == 204


async def test_a_new_key_and_a_new_name_are_given_by_admins_and_owners(http: httpx.AsyncClient) -> None:
    owner, admin, member, guest = [await register(http) for _ in range(4)]
    room = await owner.create_room("secret", is_private=True, key=KEY)
    path = f"/v1/rooms/{room}"
    for who, role in ((admin, "admin"), (member, "member")):
        await owner.send("PUT", f"{path}/members/{who.id}", {"role": role})
    for who, sentence in (
        (member, "your role in this room does not allow it"),
        (guest, "you are not a member of this room"),
    ):
        answer = await who.send("PATCH", path, {"name": "mine"})
        assert (answer.status_code, error_of(answer)) == (403, sentence)
    changed = await admin.send("PATCH", path, {"name": "renamed", "description": "About.", "key": NEW_KEY})
    told = changed.json()
    assert (changed.status_code, told["name"], told["description"], told["has_key"]) == (200, "renamed", "About.", True)
    assert (await http.get(f"/room/{room}", headers={"X-AICQ-Room-Key": KEY})).status_code == 403
    opened = await read(http, room, key=NEW_KEY)
    assert opened["room"]["name"] == "renamed"
    assert (await owner.send("PATCH", path, {"key": ""})).json()["has_key"] is False
    assert (await http.get(f"/room/{room}", headers={"X-AICQ-Room-Key": NEW_KEY})).status_code == 403
    assert (await page(member, room)).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        ({"name": ""}, 400, "name"),
        ({"name": "no spaces"}, 400, "name"),
        ({"name": 5}, 422, "name"),
        ({"key": KEY}, 422, "key"),
        ({"key": "short"}, 400, "key"),
        ({"key": "x" * 73}, 422, "key"),
        ({"members_only": True}, 422, "members_only"),
        ({"description": "x" * 2001}, 422, "description"),
        ({"is_private": True}, 422, "is_private"),
    ],
)
async def test_a_change_that_cannot_be_made_is_told_why_and_changes_nothing(
    http: httpx.AsyncClient, content: dict[str, object], status: int, field: str
) -> None:
    owner = await register(http)
    room = await owner.create_room("talk")
    before = (await owner.send("GET", f"/v1/rooms/{room}")).json()
    answer = await owner.send("PATCH", f"/v1/rooms/{room}", content)
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert (await owner.send("GET", f"/v1/rooms/{room}")).json() == before


async def test_only_an_owner_deletes_a_room_and_then_it_is_gone_for_all(http: httpx.AsyncClient) -> None:
    owner, admin = await register(http), await register(http)
    room = await owner.create_room("gone")
    await owner.post("last words", room)
    await owner.send("PUT", f"/v1/rooms/{room}/members/{admin.id}", {"role": "admin"})
    assert (await admin.send("DELETE", f"/v1/rooms/{room}")).status_code == 403
    assert (await owner.send("DELETE", f"/v1/rooms/{GLOBAL}")).status_code == 403
    assert (await owner.send("DELETE", f"/v1/rooms/{room}")).status_code == 204
    for answer in (
        await http.get(f"/room/{room}"),
        await owner.send("GET", f"/v1/rooms/{room}"),
        await owner.send("DELETE", f"/v1/rooms/{room}"),
        await post(owner, room),
    ):
        assert (answer.status_code, error_of(answer)) == (404, "room not found")
    assert bodies(await find(http, "last")) == []
    assert (await admin.send("GET", "/v1/rooms")).json()["items"] == []


async def test_what_is_done_to_a_room_is_in_the_audit_log_and_no_key_is(
    http: httpx.AsyncClient, database: Connection
) -> None:
    owner, member = await register(http), await sign_up(http)
    room = await owner.create_room("secret", is_private=True, key=KEY)
    path = f"/v1/rooms/{room}"
    await owner.send("PATCH", path, {"key": NEW_KEY, "description": "About."})
    await owner.send("PUT", f"{path}/members/{member.id}", {"role": "admin"})
    await member.send("DELETE", f"{path}/members/{member.id}")
    await owner.send("DELETE", path)
    rows = await database.fetch(
        "SELECT action, acted_as, coalesce(old_values, '{}') || coalesce(new_values, '{}') AS told FROM audit_logs"
        " WHERE resource_id LIKE $1 || '%' ORDER BY seq",
        room,
    )
    assert [(row["action"], row["acted_as"]) for row in rows] == [
        ("rooms.create", "agent"),
        ("rooms.change", "agent"),
        ("room_members.put", "agent"),
        ("room_members.leave", "user"),
        ("rooms.delete", "agent"),
    ]
    everything = str([dict(row) for row in await database.fetch("SELECT * FROM audit_logs")])
    assert KEY not in everything
    assert "$2b$" not in everything


async def test_an_unknown_room_is_told_as_such(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    for method, path, content in (
        ("GET", "", None),
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
        ("GET", "/members", None),
        ("PUT", f"/members/{agent.id}", {}),
        ("DELETE", f"/members/{agent.id}", None),
        ("GET", "/messages", None),
        ("POST", "/messages", {"body": "hi"}),
        ("POST", "/read", {"message_id": "01M80XSHB500000001C7YKEA0Y"}),
        ("GET", "/messages/01M80XSHB500000001C7YKEA0Y", None),
        ("GET", "/messages/01M80XSHB500000001C7YKEA0Y/readers", None),
        ("GET", "/messages/01M80XSHB500000001C7YKEA0Y/attachments", None),
    ):
        answer = await agent.send(method, f"/v1/rooms/{uuid.uuid4()}{path}", content)
        assert (answer.status_code, error_of(answer)) == (404, "room not found"), path
        answer = await agent.send(method, f"/v1/rooms/global{path}", content)
        assert (answer.status_code, error_of(answer)) == (400, "invalid room ID format"), path


async def test_nothing_under_v1_is_told_without_a_credential(http: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/v1/rooms"),
        ("POST", "/v1/rooms"),
        ("POST", "/v1/rooms/direct"),
        ("GET", f"/v1/rooms/{GLOBAL}"),
        ("GET", f"/v1/rooms/{GLOBAL}/messages"),
        ("POST", f"/v1/rooms/{GLOBAL}/messages"),
        ("GET", "/v1/guilds"),
        ("POST", "/v1/guilds"),
    ):
        answer = await http.request(method, path, json={} if method == "POST" else None)
        assert answer.status_code == 401, path
