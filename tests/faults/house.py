"""A service with two workers, its Postgres and its hot store: to be broken, and to be looked through afterwards."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal

import asyncpg
import httpx

from aicq.settings import DEFAULT_RATES
from tests.agents import error_of, find, read
from tests.faults.writers import Crowd, Sent, client_of
from tests.process.service import Service
from tests.servers import RedisServer

UNLIMITED = ",".join(f"{rule}=1000000000/60" for rule in DEFAULT_RATES)

HEALED = 30.0
"""Seconds that everything gets to be in order again."""


class House:
    """What a fault is brought about in.

    Args:
        kind: Where the hot store is.
        service: The service.
        database_url: Its Postgres, without anything between.
        redis: Its Redis.
    """

    def __init__(
        self, kind: Literal["redis", "postgres"], service: Service, database_url: str, redis: RedisServer | None
    ) -> None:
        self.kind = kind
        self.service = service
        self._database_url = database_url
        self._redis = redis

    @property
    def redis(self) -> RedisServer:
        assert self._redis is not None
        return self._redis

    @asynccontextmanager
    async def database(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self._database_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def backends(self, application: str) -> list[int]:
        """The processes of Postgres that serve connections of that name."""
        async with self.database() as database:
            rows = await database.fetch(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1",
                application,
            )
        return [row["pid"] for row in rows]

    async def survive(self, fault: Callable[[Crowd], Awaitable[object]], *, writers: int = 8, rooms: int = 3) -> Crowd:
        """Brings a fault about under writers, waits until all is in order again, and looks through everything."""
        await self.stand_up()
        async with Crowd.writing(self.service.url, writers=writers, rooms=rooms) as crowd:
            await crowd.progress()
            before = [sent for sent in crowd.sent if sent.is_stored]
            async with asyncio.timeout(60):
                await fault(crowd)
            await crowd.progress()
        await self.assert_spent_nonces_are_refused(before, crowd)
        await self.assert_all_is_there(crowd)
        return crowd

    async def stand_up(self) -> None:
        """Starts the service if another scenario failed and left it dead; the rest heals by itself, or has failed."""
        assert self.service.process is not None
        if self.service.process.poll() is not None:
            await asyncio.to_thread(self.service.start)
        await self.until_healthy()

    async def until_healthy(self) -> None:
        """Waits until every worker calls everything healthy, and the hot store complete."""
        healthy: set[int] = set()
        report: dict[str, Any] | None = None
        deadline = time.monotonic() + HEALED
        while len(workers := set(self.service.workers())) < 2 or not workers <= healthy:
            assert time.monotonic() < deadline, [workers, healthy, report, *self.errors()]
            report = await self._health()
            if report and report["status"] == "healthy" and report["checks"]["hot_store"]["status"] == "pass":
                healthy.add(int(report["instance"].rpartition(":")[2]))
            else:
                healthy.clear()
                await asyncio.sleep(0.05)

    async def _health(self) -> dict[str, Any] | None:
        """What one of the workers says of itself."""
        try:
            async with client_of(self.service.url) as http:
                report: dict[str, Any] = (await http.get("/health")).json()
                return report
        except httpx.TransportError:
            return None

    async def assert_spent_nonces_are_refused(self, before: Iterable[Sent], crowd: Crowd) -> None:
        """Requests that were accepted before the fault, and since, are not accepted again by any worker."""
        old = [sent for sent in before if sent.is_fresh][-16:]
        new = [sent for sent in crowd.sent if sent.is_stored and sent.is_fresh][-16:]
        assert new
        async with client_of(self.service.url) as http:
            for sent in [*old, *new]:
                answer = await self._once_admitted(http, sent)
                assert (answer.status_code, error_of(answer)) == (401, "nonce already used")

    async def _once_admitted(self, http: httpx.AsyncClient, sent: Sent) -> httpx.Response:
        """Sends a request again until it is judged; without a hot store nothing can be counted."""
        async with asyncio.timeout(HEALED):
            while True:
                headers = sent.headers | {"Connection": "close"}
                answer = await http.post(sent.path, content=sent.body, headers=headers)
                if answer.status_code != 503:
                    return answer
                await asyncio.sleep(0.05)

    async def assert_all_is_there(self, crowd: Crowd) -> None:
        """Every acknowledged message is read either way, once, in order, and found; nothing else is."""
        assert [wrong for writer in crowd.writers for wrong in writer.wrong] == [], "\n".join(self.errors())
        async with client_of(self.service.url) as http:
            messages = {room: await read_through(http, room) for room in crowd.rooms}
            assert_recorded(crowd, messages)
            await self.assert_logged(messages)
            await self.until_healthy()
            await self.assert_found(http, crowd, messages)

    def errors(self) -> list[str]:
        """What the service logged of late as errors, in short."""
        lines = (line for line in self.service.err.read_text().splitlines() if '"level":"error"' in line)
        entries = [json.loads(line) for line in lines][-20:]
        return [f"{e['event']}: {e.get('exception', '').strip().rpartition(chr(10))[2]}" for e in entries]

    async def assert_logged(self, messages: dict[str, list[dict[str, Any]]]) -> None:
        """The log's positions have no gap, and hold what was read."""
        async with self.database() as database:
            for room, read_messages in messages.items():
                rows = await database.fetch("SELECT seq, body FROM messages WHERE room_id = $1 ORDER BY seq", room)
                last = await database.fetchval("SELECT last_seq FROM rooms WHERE id = $1", room)
                assert [row["seq"] for row in rows] == list(range(1, last + 1))
                assert [tuple(row) for row in rows] == [(m["seq"], m["body"]) for m in read_messages]
            assert await database.fetchval("SELECT sum(deadlocks) FROM pg_stat_database") == 0

    async def assert_found(
        self, http: httpx.AsyncClient, crowd: Crowd, messages: dict[str, list[dict[str, Any]]]
    ) -> None:
        """Once health says that the store is complete, every message is found by its word."""
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for message in (message for of_room in messages.values() for message in of_room):
            wanted[message["body"].split()[0]].add(message["id"])
        assert set(wanted) == {sent.word for sent in crowd.sent if sent.is_stored}
        for word, ids in wanted.items():
            async with asyncio.timeout(HEALED):
                while not (results := await find(http, word, limit=100))["complete"]:
                    await self.until_healthy()
            assert {result["id"] for result in results["results"]} == ids, word


async def read_through(http: httpx.AsyncClient, room: str) -> list[dict[str, Any]]:
    """All messages of a room, oldest first, read from the newest back and from the oldest on."""
    page = await read(http, room, limit=100)
    back: list[dict[str, Any]] = page["messages"]
    while page["has_more"]:
        page = await read(http, room, limit=100, before=back[-1]["id"])
        back += page["messages"]
    forth: list[dict[str, Any]] = []
    after = "0" * 26
    while True:
        page = await read(http, room, limit=100, after=after)
        forth += page["messages"][::-1]
        if not page["has_more"]:
            break
        after = forth[-1]["id"]
    assert forth == back[::-1]
    return forth


def assert_recorded(crowd: Crowd, messages: dict[str, list[dict[str, Any]]]) -> None:
    """What was read is what the writers were told: stored is there, once; not stored is not there."""
    counts = Counter((room, message["body"]) for room, of_room in messages.items() for message in of_room)
    ids = {message["id"]: message["body"] for of_room in messages.values() for message in of_room}
    for sent in crowd.sent:
        count = counts.pop((sent.room_id, sent.text), 0)
        assert count <= 1, f"{sent.text} was stored {count} times"
        assert sent.is_stored is None or count == sent.is_stored, f"{sent.text} was told to be {sent.is_stored}"
        assert sent.id is None or ids[sent.id] == sent.text
    assert not counts
