"""Each of the two plugins is of use alone, in an app of five lines."""

from pathlib import Path

import httpx
import pytest
from litestar import Litestar, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.db.plugin import DatabasePlugin
from aicq.errors import NotFound
from aicq.hot.base import HotStore
from aicq.hot.plugin import HotStorePlugin
from aicq.settings import Settings, load

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


async def ask(settings: Settings) -> str:
    app = Litestar([value], plugins=[HotStorePlugin(settings)], openapi_config=None, logging_config=None)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type] # Litestar types its scopes more narrowly
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        return (await http.get("/value")).text


async def test_a_process_may_make_any_number_of_apps(settings: Settings) -> None:
    for _ in range(1200):
        DatabasePlugin(settings)
