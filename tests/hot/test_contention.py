"""Fifty processes contend for a lease on each store, and some are paused while they hold it."""

import asyncio
import os
import signal
import sys
from contextlib import suppress

import asyncpg
import pytest

from tests.hot.conftest import World
from tests.hot.contenders import PAUSING, PROCESSES
from tests.project.openapi import ROOT

PATIENCE = 60.0

TABLES = """
DROP TABLE IF EXISTS guard, acts, paused, refused;
CREATE TABLE guard AS SELECT 0::bigint AS token;
CREATE TABLE acts (n int GENERATED ALWAYS AS IDENTITY, token bigint, process int);
CREATE TABLE paused (process int, token bigint, is_overtaken boolean DEFAULT false);
CREATE TABLE refused (token bigint);
"""

OVERTAKEN = "UPDATE paused SET is_overtaken = true WHERE token < (SELECT max(token) FROM acts) RETURNING process"


async def test_of_fifty_processes_one_acts_at_a_time_though_holders_are_paused(
    world: World, hot_database_url: str, request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.params["any_world"]
    await (await world.another(epoch=1)).begin(1)
    hot_url = request.getfixturevalue("redis_url") if kind == "redis" else hot_database_url
    database = await asyncpg.connect(hot_database_url)
    await database.execute(TABLES)
    contenders = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hot.contenders", kind, hot_url, hot_database_url),
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            await continue_who_was_overtaken(database, contenders)
    finally:
        if contenders.returncode is None:
            os.killpg(contenders.pid, signal.SIGKILL)
            await contenders.wait()
    acts = await database.fetch("SELECT token, process FROM acts ORDER BY n")
    tokens = [act["token"] for act in acts]
    assert contenders.returncode == 0
    assert tokens == sorted(set(tokens))
    assert len({act["process"] for act in acts}) == PROCESSES
    # Who was paused came too late, and acted by a newer token.
    refused = {row["token"] for row in await database.fetch("SELECT token FROM refused")}
    assert len(refused) >= PROCESSES // PAUSING
    assert not refused & set(tokens)
    await database.close()


async def continue_who_was_overtaken(
    database: "asyncpg.Connection[asyncpg.Record]", contenders: asyncio.subprocess.Process
) -> None:
    """Continues those who are paused as soon as somebody else has acted, until all have acted."""
    while contenders.returncode is None:
        for row in await database.fetch(OVERTAKEN):
            with suppress(ProcessLookupError):
                os.kill(row["process"], signal.SIGCONT)
        await asyncio.sleep(0.02)
