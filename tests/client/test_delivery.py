"""Requests whose answers are lost, and services that are killed amid a post: in the end there is one message."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from tests.client.conftest import Join, Line, standing
from tests.process.service import Service

from aicq import errors
from aicq.client import GLOBAL_ROOM_ID, AgentKey, Client, NoAnswer, Unreachable, delivery
from aicq.db.embedded import socket_url

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time enough for something to happen before a request is sent again."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.2)


LOST = [httpx.RemoteProtocolError, httpx.ReadTimeout]


async def bodies(client: Client) -> list[str]:
    return [message.body async for message in client.read_forward(GLOBAL_ROOM_ID)]


@pytest.mark.parametrize("lost", LOST)
async def test_a_post_whose_answer_was_lost_is_there_once_and_its_id_is_told(
    ada: Client, bob: Client, line: Line, lost: type[httpx.TransportError]
) -> None:
    parent = await bob.post(GLOBAL_ROOM_ID, "same words")
    line.after = [lost]
    task = asyncio.create_task(ada.post(GLOBAL_ROOM_ID, "same words", parent=parent.id))
    await line.lost.wait()
    # Before it is sent again, the same is said by others, and by its author in another place.
    await asyncio.gather(*(other.post(GLOBAL_ROOM_ID, "same words") for other in (ada, bob)))
    posted = await task
    messages = (await ada.read_page(GLOBAL_ROOM_ID)).messages
    assert [(m.author, m.id, m.ts) for m in messages if m.pid == parent.id] == [(ada.agent_id, posted.id, posted.ts)]
    assert len(messages) == 4


async def test_an_outcome_that_the_service_calls_unknown_is_found_out(ada: Client, line: Line) -> None:
    told = {"error": str(errors.OutcomeUnknown()), "outcome": "unknown"}
    line.instead = [httpx.Response(503, json=told, headers={"Retry-After": "1"})]
    posted = await ada.post(GLOBAL_ROOM_ID, "hello")
    assert [m.id for m in (await ada.read_page(GLOBAL_ROOM_ID)).messages] == [posted.id]


@pytest.mark.parametrize("lost", LOST)
async def test_a_post_that_was_lost_on_its_way_is_sent_again(
    ada: Client, line: Line, lost: type[httpx.TransportError]
) -> None:
    line.before = [lost, lost]
    posted = await ada.post(GLOBAL_ROOM_ID, "hello")
    assert [m.id for m in (await ada.read_page(GLOBAL_ROOM_ID)).messages] == [posted.id]
    sent = [dict(request.headers) for request in line.requests if request.method == "POST"][-3:]
    assert sent[0] == sent[1] == sent[2]


async def test_a_direct_message_a_room_and_a_delete_are_followed_up_too(ada: Client, bob: Client, line: Line) -> None:
    await ada.send_direct(bob.agent_id, "first")
    line.after = [httpx.ReadError]
    assert (await ada.send_direct(bob.agent_id, "once")).id == ""
    assert [message.text for message in await bob.read_direct()] == ["once", "first"]

    line.after = [httpx.ReadError]
    with pytest.raises(
        errors.OutcomeUnknown, match="The room den was created, but the answer that told its id was lost"
    ):
        await ada.create_room("den")
    assert [channel.name for channel in (await ada.channels()).channels if channel.name != "global"] == ["den"]

    posted = await ada.post(GLOBAL_ROOM_ID, "hello")
    line.after = [httpx.ReadError]
    await ada.delete(GLOBAL_ROOM_ID, posted.id)
    assert await bodies(ada) == []


async def test_reading_and_registering_are_asked_again(join: Join, line: Line) -> None:
    line.after = [httpx.ReadError, httpx.ReadTimeout]
    ada = await join("ada")
    line.after = [httpx.ReadError]
    assert await ada.read_direct() == []
    line.before = [httpx.ConnectError]
    assert await bodies(ada) == []


async def test_without_patience_what_was_not_done_is_told_at_once(join: Join, line: Line) -> None:
    ada = await join("ada", patience=0)
    for call in (lambda: ada.post(GLOBAL_ROOM_ID, "hello"), lambda: ada.read_page(GLOBAL_ROOM_ID)):
        line.before = [httpx.ConnectError]
        with pytest.raises(Unreachable, match="AICQ at http://test cannot be reached: cut"):
            await call()
    line.before = [httpx.ReadTimeout]
    with pytest.raises(NoAnswer, match="AICQ at http://test did not answer: it took too long"):
        await ada.read_page(GLOBAL_ROOM_ID)
    assert await bodies(ada) == []


async def test_an_outcome_that_cannot_be_found_out_is_told_as_unknown(
    ada: Client, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "FRESH", 0.5)
    line.after = [httpx.ReadError]
    task = asyncio.create_task(ada.post(GLOBAL_ROOM_ID, "hello"))
    await line.lost.wait()
    line.before = [httpx.ConnectError] * 99
    with pytest.raises(errors.OutcomeUnknown, match="whether it was done could not be found out; last heard: AICQ at"):
        await task
    line.before = []
    assert await bodies(ada) == ["hello"]


class TestRefusedAfterwards:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"RATE_LIMITS": "post=1/60"}

    async def test_a_refusal_after_a_lost_answer_does_not_pass_for_the_outcome(self, ada: Client, line: Line) -> None:
        line.after = [httpx.ReadError]
        with pytest.raises(errors.OutcomeUnknown, match="last heard: rate limit exceeded"):
            await ada.post(GLOBAL_ROOM_ID, "hello")
        assert await bodies(ada) == ["hello"]


async def test_a_parent_that_is_gone_by_then_does_not_pass_for_a_refusal(
    ada: Client, line: Line, database: asyncpg.Connection
) -> None:
    parent = await ada.post(GLOBAL_ROOM_ID, "parent")
    line.after = [httpx.ReadError]
    task = asyncio.create_task(ada.post(GLOBAL_ROOM_ID, "child", parent=parent.id))
    # The next copy is sent after a pause.
    await line.lost.wait()
    await database.execute("UPDATE messages SET deleted_at = now() WHERE body = 'parent'")
    with pytest.raises(errors.OutcomeUnknown, match="last heard: parent message not found in this room"):
        await task


# Killed for real. Each has a service of its own: one whose worker dies twice within seconds ends by itself.


@pytest.fixture(params=["redis", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    with standing(request.param, tmp_path) as service:
        yield service


COUNT = "SELECT count(*) FROM messages WHERE room_id = $1"

END_WHO_WAITS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"


async def stored(holder: "asyncpg.Connection[asyncpg.Record]", room: str) -> None:
    """Waits until the room has a message."""
    async with asyncio.timeout(30):
        while not await holder.fetchval(COUNT, room):
            await holder.execute("SELECT pg_sleep(0.01)")


async def waiting(holder: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Waits until a post waits for the room's lock."""
    async with asyncio.timeout(30):
        while not await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await holder.execute("SELECT pg_sleep(0.01)")


@pytest.mark.parametrize("commits", [True, False], ids=["after its commit", "before its commit"])
async def test_a_server_killed_amid_a_post_ends_in_one_message(service: Service, *, commits: bool) -> None:
    [worker] = service.workers()
    holder = await asyncpg.connect(socket_url(service.data / "run"))
    async with Client(service.url, AgentKey.generate()) as ada:
        await ada.register("ada")
        room = (await ada.create_room("room")).id
        async with holder.transaction():
            await holder.execute("SELECT FROM rooms WHERE id = $1 FOR UPDATE", room)
            task = asyncio.create_task(ada.post(room, "hello"))
            await waiting(holder)
            os.kill(worker, signal.SIGSTOP if commits else signal.SIGKILL)
            if not commits:
                # Until it notices that nobody waits for its answer, the backend would commit all the same.
                await holder.execute(END_WHO_WAITS)
        if commits:
            await stored(holder, room)
            os.kill(worker, signal.SIGKILL)
        assert await holder.fetchval(COUNT, room) == commits
        posted = await task
        assert await holder.fetchval(COUNT, room) == 1
        assert [(m.body, m.id, m.ts) async for m in ada.read_forward(room)] == [("hello", posted.id, posted.ts)]
    await holder.close()
