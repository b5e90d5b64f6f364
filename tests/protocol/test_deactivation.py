"""An agent that is not active does nothing more, on whichever worker, from the moment on that it is deactivated."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import httpx
import pytest
from tests.agents import GLOBAL, Agent, error_of, read, register
from tests.messaging.conftest import until_blocked

pytestmark = pytest.mark.anyio

KEY = "a key of sixteen or more"

STORED = """
SELECT (SELECT count(*) FROM rooms), (SELECT count(*) FROM room_members), (SELECT count(*) FROM messages),
    (SELECT count(*) FROM nonces), (SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL OR edited_at IS NOT NULL)
"""


async def set_status(database: asyncpg.Connection, agent: Agent, status: str) -> None:
    await database.execute("UPDATE agents SET status = $2::agent_status WHERE id = $1", UUID(agent.id), status)


def on(worker: httpx.AsyncClient, agent: Agent) -> Agent:
    """The same agent, speaking to that worker."""
    return Agent(worker, agent.key, agent.id)


class World:
    """What an agent has done before, so that it could go on with it."""

    def __init__(self, agent: Agent, friend: Agent, stranger: Agent, private: str, said: str) -> None:
        self.agent = agent
        self.friend = friend
        self.stranger = stranger
        self.private = private
        self.said = said

    def deeds(self, agent: Agent) -> dict[str, Callable[[], Awaitable[httpx.Response]]]:
        """All that a signed request can do."""
        return {
            "post": lambda: agent.post("hi"),
            "post in a private room": lambda: agent.post("hi", self.private, key=KEY),
            "create a room": lambda: agent.send("POST", "/room", {"name": "talk"}),
            "create a private room": lambda: agent.send(
                "POST", "/room", {"name": "talk", "is_private": True, "key": KEY}
            ),
            "write to a friend": lambda: agent.direct(self.friend.id, "hi"),
            "write to a stranger": lambda: agent.direct(self.stranger.id, "hi"),
            "read direct messages": lambda: agent.send("GET", "/dm"),
            "edit": lambda: agent.send("PATCH", f"/v1/rooms/{GLOBAL}/messages/{self.said}", {"body": "said otherwise"}),
            "delete": lambda: agent.delete(self.said),
        }


@pytest.fixture
async def world(http: httpx.AsyncClient, another_worker: httpx.AsyncClient) -> World:
    """An agent that both workers know."""
    agent, friend, stranger = [await register(http) for _ in range(3)]
    private = await agent.create_room("secret", is_private=True, key=KEY)
    assert (await agent.direct(friend.id, "hi")).status_code == 201
    assert (await friend.direct(agent.id, "hi")).status_code == 201
    said = await on(another_worker, agent).post("said")
    return World(agent, friend, stranger, private, said.json()["id"])


@pytest.mark.parametrize("status", ["paused", "archived", "draft"])
async def test_who_is_not_active_does_nothing_on_any_worker_until_active_again(
    world: World, http: httpx.AsyncClient, another_worker: httpx.AsyncClient, database: asyncpg.Connection, status: str
) -> None:
    await set_status(database, world.agent, status)
    before = await database.fetchrow(STORED)
    for worker in (http, another_worker):
        for name, act in world.deeds(on(worker, world.agent)).items():
            answer = await act()
            assert (answer.status_code, error_of(answer)) == (403, "agent is not active"), name
    assert await database.fetchrow(STORED) == before
    assert [message["body"] for message in (await read(http))["messages"]] == ["said"]

    await set_status(database, world.agent, "active")
    for name, act in world.deeds(on(another_worker, world.agent)).items():
        assert (await act()).is_success, name


async def test_who_is_deleted_does_nothing_on_any_worker(
    world: World, http: httpx.AsyncClient, another_worker: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    await database.execute("DELETE FROM agents WHERE id = $1", UUID(world.agent.id))
    before = await database.fetchrow(STORED)
    for worker in (http, another_worker):
        for name, act in world.deeds(on(worker, world.agent)).items():
            assert (await act()).status_code in {401, 403}, name
    assert await database.fetchrow(STORED) == before
    assert (await read(http))["messages"][0]["from"] == world.agent.id


async def test_whoever_is_deactivated_amid_a_stream_of_posts_gets_none_stored_afterwards(
    world: World, http: httpx.AsyncClient, another_worker: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    answered: list[tuple[float, int]] = []

    async def go_on(agent: Agent) -> None:
        while not over.is_set():
            begun = loop.time()
            answered.append((begun, (await agent.post("hi")).status_code))

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - what comes true elsewhere sets no event
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as posting:
        for worker in (http, another_worker):
            for _ in range(4):
                posting.create_task(go_on(on(worker, world.agent)))
        await until(lambda: sum(status == 201 for _, status in answered) > 20)
        await set_status(database, world.agent, "paused")
        deactivated = loop.time()
        await until(lambda: sum(begun > deactivated for begun, _ in answered) > 40)
        over.set()
    assert {status for begun, status in answered if begun > deactivated} == {403}


@pytest.mark.parametrize("deed", ["create a room", "create a private room", "write to a stranger"])
async def test_a_room_that_is_made_at_the_very_moment_waits_for_what_becomes_of_its_maker(
    world: World, database: asyncpg.Connection, database_url: str, deed: str
) -> None:
    before = await database.fetchval("SELECT count(*) FROM rooms")
    second = await asyncpg.connect(database_url)
    async with database.transaction():
        await set_status(database, world.agent, "paused")
        done = asyncio.ensure_future(world.deeds(world.agent)[deed]())
        await until_blocked(second)
        assert not done.done()
    assert (await done).status_code == 403
    assert await database.fetchval("SELECT count(*) FROM rooms") == before
    await second.close()
