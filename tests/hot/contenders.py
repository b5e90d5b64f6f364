"""Fifty processes that want one lease: `python -m tests.hot.contenders redis|postgres HOT_URL DATABASE_URL`.

They are forked from one that has imported everything. Each acts through a guard that refuses a token lower than one it
has seen. Every fifth stops itself once while it holds the lease, and is continued when somebody has acted since. One
goes on until all of those were overtaken; the others act once.
"""

import asyncio
import os
import random
import signal
import sys

import asyncpg

from aicq.clock import now_ms
from aicq.hot.base import HotStore
from aicq.hot.leases import Leases
from aicq.hot.postgres import PostgresHotStore
from aicq.hot.redis import RedisHotStore

PROCESSES = 50
PAUSING = 5
"""Every one of so many is stopped while it holds the lease."""

LEASE = 300
"""Milliseconds; time enough to act, for whoever is not stopped."""

GUARD = """
WITH let_in AS (UPDATE guard SET token = $1 WHERE token <= $1 RETURNING token)
INSERT INTO acts (token, process) SELECT token, $2 FROM let_in RETURNING token
"""


async def contend(kind: str, hot_url: str, database_url: str, *, pauses: bool, goes_on: bool) -> None:
    """Wants the lease until it has acted."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        hot: HotStore = RedisHotStore(hot_url, timeout=10) if kind == "redis" else PostgresHotStore(pool, database_url)
        await hot.open()
        leases, is_done = Leases(hot, pool), False
        while not is_done:
            lease = await leases.acquire("the one", now=now_ms(), ttl=LEASE)
            if lease is None:
                await asyncio.sleep(random.uniform(0.03, 0.08))  # noqa: S311 - so that they do not come in step
                continue
            if pauses:
                pauses = False
                await pool.execute("INSERT INTO paused VALUES ($1, $2)", os.getpid(), lease.token)
                os.kill(os.getpid(), signal.SIGSTOP)
            is_done = await pool.fetchval(GUARD, lease.token, os.getpid()) is not None
            if not is_done:
                await pool.execute("INSERT INTO refused VALUES ($1)", lease.token)
            await leases.release(lease)
            if goes_on:
                is_done = await pool.fetchval("SELECT count(*) FROM paused WHERE is_overtaken") >= PROCESSES // PAUSING
        await hot.close()


def main(kind: str, hot_url: str, database_url: str) -> int:
    """Starts them all; returns how many have failed."""
    children = []
    for number in range(PROCESSES):
        if (child := os.fork()) == 0:
            asyncio.run(contend(kind, hot_url, database_url, pauses=number % PAUSING == 0, goes_on=number == 1))
            os._exit(0)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
