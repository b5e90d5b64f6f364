"""Blocked addresses as admins see them: what is written takes effect with the next request, on every worker."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.admin.conftest import TOKEN
from tests.admin.samples import World
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

MINE = "127.0.0.1"


async def is_open(http: httpx.AsyncClient) -> bool:
    answer = await http.get("/channels")
    assert answer.status_code in {200, 403}
    return answer.status_code == 200


async def block(world: World, address: str = MINE, **more: Any) -> httpx.Response:
    return await world.admin.post("/admin/blocks", json={"address": address, "reason": "test", **more})


async def test_a_block_holds_everywhere_at_once_until_it_is_lifted(
    world: World, http: httpx.AsyncClient, another_worker: httpx.AsyncClient
) -> None:
    assert (await block(world)).status_code == 201
    assert not await is_open(http)
    assert not await is_open(another_worker)
    assert (await world.admin.delete(f"/admin/blocks/{MINE}")).status_code == 204
    assert await is_open(http)
    assert await is_open(another_worker)


class TestAutomatically:
    @pytest.fixture
    def environment(self) -> Mapping[str, str]:
        return {"AICQ_ADMIN_TOKEN": TOKEN, "AUTO_BLOCK_ENABLED": "true", "RATE_LIMITS": "channels=1/3600"}

    async def test_who_is_let_in_again_begins_anew(self, world: World, http: httpx.AsyncClient) -> None:
        asked = [(await http.get("/channels")).status_code for _ in range(12)]
        assert asked == [200] + [429] * 10 + [403]
        (found,) = (await world.admin.get("/admin/blocks")).json()["items"]
        assert (found["address"], found["reason"]) == (MINE, "refused by limits 10 times within an hour")
        assert (await world.admin.delete(f"/admin/blocks/{MINE}")).status_code == 204
        assert [(await http.get("/channels")).status_code for _ in range(11)] == [429] * 10 + [403]


async def test_a_block_is_over_when_it_says_so(world: World, http: httpx.AsyncClient) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    await block(world, expires_at=soon.isoformat())
    assert not await is_open(http)
    past = {"expires_at": "2020-01-01T00:00:00Z"}
    changed = await world.admin.patch(f"/admin/blocks/{MINE}", json=past, headers={"If-Match": "*"})
    assert changed.status_code == 200
    assert await is_open(http)
    for_good = await world.admin.patch(f"/admin/blocks/{MINE}", json={"expires_at": None}, headers={"If-Match": "*"})
    assert for_good.json()["expires_at"] is None
    assert not await is_open(http)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::/64"),
        ("2001:db8::/64", "2001:db8::/64"),
        ("2001:db8::1/64", "2001:db8::/64"),
    ],
)
async def test_an_address_is_kept_as_requests_are_counted_under_it(world: World, written: str, kept: str) -> None:
    answer = await block(world, written)
    assert (answer.status_code, answer.json()["address"]) == (201, kept)
    assert (await world.admin.get(answer.headers["location"])).json() == answer.json()
    assert (await block(world, kept)).status_code == 409
    assert (await world.admin.get(f"/admin/blocks/{written}")).json() == answer.json()
    assert (await world.admin.delete(f"/admin/blocks/{written}")).status_code == 204


@pytest.mark.parametrize(
    "address", ["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", "fe80::1%eth0", "localhost", "1.2.3", ""]
)
async def test_what_is_not_one_address_is_refused(world: World, address: str) -> None:
    answer = await block(world, address)
    assert (answer.status_code, answer.json()["field"]) == (422, "address")


class TestWithARedisOfItsOwn:
    @pytest.fixture
    def hot_kind(self) -> str:
        return "redis"

    @pytest.fixture
    def redis(self, tmp_path: Path) -> Iterator[RedisServer]:
        with RedisServer(tmp_path) as server:
            yield server

    @pytest.fixture
    def redis_url(self, redis: RedisServer) -> str:
        return redis.url

    async def test_while_the_hot_store_is_away_nothing_is_written(self, world: World, redis: RedisServer) -> None:
        assert (await block(world, "192.0.2.1")).status_code == 201
        redis.kill()
        assert (await block(world)).status_code == 503
        assert (await world.admin.delete("/admin/blocks/192.0.2.1")).status_code == 503
        kept = (await world.admin.get("/admin/blocks")).json()["items"]
        assert [row["address"] for row in kept] == ["192.0.2.1"]
        assert await world.database.fetchval("SELECT count(*) FROM audit_logs WHERE action LIKE 'blocks.%'") == 1
