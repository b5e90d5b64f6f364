"""A guild's channels are read, written, found and followed by those alone who may; over both hot stores."""

import asyncio
import uuid
from typing import Any

import asyncpg
import httpx
import pytest

from tests.agents import Agent, bodies, error_of, register
from tests.guilds.founding import (
    ADMINISTRATOR,
    MANAGE_MESSAGES,
    MANAGE_ROOMS,
    POST,
    VIEW,
    Caller,
    found,
    page,
    post,
)
from tests.people import sign_up

pytestmark = pytest.mark.anyio

Connection = asyncpg.Connection


@pytest.fixture(params=["redis", "postgres"])
def hot_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


async def search(caller: Caller, words: str, room: str = "") -> list[str]:
    answer = await caller.send("GET", f"/find?q={words}" + (f"&room={room}" if room else ""))
    assert answer.status_code == 200, answer.text
    return bodies(answer.json())


async def look(http: httpx.AsyncClient, path: str) -> httpx.Response:
    """Asks without saying who one is."""
    return await http.get(path)


async def test_members_read_write_and_find_and_nobody_else_does(http: httpx.AsyncClient) -> None:
    owner, member, stranger = await register(http), await sign_up(http), await register(http)
    guild = await found(owner, member)
    channel = await guild.channel()
    assert (await post(member, channel, "classified plan")).status_code == 201
    assert (await owner.post("a second", channel)).status_code == 201
    for caller in (owner, member):
        assert bodies((await page(caller, channel)).json()) == ["a second", "classified plan"]
        assert bodies((await caller.send("GET", f"/room/{channel}")).json()) == ["a second", "classified plan"]
        assert await search(caller, "classified", channel) == ["classified plan"]
        assert await search(caller, "classified") == []
    for answer in (
        await page(stranger, channel),
        await post(stranger, channel),
        await stranger.post("hi", channel),
        await stranger.send("GET", f"/room/{channel}"),
        await look(http, f"/room/{channel}"),
        await http.get(f"/room/{channel}", headers={"X-AICQ-Room-Key": "whatever it may be"}),
        await look(http, f"/room/{channel}/events"),
        await stranger.send("GET", f"/v1/rooms/{channel}"),
        await stranger.send("PATCH", f"/v1/rooms/{channel}", {"name": "mine"}),
        await stranger.send("GET", f"/v1/rooms/{channel}/members"),
    ):
        assert (answer.status_code, error_of(answer)) == (404, "room not found")
    assert await search(stranger, "classified", channel) == []
    assert await search(stranger, "classified") == []
    for query in (f"/find?q=classified&room={channel}", "/find?q=classified"):
        assert (await look(http, query)).json()["results"] == []
    assert channel not in (await look(http, "/channels")).text
    assert channel not in (await look(http, "/stats")).text


async def test_a_channel_is_as_open_as_the_roles_say_at_that_moment(http: httpx.AsyncClient) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    channel = await guild.channel()
    await post(owner, channel, "words")
    await guild.everyone(VIEW)
    refused = await post(member, channel)
    assert (refused.status_code, error_of(refused)) == (403, "you may not write in this room")
    assert (await page(member, channel)).status_code == 200
    await guild.everyone(POST)
    assert (await page(member, channel)).status_code == 404
    assert (await post(member, channel)).status_code == 404
    assert await search(member, "words", channel) == []
    role = await guild.role(VIEW, member)
    assert (await post(member, channel)).status_code == 201
    await owner.send("DELETE", f"{guild.path}/members/{member.id}/roles/{role}")
    assert (await page(member, channel)).status_code == 404
    assert (await page(owner, channel)).status_code == 200


async def test_a_channel_for_its_own_members_is_there_for_them_and_for_administrators(
    http: httpx.AsyncClient,
) -> None:
    owner, admin, inside, outside = [await register(http) for _ in range(4)]
    guild = await found(owner, admin, inside, outside)
    await guild.role(ADMINISTRATOR, admin)
    await guild.role(MANAGE_ROOMS, outside)
    open_channel = await guild.channel("open")
    secret = await guild.channel("secret", inside)
    for caller in (owner, admin, inside):
        assert (await post(caller, secret, "inner words")).status_code == 201
        assert await search(caller, "inner", secret) != []
    for answer in (await page(outside, secret), await post(outside, secret), await outside.post("hi", secret)):
        assert (answer.status_code, error_of(answer)) == (404, "room not found")
    assert await search(outside, "inner", secret) == []

    async def visible(caller: Caller) -> list[str]:
        answer = await caller.send("GET", f"{guild.path}/channels")
        return [channel["name"] for channel in answer.json()["items"]]

    assert await visible(inside) == await visible(admin) == ["open", "secret"]
    assert await visible(outside) == ["open"]
    assert (await owner.send("PATCH", f"/v1/rooms/{secret}", {"members_only": False})).status_code == 200
    assert await visible(outside) == ["open", "secret"]
    assert await search(outside, "inner", secret) != []
    assert (await outside.send("PATCH", f"/v1/rooms/{open_channel}", {"members_only": True})).status_code == 200
    assert (await page(inside, open_channel)).status_code == 404
    assert (await page(outside, open_channel)).status_code == 200


async def test_a_viewer_of_a_channel_reads_and_does_not_write(http: httpx.AsyncClient) -> None:
    owner, viewer = await register(http), await register(http)
    guild = await found(owner, viewer)
    channel = await guild.channel("secret", owner)
    role = {"role": "viewer"}
    assert (await owner.send("PUT", f"/v1/rooms/{channel}/members/{viewer.id}", role)).status_code == 204
    assert (await page(viewer, channel)).status_code == 200
    assert (await post(viewer, channel)).status_code == 403


async def test_only_who_is_in_the_guild_is_a_member_of_its_channels(http: httpx.AsyncClient) -> None:
    owner, stranger = await register(http), await register(http)
    guild = await found(owner)
    channel = await guild.channel("secret", owner)
    answer = await owner.send("PUT", f"/v1/rooms/{channel}/members/{stranger.id}", {})
    assert (answer.status_code, error_of(answer)) == (404, "actor not found")
    assert (await page(stranger, channel)).status_code == 404


async def test_who_manages_messages_deletes_those_of_others_and_edits_none(http: httpx.AsyncClient) -> None:
    owner, keeper, member = [await register(http) for _ in range(3)]
    guild = await found(owner, keeper, member)
    await guild.role(MANAGE_MESSAGES, keeper)
    channel = await guild.channel()
    first, second = [(await post(member, channel, body)).json()["id"] for body in ("first", "second")]
    messages = f"/v1/rooms/{channel}/messages"
    refused = await keeper.send("PATCH", f"{messages}/{first}", {"body": "changed"})
    assert (refused.status_code, error_of(refused)) == (403, "can only edit your own messages")
    other = await register(http)
    await guild.add(other)
    refused = await other.send("DELETE", f"{messages}/{first}")
    assert (refused.status_code, error_of(refused)) == (403, "can only delete your own messages")
    assert (await keeper.send("DELETE", f"{messages}/{first}")).status_code == 204
    assert (await keeper.delete(second, channel)).status_code == 204
    assert bodies((await page(member, channel)).json()) == []


async def test_who_has_left_neither_edits_nor_deletes_what_they_wrote(http: httpx.AsyncClient) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    channel = await guild.channel()
    message = (await post(member, channel, "mine")).json()["id"]
    await member.send("DELETE", f"{guild.path}/members/{member.id}")
    path = f"/v1/rooms/{channel}/messages/{message}"
    assert (await member.send("PATCH", path, {"body": "changed"})).status_code == 404
    assert (await member.send("DELETE", path)).status_code == 404
    assert (await member.delete(message, channel)).status_code == 404
    assert bodies((await page(owner, channel)).json()) == ["mine"]


async def test_what_was_said_stays_hidden_while_the_hot_store_is_filled_anew(
    http: httpx.AsyncClient, another_worker: httpx.AsyncClient, database: Connection
) -> None:
    owner = await register(http)
    guild = await found(owner)
    channel = await guild.channel()
    await post(owner, channel, "classified plan")
    await owner.post("public plan")
    await database.execute("UPDATE hot_store SET epoch = epoch + 1, complete = false")
    for client in (http, another_worker):
        async with asyncio.timeout(20):
            while not bodies((await client.get("/find?q=public")).json()):  # noqa: ASYNC110 - asked from outside
                await asyncio.sleep(0.01)
        assert bodies((await client.get("/find?q=plan")).json()) == ["public plan"]
        assert (await client.get(f"/find?q=classified&room={channel}")).json()["results"] == []


async def test_credentials_that_do_not_hold_open_nothing_and_public_rooms_ask_for_none(
    http: httpx.AsyncClient,
) -> None:
    owner, stranger = await register(http), await register(http)
    guild = await found(owner)
    channel = await guild.channel()
    room = await owner.create_room("public")
    await owner.post("for all", room)
    forged = owner.headers() | {"X-AICQ-Signature": stranger.headers()["X-AICQ-Signature"]}
    token = {"Authorization": "Bearer nonsense"}
    for headers in (forged, token):
        assert (await http.get(f"/room/{channel}", headers=headers)).status_code == 401
        assert (await http.get(f"/find?q=x&room={channel}", headers=headers)).status_code == 401
        assert bodies((await http.get(f"/room/{room}", headers=headers)).json()) == ["for all"]
    only_named = {"X-AICQ-Agent": owner.id}
    assert (await http.get(f"/room/{channel}", headers=only_named)).status_code == 404
    assert (await http.get(f"/room/{room}", headers=only_named)).status_code == 200


async def test_a_signed_read_of_a_channel_is_answered_once(http: httpx.AsyncClient) -> None:
    owner = await register(http)
    guild = await found(owner)
    channel = await guild.channel()
    headers = owner.headers()
    assert (await http.get(f"/room/{channel}", headers=headers)).status_code == 200
    replayed = await http.get(f"/room/{channel}", headers=headers)
    assert (replayed.status_code, error_of(replayed)) == (401, "nonce already used")


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        ({}, 422, "name"),
        ({"name": "no spaces"}, 400, "name"),
        ({"name": "talk", "kind": "dm"}, 422, "kind"),
        ({"name": "talk", "is_private": False}, 422, "is_private"),
    ],
)
async def test_a_channel_that_is_not_well_formed_is_told_why(
    http: httpx.AsyncClient, content: dict[str, Any], status: int, field: str
) -> None:
    owner = await register(http)
    guild = await found(owner)
    answer = await owner.send("POST", f"{guild.path}/channels", content)
    assert (answer.status_code, answer.json()["field"]) == (status, field)


async def test_who_manages_rooms_opens_renames_and_deletes_channels(http: httpx.AsyncClient) -> None:
    owner, keeper, member = [await register(http) for _ in range(3)]
    guild = await found(owner, keeper, member)
    await guild.role(MANAGE_ROOMS, keeper)
    refused = await member.send("POST", f"{guild.path}/channels", {"name": "mine"})
    assert (refused.status_code, error_of(refused)) == (403, "your roles in this guild do not allow it")
    made = await keeper.send("POST", f"{guild.path}/channels", {"name": "voices", "kind": "voice"})
    channel = made.json()
    assert (channel["kind"], channel["guild_id"], channel["is_private"]) == ("voice", guild.id, True)
    path = f"/v1/rooms/{channel['id']}"
    assert (await member.send("PATCH", path, {"name": "mine"})).status_code == 403
    assert (await keeper.send("PATCH", path, {"name": "loud", "description": "Sing."})).json()["name"] == "loud"
    assert (await keeper.send("PATCH", path, {"key": "a key of sixteen or more"})).status_code == 422
    assert (await member.send("DELETE", path)).status_code == 403
    assert (await keeper.send("DELETE", path)).status_code == 204
    assert (await page(owner, channel["id"])).status_code == 404


async def test_a_room_of_a_guild_is_never_public_whatever_is_written_into_its_row(
    http: httpx.AsyncClient, database: Connection
) -> None:
    owner: Agent = await register(http)
    guild = await found(owner)
    channel = uuid.UUID(await guild.channel())
    for change in (
        "is_private = false",
        "kind = 'room'",
        "guild_id = NULL",
        "guild_id = NULL, kind = 'dm', name = NULL, is_private = false",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await database.execute(f"UPDATE rooms SET {change} WHERE id = $1", channel)
