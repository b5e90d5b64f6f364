"""A dump, made and restored by the commands of docs/operating.md, holds everything; the hot store follows it."""

import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from tests import agents
from tests.process.service import ROOT, Service, run, wait_until
from tests.servers import Databases, RedisServer

from aicq.db.account import find_programs

KEY = "a key of sixteen or more"

FREELY = "post=1000/1,edit=1000/1,bytes=10000000/1,room_read=1000/1,find=1000/1"


def command(heading: str) -> str:
    """The first command below a heading of the document."""
    text = (ROOT / "docs" / "operating.md").read_text().partition(f"\n### {heading}\n")[2]
    return str(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0])


def do(heading: str, where: Path, **environment: str) -> None:
    path = f"{find_programs()}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", command(heading)],
        cwd=where,
        env={"PATH": path, "HOME": str(where), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=["postgres", "redis"])
def hot_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a service is told of its hot store, which outlives it."""
    if request.param == "postgres":
        yield {}
        return
    with RedisServer(tmp_path) as server:
        yield {"REDIS_URL": server.url}


@pytest.fixture
async def two_databases(databases: Databases) -> AsyncIterator[list[str]]:
    """The URLs of two databases with nothing in them."""
    names = [await databases.make_empty() for _ in range(2)]
    yield [databases.url(name) for name in names]
    for name in names:
        await databases.drop(name)


class House:
    """What was said before a dump, and whoever said it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.rooms: dict[str, str] = {}

    async def fill(self) -> None:
        """Has messages, edits and deletes in public and private rooms, and direct messages."""
        self.ada = await agents.register(self.http, name="ada")
        self.eve = await agents.register(self.http, name="eve")
        private = await self.ada.create_room("secret", is_private=True, key=KEY)
        self.rooms = {agents.GLOBAL: "", await self.ada.create_room("talk"): "", private: KEY}
        for room, key in self.rooms.items():
            posted = [(await self.ada.post(f"before {number}", room, key=key)).json()["id"] for number in range(40)]
            await self.ada.delete(posted[3], room)
            path = f"/v1/rooms/{room}/messages/{posted[5]}"
            assert (await self.ada.send("PATCH", path, {"body": "edited before"})).status_code == 200
        await self.ada.direct(self.eve.id, "before, between us")

    async def go_on(self) -> None:
        """Says more, of which a dump made before knows nothing."""
        for room, key in self.rooms.items():
            for number in range(10):
                await self.ada.post(f"afterwards {number}", room, key=key)
        await self.ada.post("afterwards", await self.ada.create_room("later"))
        await self.ada.direct(self.eve.id, "afterwards, between us")

    async def pages(self) -> list[Any]:
        """All that can be read."""
        rooms = [await agents.read(self.http, room, key=key, limit=200) for room, key in self.rooms.items()]
        listed = (await self.http.get("/channels", params={"limit": 100})).json()["channels"]
        return [*rooms, sorted(room["name"] for room in listed), await self.eve.inbox()]


def is_filled(service: Service) -> bool:
    checks = httpx.get(f"{service.url}/health").json()["checks"]
    return bool(checks["hot_store"]["status"] == "pass")


async def gaps(url: str) -> list[asyncpg.Record]:
    """Rooms whose positions are not those from 1 to the last, each once."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(
            "SELECT r.id FROM rooms r LEFT JOIN messages m ON m.room_id = r.id GROUP BY r.id, r.last_seq"
            " HAVING count(m.seq) <> r.last_seq OR coalesce(max(m.seq), 0) <> r.last_seq"
        )
    finally:
        await connection.close()


async def test_what_was_dumped_is_all_there_and_what_came_later_is_not(
    tmp_path: Path, two_databases: list[str], hot_store: dict[str, str]
) -> None:
    old, new = two_databases
    first = Service(tmp_path, DATABASE_URL=old, RATE_LIMITS=FREELY, **hot_store).start()
    try:
        async with httpx.AsyncClient(base_url=first.url) as http:
            house = House(http)
            await house.fill()
            before = await house.pages()
            do("Back up", tmp_path, DATABASE_URL=old)
            await house.go_on()
            assert await house.pages() != before
    finally:
        first.end()

    do("Restore", tmp_path, DATABASE_URL=new)
    assert (
        "warn  drift            the database was restored"
        in run(tmp_path, "doctor", **{**first.settings, "DATABASE_URL": new}).stdout
    )
    second = Service(tmp_path, DATABASE_URL=new, RATE_LIMITS=FREELY, **hot_store).start()
    try:
        wait_until(lambda: is_filled(second), told="the hot store's being full")
        async with httpx.AsyncClient(base_url=second.url) as http:
            house.http = house.ada.http = house.eve.http = http
            assert await house.pages() == before
            assert (await agents.find(http, "afterwards"))["results"] == []
            assert len(agents.bodies(await agents.find(http, "edited before"))) == 2
            assert await gaps(new) == []
            said = (await house.ada.post("after the restore")).json()["id"]
            newest = (await agents.read(http))["messages"][0]
            # The delete and the edit had positions of their own.
            assert (newest["id"], newest["seq"]) == (said, before[0]["messages"][0]["seq"] + 3)
            assert agents.bodies(await agents.find(http, "after the restore")) == ["after the restore"]
        told = run(tmp_path, "doctor", **second.settings)
        assert "drift            none" in told.stdout, told.stdout
        assert told.returncode == 0
    finally:
        second.end()


def copy_of(data: Path) -> Path:
    """A copy of a data directory, with its owners and modes."""
    copy = data.with_name("copy")
    subprocess.run(["cp", "--archive", data, copy], check=True)
    return copy


async def test_a_copy_of_the_data_directory_has_everything(tmp_path: Path) -> None:
    first = Service(tmp_path).start()
    try:
        async with httpx.AsyncClient(base_url=first.url) as http:
            ada = await agents.register(http)
            await ada.post("kept")
            before = await agents.read(http)
        assert first.stop() == 0
    finally:
        first.end()
    copy = copy_of(first.data)

    second = Service(tmp_path, AICQ_DATA_DIR=str(copy)).start()
    try:
        async with httpx.AsyncClient(base_url=second.url) as http:
            ada.http = http
            assert await agents.read(http) == before
            assert (await ada.post("and on")).status_code == 201
        for name in ("admin_token", "secret_key"):
            assert (copy / name).read_text() == (first.data / name).read_text()
    finally:
        second.end()
