"""Under eight writers on two workers, Redis is killed, stopped, emptied and set back."""

import asyncio
import signal

import pytest

from tests.faults.house import House
from tests.faults.writers import Crowd
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio


async def test_redis_is_killed_and_comes_back_empty(house_on_redis: House) -> None:
    async def kill(_: Crowd) -> None:
        house_on_redis.redis.kill()
        (house_on_redis.redis.directory / "dump.rdb").unlink(missing_ok=True)
        house_on_redis.redis.start()

    await house_on_redis.survive(kill)


async def test_redis_hangs(house_on_redis: House) -> None:
    async def stop(_: Crowd) -> None:
        house_on_redis.redis.signal(signal.SIGSTOP)
        await asyncio.sleep(2)
        house_on_redis.redis.signal(signal.SIGCONT)

    crowd = await house_on_redis.survive(stop)
    assert crowd.trouble
    assert all("nothing was stored" in trouble for trouble in crowd.trouble)


async def test_redis_is_emptied(house_on_redis: House) -> None:
    async def empty(_: Crowd) -> None:
        with house_on_redis.redis.client as client:
            client.flushall()

    crowd = await house_on_redis.survive(empty)
    assert crowd.trouble == []


async def test_redis_is_set_back_to_an_old_snapshot(house_on_redis: House) -> None:
    redis = house_on_redis.redis

    async def save_and_set_back(crowd: Crowd) -> None:
        # What is saved holds the first messages, and will know nothing of the last.
        with redis.client as client:
            assert client.keys(f"room:{crowd.rooms[0]}:*")
        await save(redis)
        await crowd.progress()
        set_back(redis)

    await house_on_redis.survive(save_and_set_back)


async def test_redis_is_set_back_while_nobody_looks(house_on_redis: House) -> None:
    await house_on_redis.stand_up()
    async with Crowd.writing(house_on_redis.service.url, writers=8, rooms=3) as crowd:
        await crowd.progress()
        await save(house_on_redis.redis)
        await crowd.progress()
    set_back(house_on_redis.redis)
    await house_on_redis.assert_all_is_there(crowd)


async def save(redis: RedisServer) -> None:
    with redis.client as client:
        client.bgsave()
        while client.info("persistence")["rdb_bgsave_in_progress"]:  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0.01)


def set_back(redis: RedisServer) -> None:
    redis.kill()
    redis.start()
    (redis.directory / "dump.rdb").unlink()
