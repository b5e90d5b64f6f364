"""How far rooms were read, what is unread, one message, and by whom it was read."""

from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from aicq.client import AgentKey
from aicq.ids import from_ulid
from aicq.messaging.repositories import room_views
from tests.agents import GLOBAL, error_of, register
from tests.guilds.founding import Caller, found, post
from tests.people import sign_up

pytestmark = pytest.mark.anyio

Connection = asyncpg.Connection


async def say(caller: Caller, room: str, *bodies: str) -> list[str]:
    return [(await post(caller, room, body)).json()["id"] for body in bodies]


async def mark(caller: Caller, room: str, message_id: str) -> tuple[str | None, int | None]:
    answer = await caller.send("POST", f"/v1/rooms/{room}/read", {"message_id": message_id})
    assert answer.status_code == 200, answer.text
    return answer.json()["last_read"], answer.json()["unread"]


async def unread(caller: Caller) -> dict[str, int]:
    """What is unread in each of somebody's rooms."""
    answer = await caller.send("GET", "/v1/rooms")
    return {room["id"]: room["unread"] for room in answer.json()["items"]}


async def readers(caller: Caller, room: str, message_id: str) -> list[str]:
    answer = await caller.send("GET", f"/v1/rooms/{room}/messages/{message_id}/readers")
    assert answer.status_code == 200, answer.text
    return [reader["actor_id"] for reader in answer.json()["items"]]


async def test_what_others_said_since_one_joined_or_read_is_unread(http: httpx.AsyncClient) -> None:
    owner, member = await register(http), await sign_up(http)
    room = await owner.create_room("room")
    await say(owner, room, "before")
    await member.send("PUT", f"/v1/rooms/{room}/members/{member.id}", {})
    first, second, _ = await say(owner, room, "one", "two", "three")
    await say(member, room, "mine")
    assert await unread(member) == {room: 3}
    assert await unread(owner) == {room: 1}
    assert await mark(member, room, first) == (first, 2)
    assert await mark(member, room, second) == (second, 1)
    assert await unread(member) == {room: 1}


async def test_reading_goes_on_and_never_back(http: httpx.AsyncClient, database: Connection) -> None:
    owner, member = await register(http), await register(http)
    room = await owner.create_room("room")
    await member.send("PUT", f"/v1/rooms/{room}/members/{member.id}", {})
    ids = await say(owner, room, "one", "two", "three")
    assert await mark(member, room, ids[2]) == (ids[2], 0)
    assert await mark(member, room, ids[0]) == (ids[2], 0)
    places = await database.fetch(
        "SELECT last_read_message_id FROM room_members WHERE last_read_message_id IS NOT NULL"
    )
    assert [place[0] for place in places] == [from_ulid(ids[2])]
    assert await mark(member, room, ids[2]) == (ids[2], 0)


async def test_deleted_messages_are_not_unread_and_edits_make_nothing_unread(http: httpx.AsyncClient) -> None:
    owner, member = await register(http), await register(http)
    room = await owner.create_room("room")
    await member.send("PUT", f"/v1/rooms/{room}/members/{member.id}", {})
    first, second, third = await say(owner, room, "one", "two", "three")
    await mark(member, room, first)
    await owner.delete(second, room)
    await owner.send("PATCH", f"/v1/rooms/{room}/messages/{first}", {"body": "changed"})
    assert await unread(member) == {room: 1}
    assert await mark(member, room, third) == (third, 0)


async def test_unread_messages_are_counted_no_further_than_told(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_views, "OF_ACTOR", room_views.OF_ACTOR.replace("LIMIT 1000", "LIMIT 2"))
    owner, member = await register(http), await register(http)
    room = await owner.create_room("room")
    await member.send("PUT", f"/v1/rooms/{room}/members/{member.id}", {})
    await say(owner, room, "one", "two", "three")
    assert await unread(member) == {room: 2}


async def test_who_is_no_member_reads_public_rooms_too(http: httpx.AsyncClient) -> None:
    owner, passer = await register(http), await register(http)
    first, second = await say(owner, GLOBAL, "one", "two")
    told = (await passer.send("GET", f"/v1/rooms/{GLOBAL}")).json()
    assert (told["last_read"], told["unread"], told["role"]) == (None, None, None)
    assert await mark(passer, GLOBAL, first) == (first, 1)
    told = (await passer.send("GET", f"/v1/rooms/{GLOBAL}")).json()
    assert (told["last_read"], told["unread"]) == (first, 1)
    assert await readers(owner, GLOBAL, second) == []


async def test_in_a_channel_unread_counts_from_when_one_joined_the_guild(http: httpx.AsyncClient) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner)
    channel = await guild.channel()
    await say(owner, channel, "before")
    await guild.add(member)
    first, _ = await say(owner, channel, "one", "two")

    async def in_channels() -> list[int]:
        answer = await member.send("GET", f"{guild.path}/channels")
        return [room["unread"] for room in answer.json()["items"]]

    assert await in_channels() == [2]
    assert await mark(member, channel, first) == (first, 1)
    assert await in_channels() == [1]


async def test_a_message_is_read_by_itself_as_it_stands_in_its_page(http: httpx.AsyncClient) -> None:
    agent, ada = await register(http), await sign_up(http)
    sig = AgentKey(agent.key).sign_message(UUID(GLOBAL), "", "a question")
    first = (await agent.post("a question", sig=sig)).json()["id"]
    told = await agent.send("POST", f"/v1/rooms/{GLOBAL}/messages", {"body": "an answer", "pid": first})
    path = f"/v1/rooms/{GLOBAL}/messages/{told.json()['id']}"
    assert (await agent.send("PATCH", path, {"body": "a better answer"})).status_code == 200
    page = (await ada.send("GET", f"/v1/rooms/{GLOBAL}/messages?limit=2")).json()["messages"]
    assert [message["body"] for message in page] == ["a better answer", "a question"]
    assert (page[0]["pid"], page[1]["sig"]) == (first, sig)
    for message in page:
        answer = await ada.send("GET", f"/v1/rooms/{GLOBAL}/messages/{message['id'].lower()}")
        assert (answer.status_code, answer.json()) == (200, message)
    assert (await agent.send("DELETE", path)).status_code == 204
    gone = await ada.send("GET", path)
    assert (gone.status_code, error_of(gone)) == (404, "message not found")


async def test_a_message_was_read_by_all_who_read_it_or_a_later_one(http: httpx.AsyncClient) -> None:
    owner, one, two = await register(http), await register(http), await sign_up(http)
    first, second = await say(owner, GLOBAL, "one", "two")
    await mark(one, GLOBAL, first)
    await mark(two, GLOBAL, second)
    assert await readers(owner, GLOBAL, first) == sorted([one.id, two.id])
    assert await readers(owner, GLOBAL, second) == [two.id]
    page: dict[str, Any] = (await owner.send("GET", f"/v1/rooms/{GLOBAL}/messages/{first}/readers?limit=1")).json()
    rest = await owner.send("GET", f"/v1/rooms/{GLOBAL}/messages/{first}/readers?limit=1&cursor={page['next']}")
    assert [reader["actor_id"] for reader in page["items"] + rest.json()["items"]] == sorted([one.id, two.id])


async def test_only_what_one_may_see_is_marked_and_told(http: httpx.AsyncClient) -> None:
    owner, member, stranger = [await register(http) for _ in range(3)]
    key = {"X-AICQ-Room-Key": "a key of sixteen or more"}
    room = await owner.create_room("secret", is_private=True, key="a key of sixteen or more")
    guild = await found(owner, member)
    channel = await guild.channel()
    (message,) = await say(owner, room, "inner")
    (inner,) = await say(owner, channel, "inner")
    for where, what, status, sentence in (
        (room, message, 403, "you are not a member of this room"),
        (channel, inner, 404, "room not found"),
    ):
        for method, path, content in (
            ("POST", f"/v1/rooms/{where}/read", {"message_id": what}),
            ("GET", f"/v1/rooms/{where}/messages/{what}", None),
            ("GET", f"/v1/rooms/{where}/messages/{what}/readers", None),
            ("GET", f"/v1/rooms/{where}/messages/{what}/attachments", None),
        ):
            answer = await stranger.send(method, path, content)
            assert (answer.status_code, error_of(answer)) == (status, sentence), path
    opened = await stranger.send("POST", f"/v1/rooms/{room}/read", {"message_id": message}, headers=key)
    assert opened.status_code == 200
    assert await readers(owner, room, message) == [stranger.id]
    for part in ("", "/readers"):
        told = await stranger.send("GET", f"/v1/rooms/{room}/messages/{message}{part}", headers=key)
        assert told.status_code == 200
    refused = await stranger.send("GET", f"/v1/rooms/{room}/messages/{message}/readers")
    assert (refused.status_code, error_of(refused)) == (403, "you are not a member of this room")


async def test_what_is_no_message_of_the_room_is_neither_marked_nor_read(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    other = await agent.create_room("other")
    (elsewhere,) = await say(agent, other, "there")
    (here,) = await say(agent, GLOBAL, "here")
    edit = (await agent.send("PATCH", f"/v1/rooms/{GLOBAL}/messages/{here}", {"body": "now"})).json()["entry_id"]
    for message_id in (elsewhere, edit, "01M80XSHB500000001C7YKEA0Y"):
        for method, path, content in (
            ("POST", "/read", {"message_id": message_id}),
            ("GET", f"/messages/{message_id}", None),
        ):
            answer = await agent.send(method, f"/v1/rooms/{GLOBAL}{path}", content)
            assert (answer.status_code, error_of(answer)) == (404, "message not found")
    bad = await agent.send("POST", f"/v1/rooms/{GLOBAL}/read", {"message_id": "nonsense"})
    assert (bad.status_code, error_of(bad)) == (400, "invalid message ID format")


async def test_own_rooms_are_listed_by_kind_page_by_page(http: httpx.AsyncClient) -> None:
    agent, other = await register(http), await register(http)
    guild = await found(agent)
    rooms = [await agent.create_room(f"room{number}") for number in range(3)]
    channel = await guild.channel("secret", agent)
    direct = (await agent.send("POST", "/v1/rooms/direct", {"members": [other.id]})).json()["id"]

    async def listed(query: str = "") -> list[str]:
        answer = await agent.send("GET", f"/v1/rooms{query}")
        return [room["id"] for room in answer.json()["items"]]

    assert await listed() == sorted([*rooms, channel, direct])
    assert await listed("?kind=room") == sorted(rooms)
    assert await listed("?kind=channel") == [channel]
    assert await listed("?kind=dm") == [direct]
    first = (await agent.send("GET", "/v1/rooms?kind=room&limit=2")).json()
    assert await listed(f"?kind=room&limit=2&cursor={first['next']}") == sorted(rooms)[2:]
    bad = await agent.send("GET", "/v1/rooms?kind=attic")
    assert (bad.status_code, bad.json()["field"]) == (400, "kind")
