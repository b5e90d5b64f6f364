"""Each of the two plugins is of use alone, in an app of five lines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Litestar, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.params import FromPath, FromQuery
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.clock import now_ms
from aicq.db.plugin import DatabasePlugin
from aicq.errors import LeaseTaken, NotFound
from aicq.hot.base import HotStore
from aicq.hot.cache import Cache
from aicq.hot.leases import Leases
from aicq.hot.plugin import HotStorePlugin
from aicq.hot.sessions import Session, Sessions
from aicq.hot.states import States
from aicq.settings import Settings, load

OWNER = UUID(int=7)

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return load({"DATABASE_URL": database_url, "AICQ_DATA_DIR": str(tmp_path)})


@post("/rooms")
async def create(db_session: NamedDependency[AsyncSession], name: FromQuery[str], fails: FromQuery[bool]) -> None:
    await db_session.execute(text("INSERT INTO rooms (name) VALUES (:name)"), {"name": name})
    if fails:
        raise NotFound


@get("/rooms")
async def count(db_session: NamedDependency[AsyncSession], name: FromQuery[str]) -> int:
    return await db_session.scalar(text("SELECT count(*) FROM rooms WHERE name = :name"), {"name": name}) or 0


@get("/value")
async def value(hot: NamedDependency[HotStore]) -> str:
    await hot.values.set("greeting:one", b"hello", expires=2)
    return f"{hot.kind} {(await hot.values.get('greeting:one', now=1) or b'').decode()}"


async def test_the_database_plugin_commits_before_it_answers_and_rolls_back_what_failed(settings: Settings) -> None:
    app = Litestar([create, count], plugins=[DatabasePlugin(settings)], openapi_config=None, logging_config=None)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type] # typed more narrowly
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        kept = await http.post("/rooms", params={"name": "kept", "fails": False})
        lost = await http.post("/rooms", params={"name": "lost", "fails": True})
        assert (kept.status_code, lost.status_code) == (201, 500)
        assert (await http.get("/rooms", params={"name": "kept"})).text == "1"
        assert (await http.get("/rooms", params={"name": "lost"})).text == "0"


async def test_the_hot_store_plugin_gives_postgres_where_no_redis_is_set(settings: Settings) -> None:
    assert await ask(settings) == "postgres hello"


async def test_the_hot_store_plugin_gives_redis_where_one_is_set(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = load({"DATABASE_URL": database_url, "REDIS_URL": redis_url, "AICQ_DATA_DIR": str(tmp_path)})
    assert await ask(settings) == "redis hello"


async def test_the_hot_store_plugin_goes_on_with_postgres_where_redis_does_not_answer(
    database_url: str, tmp_path: Path
) -> None:
    environ = {"DATABASE_URL": database_url, "REDIS_URL": f"unix://{tmp_path}/none", "AICQ_DATA_DIR": str(tmp_path)}
    assert await ask(load(environ)) == "postgres hello"


async def test_a_worker_stays_with_the_store_that_was_chosen_for_all(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    environ = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "AICQ_DATA_DIR": str(tmp_path)}
    assert await ask(load({**environ, "AICQ_HOT_STORE_CHOSEN": "postgres"})) == "postgres hello"
    away = {**environ, "REDIS_URL": f"unix://{tmp_path}/none", "AICQ_HOT_STORE_CHOSEN": "redis"}
    plugin = HotStorePlugin(load(away))
    app = Litestar([value], plugins=[plugin], openapi_config=None, logging_config=None)
    async with app.lifespan():
        assert (plugin.store.kind, plugin.degraded) == ("redis", "")


calls: list[int] = []


@get("/square/{number:int}")
async def square(number: FromPath[int], cache: NamedDependency[Cache]) -> int:
    @cache.cached("squares", int)
    async def find(number: int) -> int:
        calls.append(number)
        return number * number

    return await find(number)


@delete("/squares")
async def forget(cache: NamedDependency[Cache]) -> None:
    await cache.clear("squares:")


@get("/answer", cache=60)
async def answer() -> int:
    calls.append(0)
    return len(calls)


@post("/login")
async def begin(states: NamedDependency[States]) -> str:
    await states.put("state", {"back": "/home"}, now=now_ms())
    return "state"


@get("/login")
async def end(states: NamedDependency[States], ticket: FromQuery[str]) -> dict[str, str]:
    return await states.take(ticket, dict[str, str], now=now_ms()) or {}


@get("/report")
async def report(leases: NamedDependency[Leases]) -> list[int]:
    async with leases.held("report") as lease:
        with pytest.raises(LeaseTaken):
            async with leases.held("report"):
                pass
        return [lease.token]


@post("/devices/{device:str}")
async def join(device: FromPath[str], device_sessions: NamedDependency[Sessions]) -> list[str]:
    now = now_ms()
    await device_sessions.create(Session(device, OWNER, now), now=now)
    return [session.id for session in await device_sessions.sessions_of(OWNER, now=now)]


@delete("/devices", status_code=200)
async def leave(device_sessions: NamedDependency[Sessions]) -> int:
    return await device_sessions.revoke(OWNER, now=now_ms())


@post("/visits")
async def visit(request: Request[Any, Any, Any]) -> int:
    request.set_session({"visits": request.session.get("visits", 0) + 1})
    return int(request.session["visits"])


@asynccontextmanager
async def extension(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A worker of an app that uses all that is built on the hot store."""
    app = Litestar(
        [square, forget, answer, begin, end, report, join, leave, visit],
        plugins=[HotStorePlugin(settings)],
        middleware=[ServerSideSessionConfig().middleware],
        openapi_config=None,
        logging_config=None,
    )
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type] # Litestar types its scopes more narrowly
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_what_is_built_on_the_hot_store_is_one_for_all_workers_of_an_app(
    settings: Settings, kind: str, request: pytest.FixtureRequest
) -> None:
    calls.clear()
    if kind == "redis":
        settings = msgspec.structs.replace(settings, redis_url=request.getfixturevalue("redis_url"))
    async with extension(settings) as here, extension(settings) as there:
        assert [(await each.get("/square/7")).json() for each in (here, there, here)] == [49, 49, 49]
        assert calls == [7]
        await there.delete("/squares")
        assert ((await here.get("/square/7")).json(), calls) == (49, [7, 7])

        assert [(await each.get("/answer")).json() for each in (here, there)] == [3, 3]

        ticket = (await here.post("/login")).text
        taken = [(await each.get("/login", params={"ticket": ticket})).json() for each in (there, here)]
        assert taken == [{"back": "/home"}, {}]

        [first], [second] = (await here.get("/report")).json(), (await there.get("/report")).json()
        assert second > first

        assert (await here.post("/devices/desk")).json() == ["desk"]
        assert (await there.post("/devices/phone")).json() == ["desk", "phone"]
        assert [(await each.delete("/devices")).json() for each in (here, there)] == [2, 0]

        assert (await here.post("/visits")).json() == 1
        there.cookies = here.cookies
        assert (await there.post("/visits")).json() == 2


async def ask(settings: Settings) -> str:
    app = Litestar([value], plugins=[HotStorePlugin(settings)], openapi_config=None, logging_config=None)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type] # Litestar types its scopes more narrowly
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        return (await http.get("/value")).text


async def test_a_process_may_make_any_number_of_apps(settings: Settings) -> None:
    for _ in range(1200):
        DatabasePlugin(settings)
