"""The connection to Postgres is cut at the commit of what is not written by the message log."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import httpx
import msgspec
import pytest
from nacl.signing import SigningKey
from tests.agents import public_key, register
from tests.faults.proxy import Cut, CuttingProxy

from aicq.settings import Settings, load

pytestmark = pytest.mark.anyio


@pytest.fixture
def proxy(database_url: str) -> Iterator[CuttingProxy]:
    with (
        TemporaryDirectory(prefix="aicq-proxy-") as directory,
        CuttingProxy(database_url, Path(directory), commit=b"COMMIT") as proxy,
    ):
        yield proxy


@pytest.fixture
def hot_kind() -> str:
    """Redis, so that the hot store's own calls are not cut."""
    return "redis"


@pytest.fixture
def settings(settings: Settings, proxy: CuttingProxy) -> Settings:
    return msgspec.structs.replace(settings, database_url=load({"DATABASE_URL": proxy.url}).database_url)


def told(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["retry-after"] == "1"
    return answer.status_code, answer.json().get("outcome", "")


@pytest.mark.parametrize("cut", Cut)
async def test_nobody_is_told_that_nothing_was_stored_if_it_may_have_been(
    http: httpx.AsyncClient, proxy: CuttingProxy, database: asyncpg.Connection, cut: Cut
) -> None:
    ada, key = await register(http), SigningKey.generate()
    proxy.arm(cut)
    assert told(await http.post("/register", json={"public_key": public_key(key)})) == (503, "unknown")
    proxy.arm(cut)
    assert told(await ada.send("POST", "/room", {"name": "talk"})) == (503, "unknown")
    assert proxy.cuts[cut] == 2
    again = await http.post("/register", json={"public_key": public_key(key)})
    assert again.status_code == (200 if cut is Cut.AFTER else 201) or cut is Cut.DURING
    assert await database.fetchval("SELECT count(*) FROM agents WHERE public_key = $1", public_key(key)) == 1


async def test_a_read_that_is_cut_at_its_end_stored_nothing(http: httpx.AsyncClient, proxy: CuttingProxy) -> None:
    proxy.arm(Cut.AFTER)
    assert told(await http.get("/channels")) == (503, "")
    assert proxy.cuts[Cut.AFTER] == 1
    assert (await http.get("/channels")).status_code == 200
