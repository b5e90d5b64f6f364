"""Under eight writers on two workers, processes of the service and of Postgres are killed."""

import asyncio
import os
import signal

import pytest

from tests.faults.house import House
from tests.faults.writers import Crowd
from tests.process.service import is_alive, wait_until

pytestmark = pytest.mark.anyio


async def test_the_service_is_killed_and_started_again(house: House) -> None:
    async def kill_and_start(_: Crowd) -> None:
        await asyncio.to_thread(kill_service, house)
        await asyncio.to_thread(house.service.start)

    crowd = await house.survive(kill_and_start)
    assert crowd.trouble


def kill_service(house: House) -> None:
    service = house.service
    workers = service.workers()
    service.signal(signal.SIGKILL)
    service.wait()
    wait_until(lambda: not any(map(is_alive, workers)), seconds=10)


async def test_workers_are_killed_one_after_the_other(house: House) -> None:
    async def kill(crowd: Crowd) -> None:
        for killed in house.service.workers():
            os.kill(killed, signal.SIGKILL)
            await asyncio.to_thread(until_replaced, house, killed)
            await crowd.progress(2)

    crowd = await house.survive(kill)
    assert crowd.trouble


def until_replaced(house: House, killed: int) -> None:
    wait_until(lambda: len(set(house.service.workers()) - {killed}) == 2)


@pytest.mark.parametrize("application", ["aicq log", "aicq hot"])
async def test_connections_are_terminated(house: House, application: str) -> None:
    async def terminate(crowd: Crowd) -> None:
        for _ in range(5):
            async with house.database() as database:
                for pid in await house.backends(application):
                    await database.execute("SELECT pg_terminate_backend($1)", pid)
            await crowd.progress(2)

    crowd = await house.survive(terminate)
    # At worst the service could not count; no commit's outcome stays unknown.
    assert all("nothing was stored" in trouble for trouble in crowd.trouble)


async def test_a_backend_is_killed(house: House) -> None:
    async def kill(_: Crowd) -> None:
        os.kill((await house.backends("aicq log"))[0], signal.SIGKILL)

    await house.survive(kill)


async def test_the_postmaster_is_killed(house: House) -> None:
    async def kill(_: Crowd) -> None:
        postmaster = house.service.postmaster()
        os.kill(postmaster, signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: not is_alive(postmaster))

    await house.survive(kill)
