"""The audit log: what is written stays, and holds no secret."""

import json
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

import aicq.app  # noqa: F401 - registers all models
from aicq.audit.recorder import record
from aicq.db.models import Model
from aicq.identity.models import Agent
from aicq.logs import is_secret
from aicq.messaging.models import Room, RoomMember
from aicq.origin import SYSTEM, Origin

pytestmark = pytest.mark.anyio

Sessions = async_sessionmaker[AsyncSession]

ROOM = UUID("019aa8f0-0000-7000-8000-000000000001")
ACTOR = UUID("019aa8f0-0000-7000-8000-000000000002")

REWRITES = [
    "UPDATE audit_logs SET action = 'nothing'",
    "UPDATE audit_logs SET action = 'nothing' WHERE false",
    "DELETE FROM audit_logs",
    "TRUNCATE audit_logs",
    "TRUNCATE rooms, audit_logs CASCADE",
    """INSERT INTO audit_logs (id, action, acted_as, resource_type, resource_id)
    SELECT id, 'x.y', 'system', 'x', 'y' FROM audit_logs LIMIT 1 ON CONFLICT (id) DO UPDATE SET action = 'nothing'""",
    "MERGE INTO audit_logs USING (SELECT 1) one ON true WHEN MATCHED THEN DELETE",
]


async def newest(database: asyncpg.Connection) -> asyncpg.Record:
    row = await database.fetchrow("SELECT * FROM audit_logs ORDER BY seq DESC LIMIT 1")
    assert row is not None
    return row


@pytest.mark.parametrize("statement", REWRITES)
@pytest.mark.parametrize("role", ["origin", "replica"])
async def test_nothing_rewrites_it(database: asyncpg.Connection, statement: str, role: str) -> None:
    before = await database.fetch("SELECT * FROM audit_logs ORDER BY seq")
    assert before
    await database.execute(f"SET session_replication_role = {role}")
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match=r"audit_logs is append-only: .* is refused"):
        await database.execute(statement)
    assert await database.fetch("SELECT * FROM audit_logs ORDER BY seq") == before


async def test_nobody_chooses_a_rows_place(database: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.GeneratedAlwaysError):
        await database.execute(
            "INSERT INTO audit_logs (seq, action, acted_as, resource_type, resource_id)"
            " VALUES (1, 'x.y', 'system', 'x', 'y')"
        )


async def test_a_row_tells_who_did_what_from_where(sessions: Sessions, database: asyncpg.Connection) -> None:
    origin = Origin("admin", ACTOR, address="2001:db8::1", user_agent="curl/8 " * 200, request_id="1f")
    async with sessions.begin() as session:
        await record(
            session,
            origin,
            "rooms.update",
            resource=Room,
            key=ROOM,
            old={"name": "old", "deleted_at": None},
            new={"name": "new", "deleted_at": datetime(2026, 1, 2, tzinfo=UTC)},
        )
    row = await newest(database)
    assert (row["action"], row["acted_as"], row["actor_id"]) == ("rooms.update", "admin", ACTOR)
    assert (row["resource_type"], row["resource_id"]) == ("rooms", str(ROOM))
    assert json.loads(row["old_values"]) == {"name": "old", "deleted_at": None}
    assert json.loads(row["new_values"]) == {"name": "new", "deleted_at": "2026-01-02T00:00:00Z"}
    assert (str(row["ip_address"]), row["request_id"]) == ("2001:db8::1", "1f")
    assert len(row["user_agent"]) == 500
    assert row["is_immutable"]
    assert row["xid"] > 0


async def test_the_parts_of_a_composite_key_are_joined(sessions: Sessions, database: asyncpg.Connection) -> None:
    async with sessions.begin() as session:
        await record(session, SYSTEM, "room_members.delete", resource=RoomMember, key=(ROOM, ACTOR))
    assert (await newest(database))["resource_id"] == f"{ROOM}/{ACTOR}"


async def test_a_row_is_gone_with_the_transaction_it_tells_of(sessions: Sessions, database: asyncpg.Connection) -> None:
    before = await newest(database)
    async with sessions() as session:
        await record(session, SYSTEM, "rooms.update", resource=Room, key=ROOM)
        await session.rollback()
    assert await newest(database) == before


async def test_only_what_a_model_lists_is_kept(sessions: Sessions, database: asyncpg.Connection) -> None:
    values = {"name": "secret room", "key_hash": "$2b$12$secret", "unknown": "secret", "description": None}
    async with sessions.begin() as session:
        await record(session, SYSTEM, "rooms.create", resource=Room, key=ROOM, old=values, new=values)
        await record(session, SYSTEM, "agents.create", resource=Agent, key=ACTOR, new={"email": "ada@example.org"})
        await record(session, SYSTEM, "limits.reset", resource="limits", key="post:1", new={"left": "secret"})
    rows = await database.fetch("SELECT old_values, new_values FROM audit_logs ORDER BY seq DESC LIMIT 3")
    kept = {"name": "secret room", "key_hash": "***", "unknown": "***", "description": None}
    assert [json.loads(row["new_values"]) for row in rows] == [{"left": "***"}, {"email": "***"}, kept]
    assert json.loads(rows[2]["old_values"]) == kept


@pytest.mark.parametrize("model", sorted((mapper.class_ for mapper in Model.registry.mappers), key=str))
def test_what_a_model_lists_are_its_columns_and_no_secrets(model: type[Model]) -> None:
    names = set(model.__audited__)
    assert names <= set(inspect(model).columns.keys())
    assert {name for name in names if is_secret(name) or name.endswith(("_hash", "email"))} == set()


async def test_every_step_of_the_schema_since_the_log_exists_is_in_it(database: asyncpg.Connection) -> None:
    steps = await database.fetch("SELECT resource_id, acted_as FROM audit_logs WHERE action = 'schema.up' ORDER BY seq")
    last = await database.fetchval("SELECT version_num FROM alembic_version")
    assert [tuple(step) for step in steps] == [(f"{number:04}", "system") for number in range(4, int(last) + 1)]
