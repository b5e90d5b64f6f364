"""What agents do that the audit log tells of."""

import asyncio
import json
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from nacl.signing import SigningKey
from tests.agents import public_key, register

pytestmark = pytest.mark.anyio


async def registrations(database: asyncpg.Connection) -> list[dict[str, Any]]:
    rows = await database.fetch("SELECT * FROM audit_logs WHERE action = 'agents.register' ORDER BY seq")
    return [dict(row) for row in rows]


async def test_a_registration_is_told_of_once_without_what_is_personal(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    key = SigningKey.generate()
    body = {"public_key": public_key(key), "name": "ada", "email": "ada@example.org"}
    answers = await asyncio.gather(*(http.post("/register", json=body) for _ in range(8)))
    new = next(answer for answer in answers if answer.status_code == 201)
    (row,) = await registrations(database)
    assert (row["acted_as"], str(row["actor_id"])) == ("agent", new.json()["id"])
    assert (row["resource_type"], row["resource_id"]) == ("agents", new.json()["id"])
    assert (row["request_id"], str(row["ip_address"])) == (new.headers["x-request-id"], "127.0.0.1")
    assert row["user_agent"].startswith("python-httpx")
    assert json.loads(row["new_values"]) == {
        "public_key": body["public_key"],
        "name": "ada",
        "email": "***",
        "status": "active",
    }


async def test_a_registration_that_is_refused_leaves_nothing(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    assert (await http.post("/register", json={"public_key": "none"})).status_code == 400
    assert await registrations(database) == []
    ada = await register(http)
    assert [row["actor_id"] for row in await registrations(database)] == [UUID(ada.id)]
