"""One who follows a room by cursor beside 20 writers on two workers misses nothing."""

import asyncio
from typing import Any

import pytest

from tests.agents import read
from tests.faults.house import House
from tests.faults.writers import Crowd, client_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("limit", [5, 200])
async def test_who_follows_by_cursor_misses_nothing_and_repeats_nothing(house: House, limit: int) -> None:
    await house.stand_up()
    async with Crowd.writing(house.service.url, writers=20, rooms=1) as crowd:
        over = asyncio.Event()
        followers = [asyncio.create_task(follow(house, crowd.rooms[0], limit, over)) for _ in range(2)]
        await crowd.progress(15)
    over.set()
    async with house.database() as database:
        rows = await database.fetch("SELECT seq, body FROM messages WHERE room_id = $1 ORDER BY seq", crowd.rooms[0])
    assert len(rows) >= 300
    for follower in followers:
        messages = await follower
        assert [(message["seq"], message["body"]) for message in messages] == [tuple(row) for row in rows]
    await house.assert_all_is_there(crowd)


async def follow(house: House, room: str, limit: int, over: asyncio.Event) -> list[dict[str, Any]]:
    """Reads a room on from where it is, on new connections, until it is over and nothing is left."""
    seen: list[dict[str, Any]] = []
    after = "0" * 26
    while True:
        was_over = over.is_set()
        async with client_of(house.service.url) as http:
            for _ in range(5):
                page = await read(http, room, limit=limit, after=after)
                seen += page["messages"][::-1]
                after = seen[-1]["id"] if seen else after
        if was_over and not page["messages"]:
            return seen
