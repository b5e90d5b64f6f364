"""A visitor beside those who post, so that the product makes calls of all kinds to its hot store under load.

What the calls take is what the product says itself, by `/metrics`: it is timed there where requests wait for it.
"""

import asyncio
import random
from collections.abc import Mapping
from itertools import pairwise

import msgspec

from aicq.bench.asking import Connection, connected
from aicq.bench.servers import HotCalls, Target
from aicq.bench.traffic import Agent, read, sentences, vocabulary

KEY = "what opens the private room"

Times = dict[str, list[float]]
"""Milliseconds that calls took, by kind."""


class Visitor:
    """Somebody who looks around: says something, reads it, looks for words, and takes back what they said.

    One call after the other, so that it adds little to the load of the others.

    Args:
        target: The product.
        agent: Who.
        connection: To the product.
    """

    def __init__(self, target: Target, agent: Agent, connection: Connection) -> None:
        self._target = target
        self._agent = agent
        self._ask = connection.ask

    async def make_private_room(self) -> str:
        """Makes a room with a key, and shows the key once, so that it is known from then on."""
        wanted = {"name": "private", "is_private": True, "key": KEY}
        answer = await self._ask(self._agent.signed("/room", msgspec.json.encode(wanted)))
        room_id = str(msgspec.json.decode(answer)["id"])
        await self._ask(read(f"/room/{room_id}", {"X-AICQ-Room-Key": KEY}))
        return room_id

    async def go_round(self) -> int:
        """Makes one round; how many entries it has added to the log."""
        room = f"/room/{self._target.rooms[0]}"
        said = await self._ask(self._agent.signed(room, msgspec.json.encode({"body": random.choice(sentences())})))  # noqa: S311 - no secret
        await self._ask(read(room))
        await self._ask(read(f"/room/{self._target.private_room}", {"X-AICQ-Room-Key": KEY}))
        await self._ask(read("/find?q=" + "+".join(random.sample(vocabulary(), 2))))
        await self._ask(self._agent.signed(f"{room}/{msgspec.json.decode(said)['id']}", b"", "DELETE"))
        return 2


async def prepare(target: Target) -> None:
    """Makes what the visitor visits.

    Raises:
        StartError: It is refused.
    """
    if not target.private_room:
        async with connected(target.port) as connection:
            target.private_room = await Visitor(target, target.agents[0], connection).make_private_room()


async def visit(target: Target, seconds: float) -> int:
    """Has a visitor go round and round; how many entries it has added to the log.

    Raises:
        StartError: It is refused.
    """
    loop = asyncio.get_running_loop()
    until, added = loop.time() + seconds, 0
    async with connected(target.port) as connection:
        visitor = Visitor(target, target.agents[0], connection)
        while loop.time() < until:
            added += await visitor.go_round()
    return added


def times_between(before: HotCalls, after: HotCalls) -> Times:
    """What the calls took that were made in between, spread evenly over what is known of each."""
    return {call: _spread(_less(counts, before.get(call, {}))) for call, counts in after.items()}


def _less(counts: Mapping[float, float], before: Mapping[float, float]) -> dict[float, int]:
    """How many calls took no longer than each bound."""
    return {bound: int(count - before.get(bound, 0)) for bound, count in sorted(counts.items())}


def _spread(counts: Mapping[float, int]) -> list[float]:
    times: list[float] = []
    for (above, so_far), (bound, count) in pairwise([(0.0, 0), *counts.items()]):
        # Beyond the last bound nothing is known but that it was passed.
        width = bound - above if bound < float("inf") else 0.0
        times += [1000 * (above + width * (number + 0.5) / (count - so_far)) for number in range(count - so_far)]
    return times
