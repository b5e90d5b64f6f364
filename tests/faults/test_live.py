"""Many rooms over one socket: what is said, what is told, and that nothing is missed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from aicq.hot import presence
from aicq.http.streams import COME_BACK
from tests.agents import Agent, register
from tests.faults.house import House
from tests.faults.readers import PATIENCE
from tests.faults.writers import client_of

pytestmark = pytest.mark.anyio

KEY = "a key of sixteen characters"


class Socket:
    """One end of `/v1/live`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.kept: list[dict[str, Any]] = []
        self.hello: dict[str, Any] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, house: House, *, token: str = "") -> AsyncIterator[Self]:
        async with connect(house.service.url.replace("http", "ws") + "/v1/live", open_timeout=PATIENCE) as connection:
            socket = cls(connection)
            socket.hello = await socket.next("hello")
            assert socket.hello["end_after"] == 60
            if token:
                assert (await socket.say("auth", token=token))["type"] == "done"
            yield socket

    async def say(self, kind: str, **told: Any) -> dict[str, Any]:
        """Says something and returns the answer to it."""
        ref = f"{kind} {id(told)}"
        await self._connection.send(json.dumps({"type": kind, "ref": ref, **told}))
        return await self._until(lambda frame: frame.get("ref") == ref)

    async def next(self, kind: str) -> dict[str, Any]:
        """The next frame of a kind."""
        return await self._until(lambda frame: frame["type"] == kind)

    async def entries(self, count: int) -> list[dict[str, Any]]:
        return [(await self.next("entry"))["entry"] for _ in range(count)]

    async def raw(self, text: str) -> dict[str, Any]:
        await self._connection.send(text)
        return await self.next("failed")

    async def _until(self, is_it: Any) -> dict[str, Any]:
        frame: dict[str, Any]
        for at, frame in enumerate(self.kept):
            if is_it(frame):
                return self.kept.pop(at)
        async with asyncio.timeout(PATIENCE):
            while True:
                frame = json.loads(await self._connection.recv())
                if is_it(frame):
                    return frame
                self.kept.append(frame)


async def token_of(agent: Agent) -> str:
    """An access token, for one signed request."""
    answer = await agent.send("POST", "/v1/auth/token", {})
    assert answer.status_code in {200, 201}, answer.text
    return str(answer.json()["access_token"])


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(house.service.url) as http:
        yield http


async def test_many_rooms_are_followed_over_one_socket(house: House, http: httpx.AsyncClient) -> None:
    agent = await register(http)
    rooms = [await agent.create_room() for _ in range(3)]
    async with Socket.opened(house) as socket:
        for room in rooms:
            assert (await socket.say("subscribe", room=room))["type"] == "done"
        posted = [(room, (await agent.post("hello", room)).json()["id"]) for room in rooms]
        told = [await socket.next("entry") for _ in rooms]
    assert sorted((frame["room"], frame["entry"]["id"]) for frame in told) == sorted(posted)


async def test_those_who_lose_their_sockets_together_are_told_to_come_back_one_after_the_other(house: House) -> None:
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(Socket.opened(house)) for _ in range(8)]
        told = {socket.hello["come_back_after"] for socket in sockets}
    assert len(told) > 1
    assert all(COME_BACK[0] <= 1000 * seconds <= COME_BACK[1] for seconds in told)


async def test_a_subscription_goes_on_where_one_was(house: House, http: httpx.AsyncClient) -> None:
    agent = await register(http)
    room = await agent.create_room()
    ids = [(await agent.post(f"message {number}", room)).json()["id"] for number in range(5)]
    async with Socket.opened(house) as socket:
        await socket.say("subscribe", room=room, after=ids[1])
        assert [entry["id"] for entry in await socket.entries(3)] == ids[2:]
        assert (await socket.say("unsubscribe", room=room))["type"] == "done"
        assert (await socket.say("unsubscribe", room=room))["status"] == 404


async def test_who_shows_a_token_posts_over_the_socket(house: House, http: httpx.AsyncClient) -> None:
    agent = await register(http)
    room = await agent.create_room()
    async with Socket.opened(house, token=await token_of(agent)) as socket:
        await socket.say("subscribe", room=room)
        posted = await socket.say("post", room=room, body="by socket")
        assert posted["type"] == "posted"
        [entry] = await socket.entries(1)
        assert (entry["id"], entry["from"], entry["body"]) == (posted["id"], agent.id, "by socket")


async def test_who_shows_no_token_may_read_and_not_post(house: House, http: httpx.AsyncClient) -> None:
    agent = await register(http)
    room = await agent.create_room()
    async with Socket.opened(house) as socket:
        assert (await socket.say("post", room=room, body="anonymous"))["status"] == 401
        assert (await socket.say("typing", room=room))["status"] == 401
        assert (await socket.say("auth", token="none of yours"))["status"] == 401


async def test_a_private_room_wants_its_key_or_a_member(house: House, http: httpx.AsyncClient) -> None:
    owner, stranger = await register(http), await register(http)
    room = await owner.create_room(is_private=True, key=KEY)
    async with Socket.opened(house) as anybody, Socket.opened(house, token=await token_of(owner)) as member:
        assert (await anybody.say("subscribe", room=room))["status"] == 403
        assert (await anybody.say("subscribe", room=room, key=KEY))["type"] == "done"
        assert (await member.say("subscribe", room=room))["type"] == "done"
        await owner.post("secret", room, key=KEY)
        assert [(await socket.entries(1))[0]["body"] for socket in (anybody, member)] == ["secret", "secret"]
    async with Socket.opened(house, token=await token_of(stranger)) as socket:
        assert (await socket.say("subscribe", room=room))["status"] == 403


async def test_a_member_who_is_removed_is_told_nothing_more(house: House, http: httpx.AsyncClient) -> None:
    owner = await register(http)
    room = await owner.create_room(is_private=True, key=KEY)
    async with Socket.opened(house, token=await token_of(owner)) as socket, house.database() as database:
        await socket.say("subscribe", room=room)
        await database.execute("DELETE FROM room_members WHERE room_id = $1::uuid", room)
        await owner.post("not for them", room, key=KEY)
        assert await socket.next("end") == {
            "type": "end",
            "room": room,
            "error": "you may not see this room any more",
        }


async def test_who_types_is_told_to_those_who_follow_the_room(house: House, http: httpx.AsyncClient) -> None:
    ann, ben = await register(http), await register(http)
    room = await ann.create_room()
    async with (
        Socket.opened(house, token=await token_of(ann)) as here,
        Socket.opened(house, token=await token_of(ben)) as there,
    ):
        for socket in (here, there):
            await socket.say("subscribe", room=room)
        await here.say("typing", room=room)
        assert (await there.next("typing"))["actors"] == [ann.id]
        await here.say("typing", room=room, is_typing=False)
        assert (await there.next("typing")).get("actors") == []


async def test_whoever_posts_types_no_more(house: House, http: httpx.AsyncClient) -> None:
    ann = await register(http)
    room = await ann.create_room(is_private=True, key=KEY)
    async with Socket.opened(house, token=await token_of(ann)) as here, Socket.opened(house) as there:
        await there.say("subscribe", room=room, key=KEY)
        await here.say("subscribe", room=room)
        await here.say("typing", room=room)
        assert (await there.next("typing"))["actors"] == [ann.id]
        # A member needs no key.
        assert (await here.say("post", room=room, body="done"))["type"] == "posted"
        async with asyncio.timeout(presence.TYPING / 1000 - 1):  # by itself it would end after that
            assert (await there.next("typing")).get("actors") == []


async def test_whoever_types_on_is_told_of_and_whoever_stops_without_a_word_is_not(house_on_postgres: House) -> None:
    async with client_of(house_on_postgres.service.url) as http:
        ann = await register(http)
        room = await ann.create_room()
        async with (
            Socket.opened(house_on_postgres, token=await token_of(ann)) as here,
            Socket.opened(house_on_postgres) as there,
        ):
            for socket in (here, there):
                await socket.say("subscribe", room=room)
            for _ in range(2):
                await here.say("typing", room=room)
                assert (await there.next("typing"))["actors"] == [ann.id]
            assert (await there.next("typing")).get("actors") == []


@pytest.mark.parametrize("how", ["over the socket", "by a call"])
async def test_who_has_read_is_told_to_those_who_say_who_they_are(
    house: House, http: httpx.AsyncClient, how: str
) -> None:
    ann, ben = await register(http), await register(http)
    room = await ann.create_room()
    first, second = [(await ann.post(text, room)).json()["id"] for text in ("first", "second")]
    async with (
        Socket.opened(house, token=await token_of(ann)) as here,
        Socket.opened(house, token=await token_of(ben)) as there,
        Socket.opened(house) as anybody,
    ):
        for socket in (here, anybody):
            await socket.say("subscribe", room=room)
        for message in (second, first):
            if how == "by a call":
                answer = await ben.send("POST", f"/v1/rooms/{room}/read", {"message_id": message})
                assert answer.status_code == 200
            else:
                assert (await there.say("read", room=room, id=message))["type"] == "done"
        # Reading never goes back, and what was told once is not told again.
        assert (await here.next("read"))["marks"] == [{"actor": ben.id, "id": second}]
        assert (await there.say("read", room=room, id=second.replace(second[-4:], "0000")))["status"] == 404
        assert (await anybody.say("read", room=room, id=second))["status"] == 401
        await ann.post("the last", room)
        for socket in (here, anybody):
            await socket.entries(1)
            assert not [frame for frame in socket.kept if frame["type"] == "read"]
    readers = (await ann.send("GET", f"/v1/rooms/{room}/messages/{second}/readers")).json()["items"]
    assert [reader["actor_id"] for reader in readers] == [ben.id]


async def test_who_has_a_socket_open_is_present(house: House, http: httpx.AsyncClient) -> None:
    ann, ben = await register(http), await register(http)
    async with Socket.opened(house, token=await token_of(ann)) as here:
        async with Socket.opened(house, token=await token_of(ben)):
            present = await here.say("presence", actors=[ann.id, ben.id])
            assert sorted(present["actors"]) == sorted([ann.id, ben.id])

        # The service may learn of the end of a socket a moment after its peer.
        async with asyncio.timeout(PATIENCE):
            while ben.id in (await here.say("presence", actors=[ann.id, ben.id]))["actors"]:
                assert (await here.say("ping"))["type"] == "pong"


async def test_an_agent_with_a_socket_open_is_online(house: House, http: httpx.AsyncClient) -> None:
    ann, ben = await register(http), await register(http)
    token = await token_of(ann)
    async with Socket.opened(house, token=token) as socket:
        if house.kind == "redis":
            with house.redis.client as client:
                client.delete("online:agents")
        else:
            async with house.database() as database:
                await database.execute("DELETE FROM hot_members WHERE key = 'online:agents'")
        assert (await ben.send("GET", f"/v1/agents/{ann.id}")).json()["online"] is False
        assert (await socket.say("auth", token=token))["type"] == "done"
        assert (await ben.send("GET", f"/v1/agents/{ann.id}")).json()["online"] is True


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"type":"dance"}',
        '{"type":"post"}',
        '{"type":"subscribe","room":1}',
        '{"type":"ping","more":1}',
    ],
)
async def test_a_frame_that_is_none_is_answered_and_forgotten(house: House, frame: str) -> None:
    async with Socket.opened(house) as socket:
        failed = await socket.raw(frame)
        assert failed["status"] == 400
        assert failed["error"].startswith("invalid frame")
        assert (await socket.say("ping"))["type"] == "pong"


async def test_a_frame_that_is_too_large_ends_the_socket(house: House) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        async with Socket.opened(house) as socket:
            await socket.raw("x" * 17_000)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_the_schema_tells_every_frame(http: httpx.AsyncClient) -> None:
    schema = (await http.get("/v1/live/schema")).json()
    assert {"Subscribe", "Post", "Entry", "LiveEntry", "Failed"} <= set(schema["$defs"])
