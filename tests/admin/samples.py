"""A row of each table as an admin writes it, and a change of it: what every test over all tables works with.

A resource without a sample fails `test_every_resource_has_a_sample`.
"""

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv4Address
from itertools import count
from typing import Any

import asyncpg
import httpx
import msgspec

NUMBERS = count(1)

ROOM_KEY = "a room key that is never shown"


class World:
    """Makes rows.

    Args:
        admin: Calls the app.
        database: For rows that no admin makes.
    """

    def __init__(self, admin: httpx.AsyncClient, database: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.admin = admin
        self.database = database

    async def make(self, table: str, **more: Any) -> dict[str, Any]:
        """Adds a row of a table and returns it as it is shown."""
        answer = await self.admin.post(f"/admin/{table}", json={**await SAMPLES[table].new(self), **more})
        assert answer.status_code == 201, answer.text
        row: dict[str, Any] = answer.json()
        return row

    async def id_of(self, table: str) -> str:
        """The id of a new row of a table."""
        return str((await self.make(table))["id"])


class Sample(msgspec.Struct, frozen=True):
    """How a row of a table is written.

    Args:
        new: A new row, different each time.
        change: A change of it.
        row: Makes a row where no admin can.
    """

    new: Callable[[World], Awaitable[dict[str, Any]]]
    change: Mapping[str, Any]


async def new_agent(_: World) -> dict[str, Any]:
    return {"name": f"agent {next(NUMBERS)}", "email": "ada@example.org", "tags": ["sample"]}


async def new_audit_log(world: World) -> dict[str, Any]:
    await world.make("agents")
    return {}


async def new_block(_: World) -> dict[str, Any]:
    return {"address": str(IPv4Address("10.0.0.0") + next(NUMBERS)), "reason": "sample"}


async def new_room(_: World) -> dict[str, Any]:
    return {"name": f"room-{next(NUMBERS)}"}


async def new_room_member(world: World) -> dict[str, Any]:
    return {"room_id": await world.id_of("rooms"), "actor_id": await world.id_of("agents"), "role": "viewer"}


SAMPLES = {
    "agents": Sample(new_agent, {"name": "another"}),
    "audit_logs": Sample(new_audit_log, {}),
    "blocks": Sample(new_block, {"reason": "another", "expires_at": "2030-01-01T00:00:00Z"}),
    "room_members": Sample(new_room_member, {"role": "admin"}),
    "rooms": Sample(new_room, {"description": "another", "is_private": True, "key": ROOM_KEY}),
}
