"""Whatever is killed, the rest ends or goes on in good order."""

import asyncio
import base64
import os
import signal
from collections.abc import Callable

import asyncpg
import httpx
from nacl.signing import SigningKey
from tests.process.service import Service, is_alive, wait_until

from aicq.db.embedded import running_url

Make = Callable[..., Service]


def test_killing_the_parent_leaves_nothing_and_the_next_start_works(service: Make) -> None:
    killed = service(AICQ_WORKERS="2").start()
    workers, postmaster = killed.workers(), killed.postmaster()
    assert len(workers) == 2
    killed.signal(signal.SIGKILL)
    killed.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in [*workers, postmaster]), seconds=10)
    again = service(PORT=str(killed.port)).start()
    assert again.answers("/health/ready")


def test_a_start_right_after_a_kill_works(service: Make) -> None:
    killed = service().start()
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert service().start().answers("/health/ready")


def test_a_killed_postmaster_is_started_again(service: Make) -> None:
    lasting = service().start()
    first = lasting.postmaster()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(first))
    wait_until(lambda: lasting.answers("/health/ready"))
    assert lasting.postmaster() != first
    assert "Postgres died and is started again" in lasting.told()
    assert lasting.stop() == 0
    assert not (lasting.data / "pg" / "postmaster.pid").exists()


def test_a_killed_worker_is_replaced(service: Make) -> None:
    lasting = service().start()
    [worker] = lasting.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: lasting.workers() not in ([], [worker]) and lasting.answers("/health/ready"))
    assert lasting.stop() == 0


def test_a_stop_answers_what_is_in_flight(service: Make) -> None:
    stopping = service().start()
    processes = [*stopping.workers(), stopping.postmaster()]
    with running_url(stopping.data) as url:
        assert url is not None
        answer = asyncio.run(register_across_a_stop(stopping, url))
    assert answer.status_code == 201
    assert stopping.wait() == 0
    assert not any(is_alive(pid) for pid in processes)


async def register_across_a_stop(stopping: Service, url: str) -> httpx.Response:
    """Has a request wait in the database, asks the service to stop, and only then lets the request go on."""
    holder = await asyncpg.connect(url)
    key = base64.b64encode(bytes(SigningKey.generate().verify_key)).decode()
    async with httpx.AsyncClient(timeout=30) as client:
        async with holder.transaction():
            await holder.execute("LOCK TABLE agents IN ACCESS EXCLUSIVE MODE")
            request = asyncio.create_task(client.post(f"{stopping.url}/register", json={"public_key": key}))
            await until_somebody_waits(holder)
            stopping.signal(signal.SIGTERM)
            await asyncio.to_thread(wait_until, lambda: not stopping.answers("/health/live"))
        answer = await request
    await holder.close()
    return answer


async def until_somebody_waits(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    async with asyncio.timeout(30):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await connection.execute("SELECT pg_sleep(0.02)")


def test_the_terminals_ctrl_c_stops_in_good_order(service: Make) -> None:
    stopping = service(AICQ_WORKERS="2").start()
    processes = [*stopping.workers(), stopping.postmaster()]
    os.killpg(stopping.pid, signal.SIGINT)
    assert stopping.wait() == 0
    assert not any(is_alive(pid) for pid in processes)
    assert "Traceback" not in stopping.told()
