"""The audit log as admins read it, also when it is long."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from aicq.audit.models import AuditLog
from aicq.http.resources.resource import Wanted
from tests.admin.conftest import RESOURCES
from tests.admin.samples import World
from tests.db.observed import ROWS, indexes_that_are_no_keys, observed
from tests.servers import Databases

pytestmark = pytest.mark.anyio

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

# A row a minute; every two-hundredth is somebody's, of a rare kind, about one room.
FILL = """
INSERT INTO audit_logs (action, acted_as, actor_id, resource_type, resource_id, created_at)
SELECT CASE WHEN n % 200 = 0 THEN 'rooms.delete' ELSE 'agents.register' END, 'agent',
    CASE WHEN n % 200 = 0 THEN $2::uuid ELSE gen_random_uuid() END,
    CASE WHEN n % 200 = 0 THEN 'rooms' ELSE 'agents' END,
    CASE WHEN n % 200 = 0 THEN 'the room' ELSE gen_random_uuid()::text END,
    $3::timestamptz + n * interval '1 minute'
FROM generate_series(1, $1) n
"""

ACTOR = UUID("019aa8f0-0000-7000-8000-000000000001")

QUERIES: dict[str, dict[str, Any]] = {
    "ix_audit_logs_actor_id_seq": {"filters": {"actor_id": ACTOR}},
    "ix_audit_logs_action_seq": {"filters": {"action": "rooms.delete"}},
    "ix_audit_logs_resource_type_resource_id_seq": {"filters": {"resource_type": "rooms", "resource_id": "the room"}},
    "ix_audit_logs_created_at": {"filters": {}, "since": BEGAN, "until": BEGAN + timedelta(hours=1)},
}


@pytest.fixture
def hot_kind() -> str:
    return "postgres"


@pytest.fixture(scope="module")
async def filled(
    databases: Databases,
    anyio_backend: object,  # noqa: ARG001 - runs asynchronous fixtures
) -> AsyncIterator[str]:
    """A database with a long audit log."""
    name = await databases.make()
    connection = await asyncpg.connect(databases.url(name))
    await connection.execute(FILL, ROWS, ACTOR, BEGAN)
    await connection.execute("ANALYZE")
    await connection.close()
    yield databases.url(name)
    await databases.drop(name)


def test_every_index_has_its_query() -> None:
    assert set(QUERIES) == indexes_that_are_no_keys(AuditLog)


@pytest.mark.parametrize("index", QUERIES)
async def test_a_query_uses_its_index_in_a_long_log(filled: str, index: str) -> None:
    resource = RESOURCES["audit_logs"]
    async with observed(filled) as watched:
        for after in (None, (ROWS // 2,)):
            wanted = Wanted(limit=51, after=after, **QUERIES[index])
            assert index in await watched.indexes(resource.page(watched.session, wanted))


async def test_a_page_deep_in_a_long_log_is_found_by_its_key(filled: str) -> None:
    async with observed(filled) as watched:
        wanted = Wanted(limit=51, filters={}, after=(ROWS // 2,))
        assert await watched.indexes(RESOURCES["audit_logs"].page(watched.session, wanted)) == {"pk_audit_logs"}


async def test_a_period_is_asked_for_by_its_ends(world: World) -> None:
    await world.database.execute(FILL, 10, ACTOR, BEGAN)

    async def minutes(**ends: str) -> list[int]:
        answer = await world.admin.get("/admin/audit_logs", params={"resource_type": "agents", **ends})
        assert answer.status_code == 200, answer.text
        times = [datetime.fromisoformat(row["created_at"]) for row in answer.json()["items"]]
        return [int((time - BEGAN).total_seconds() / 60) for time in times]

    assert await minutes(since="2026-01-01T00:08:00Z") == [10, 9, 8]
    assert await minutes(until="2026-01-01T00:03:00Z") == [2, 1]
    assert await minutes(since="2026-01-01T01:05:00+01:00", until="2026-01-01T00:06:00Z") == [5]
    for text in ("", "yesterday", "2026-01-01T00:00:00", "null"):
        answer = await world.admin.get("/admin/audit_logs", params={"since": text})
        assert (answer.status_code, answer.json()["field"]) == (400, "since")


async def test_a_period_is_asked_for_only_where_there_is_one(world: World) -> None:
    answer = await world.admin.get("/admin/rooms", params={"since": "2026-01-01T00:08:00Z"})
    assert (answer.status_code, answer.json()["field"]) == (400, "since")
