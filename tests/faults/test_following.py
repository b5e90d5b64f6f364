"""Following a room: what its log gets reaches everybody who follows, once and in order."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from aicq.bench.followers import follow
from aicq.bench.traffic import Agent
from aicq.http.streams import COME_BACK
from aicq.ids import to_ulid
from tests.agents import register
from tests.faults.house import House
from tests.faults.readers import PATIENCE, Reader, Stream
from tests.faults.writers import Crowd, client_of
from tests.people import sign_up

pytestmark = pytest.mark.anyio


async def test_a_follower_gets_what_comes(house: House) -> None:
    async with client_of(house.service.url) as http:
        agent = await register(http)
        room = await agent.create_room()
        await agent.post("before", room)
        async with Stream.opened(house.service.url, room) as stream:
            posted = [(await agent.post(f"message {number}", room)).json() for number in range(3)]
            events = await stream.take(3)
    assert [event["id"] for event in events] == [answer["id"] for answer in posted]
    assert events[0] == {
        "kind": "message",
        "id": posted[0]["id"],
        "seq": 2,
        "from": agent.id,
        "ts": posted[0]["ts"],
        "body": "message 0",
    }


@pytest.mark.parametrize("how", ["after", "Last-Event-ID"])
async def test_whoever_comes_back_goes_on_where_they_were(house: House, how: str) -> None:
    async with client_of(house.service.url) as http:
        agent = await register(http)
        room = await agent.create_room()
        posted = [(await agent.post(f"message {number}", room)).json()["id"] for number in range(5)]
        async with Stream.opened(house.service.url, room, **{how: posted[1]}) as stream:
            assert [event["id"] for event in await stream.take(3)] == posted[2:]
            last = (await agent.post("one more", room)).json()["id"]
            assert [event["id"] for event in await stream.take(1)] == [last]


@pytest.mark.parametrize("followed", [False, True], ids=["read from the log", "kept for those who follow"])
async def test_a_delete_is_told_and_what_was_deleted_is_not(house: House, *, followed: bool) -> None:
    async with client_of(house.service.url) as http, AsyncExitStack() as others:
        agent = await register(http)
        room = await agent.create_room()
        if followed:
            other = await others.enter_async_context(Stream.opened(house.service.url, room, after="0" * 26))
        message = (await agent.post("regretted", room)).json()["id"]
        await agent.send("PATCH", f"/v1/rooms/{room}/messages/{message}", {"body": "regretted as well"})
        await agent.delete(message, room)
        if followed:
            await other.take(3)
        async with Stream.opened(house.service.url, room, after="0" * 26) as stream:
            first, second, third = await stream.take(3)
    assert (first["kind"], first["seq"], first.get("body"), first["deleted"]) == ("message", 1, None, True)
    assert (second["kind"], second["seq"], second.get("body"), second["target"]) == ("edit", 2, None, message)
    assert (third["kind"], third["seq"], third["target"]) == ("delete", 3, message)
    assert "regretted" not in str([first, second, third])


async def test_a_private_room_wants_its_key(house: House) -> None:
    key = "a key of sixteen characters"
    async with client_of(house.service.url) as http:
        agent = await register(http)
        room = await agent.create_room(is_private=True, key=key)
        for wrong in ("", "another key of sixteen"):
            async with Stream.opened(house.service.url, room, key=wrong) as stream:
                assert stream.answer.status_code == 403
        async with Stream.opened(house.service.url, room, key=key) as stream:
            await agent.post("secret", room, key=key)
            assert (await stream.take(1))[0]["body"] == "secret"


async def test_a_member_opens_a_private_room_by_signature_or_token(house: House) -> None:
    async with client_of(house.service.url) as http:
        owner, stranger = await register(http), await register(http)
        ada = await sign_up(http, f"ada{owner.id[-12:]}")
        room = await owner.create_room(is_private=True, key="a key of sixteen characters")
        answer = await owner.send("PUT", f"/v1/rooms/{room}/members/{ada.id}", {"role": "viewer"})
        assert answer.status_code == 204, answer.text
        token = (await owner.send("POST", "/v1/auth/token")).json()["access_token"]
        shown = [
            owner.headers(),
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"Bearer {ada.access_token}"},
        ]
        for number, headers in enumerate(shown):
            async with Stream.opened(house.service.url, room, **headers) as stream:
                assert stream.answer.status_code == 200
                await owner.post(f"secret {number}", room, key="a key of sixteen characters")
                assert (await stream.take(1))[0]["body"] == f"secret {number}"
        for status, headers in ((401, shown[0]), (403, stranger.headers()), (401, {"Authorization": "Bearer none"})):
            async with Stream.opened(house.service.url, room, **headers) as stream:
                assert stream.answer.status_code == status


async def test_a_stream_ends_when_what_opened_it_does_not_hold_any_more(house: House) -> None:
    async with client_of(house.service.url) as http:
        owner = await register(http)
        ada = await sign_up(http, f"ada{owner.id[-12:]}")
        room = await owner.create_room(is_private=True, key="a key of sixteen characters")
        await owner.send("PUT", f"/v1/rooms/{room}/members/{ada.id}", {"role": "member"})
        token = {"Authorization": f"Bearer {ada.access_token}"}
        async with (
            Stream.opened(house.service.url, room, **token) as loggedout,
            Stream.opened(house.service.url, room, **owner.headers()) as removed,
        ):
            assert (await ada.send("POST", "/v1/auth/logout")).status_code == 204
            async with house.database() as database:
                await database.execute("DELETE FROM room_members WHERE actor_id = $1::uuid", owner.id)
            assert await removed.next() == {"kind": "end", "error": "you may not see this room any more"}
            told = await loggedout.next()
            assert told is not None
            assert told["kind"] == "end"


async def test_those_who_lose_their_streams_together_are_told_to_come_back_one_after_the_other(house: House) -> None:
    async with client_of(house.service.url) as http, AsyncExitStack() as stack:
        agent = await register(http)
        room = await agent.create_room()
        streams = [await stack.enter_async_context(Stream.opened(house.service.url, room)) for _ in range(8)]
        await agent.post("hello", room)
        for stream in streams:
            await stream.take(1)
    assert len({stream.retry for stream in streams}) > 1
    assert all(COME_BACK[0] <= stream.retry <= COME_BACK[1] for stream in streams)


async def test_nobody_follows_a_room_that_is_not_there(house: House) -> None:
    async with Stream.opened(house.service.url, "00000000-0000-0000-0000-00000000dead") as stream:
        assert stream.answer.status_code == 404


async def test_whoever_is_ahead_of_the_log_is_told_so(house: House) -> None:
    async with client_of(house.service.url) as http:
        agent = await register(http)
        room = await agent.create_room()
        await agent.post("first", room)
        ahead = "01ARZ3NDEK" + "00000009" + "00000000"
        async with Stream.opened(house.service.url, room, after=ahead) as stream:
            assert await stream.next() == {"kind": "gap", "from": 2, "to": 9}
            await agent.post("second", room)
            event = await stream.next()
            assert event
            assert (event["seq"], event["body"]) == (2, "second")


async def test_a_room_that_is_closed_to_the_public_ends_its_streams(house: House) -> None:
    async with client_of(house.service.url) as http:
        agent = await register(http)
        room = await agent.create_room()
        async with Stream.opened(house.service.url, room) as stream, house.database() as database:
            await database.execute("UPDATE rooms SET is_private = true WHERE id = $1::uuid", room)
            event = await stream.next()
            assert event == {"kind": "end", "error": "the room is private now"}
            assert await stream.next() is None


async def kill_worker(house: House) -> None:
    os.kill(house.service.workers()[0], signal.SIGKILL)


async def cut_listeners(house: House) -> None:
    if house.kind == "redis":
        with house.redis.client as client:
            client.client_kill_filter(_type="pubsub")
        return
    async with house.database() as database:
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query ~* '^(UN)?LISTEN' AND pid <> pg_backend_pid()"
        )


async def restart_the_hot_store(house: House) -> None:
    if house.kind == "redis":
        house.redis.kill()
        house.redis.start()
        return
    async with house.database() as database:
        await database.execute("TRUNCATE hot_spans, hot_messages, hot_mark")


async def test_every_reader_reads_the_log_through_everything(house: House) -> None:
    await house.stand_up()
    async with Crowd.writing(house.service.url, writers=20, rooms=2, changes=True) as crowd:
        readers = [Reader(house.service.url, crowd.rooms[number % 2]) for number in range(12)]
        drops = [0, 7, 0, 31, 100, 0] * 2
        reading = [
            asyncio.create_task(reader.read(drop_every=every)) for reader, every in zip(readers, drops, strict=True)
        ]
        await crowd.progress(4)
        for disturb in (cut_listeners, kill_worker, restart_the_hot_store):
            await disturb(house)
            await crowd.progress(4)
            await house.until_healthy()
    async with house.database() as database:
        logs = {
            room: await database.fetch(
                "SELECT seq, id, entry FROM messages WHERE room_id = $1::uuid ORDER BY seq", room
            )
            for room in crowd.rooms
        }
    for reader, task in zip(readers, reading, strict=True):
        assert not task.done(), task
        await reader.until(len(logs[reader.room]))
    # What they wait for would never come.
    assert [task.cancel() for task in reading] == [True] * len(readers)
    await asyncio.gather(*reading, return_exceptions=True)
    for reader in readers:
        record = [(event["seq"], event["id"], event["kind"]) for event in reader.record]
        assert record == [(row["seq"], to_ulid(row["id"]), row["entry"]) for row in logs[reader.room]]
    for log in logs.values():
        assert {row["entry"] for row in log} == {"message", "edit", "delete"}


async def test_a_thousand_follow_one_room_on_two_workers(house: House) -> None:
    await house.stand_up()
    agent = Agent()
    async with client_of(house.service.url) as http:
        agent.id = (await http.post("/register", json={"public_key": agent.public_key})).json()["id"]
        room = await (await register(http)).create_room()
        # Whoever gets an entry twice, out of order or never fails.
        times = await follow(house.service.port, agent, room, followers=1000, seconds=1)
        assert len(times) == 4000


async def test_a_watch_goes_on_where_it_was_after_the_service_was_killed(house: House) -> None:
    service = house.service
    async with client_of(service.url) as http:
        agent = await register(http)
        room = await agent.create_room()
        async with watching(room, service.url) as lines:
            posted: list[str] = []
            for _ in range(2):
                posted.append((await agent.post(f"message {len(posted)}", room)).json()["id"])
                assert json.loads(await lines.readline())["id"] == posted[-1]
            service.signal(signal.SIGKILL)
            assert service.process is not None
            await asyncio.to_thread(service.process.wait)
            await asyncio.to_thread(service.start)
            await house.until_healthy()
            # Whether the watch is back already or not makes no difference.
            for _ in range(3):
                posted.append((await agent.post(f"message {len(posted)}", room)).json()["id"])
            seen = [json.loads(await lines.readline())["id"] for _ in range(3)]
            assert seen == posted[2:]


@asynccontextmanager
async def watching(room: str, url: str) -> AsyncIterator[asyncio.StreamReader]:
    """What `aicq agent watch` tells, line by line, once it follows."""
    command = [sys.executable, "-m", "aicq", "agent", "watch", room, "--json", "--url", url, "--after", "0" * 26]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(3 * PATIENCE):
            yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def test_whoever_reads_slowly_costs_no_memory_and_misses_nothing(house_on_postgres: House) -> None:
    service = house_on_postgres.service
    async with client_of(service.url) as http:
        agent = await register(http)
        room = await agent.create_room()
        sleepers = [sleeper_in(room, service.port) for _ in range(20)]
        before = [memory_of(pid) for pid in service.workers()]
        for number in range(0, 1600, 32):
            answers = await asyncio.gather(*(agent.post(f"{number + n} " + "x" * 4000, room) for n in range(32)))
            assert {answer.status_code for answer in answers} == {201}
        # 6.4 MB were posted for each of those who did not read, far more than the system's buffers hold.
        after = [memory_of(pid) for pid in service.workers()]
        assert max(now - then for now, then in zip(after, before, strict=True)) < 30
        text = await asyncio.to_thread(read_until, sleepers[0], b'"seq":1600,')
        for sleeper in sleepers:
            sleeper.close()
    assert [int(seq) for seq in re.findall(rb'"seq":(\d+)', text)] == list(range(1, 1601))


def sleeper_in(room: str, port: int) -> socket.socket:
    """Somebody who follows a room and does not read."""
    sleeper = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    sleeper.sendall(f"GET /room/{room}/events HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    assert sleeper.recv(12) == b"HTTP/1.1 200"
    return sleeper


def read_until(sleeper: socket.socket, end: bytes) -> bytes:
    text = bytearray()
    while end not in text[-10_000:]:
        text += sleeper.recv(1 << 20)
    return bytes(text)


def memory_of(pid: int) -> int:
    """Resident memory in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024
