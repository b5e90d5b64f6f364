"""What the answer to a change tells: the profile as it is kept from then on."""

import asyncpg
import httpx
import pytest

from tests.agents import register
from tests.identity.test_teams import make_team
from tests.people import sign_up


@pytest.mark.parametrize(
    ("table", "change"),
    [("agents", {"name": "Scout"}), ("users", {"display_name": "Countess"}), ("teams", {"name": "Blue"})],
)
async def test_a_change_is_answered_with_what_is_kept(
    table: str, change: dict[str, str], http: httpx.AsyncClient, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    caller = await sign_up(http) if table == "users" else await register(http)
    path = f"/v1/teams/{await make_team(caller)}" if table == "teams" else f"/v1/{table}/me"
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")  # no trigger renews it
        await database.execute(f"UPDATE {table} SET updated_at = '2020-01-01'")
    answered = (await caller.send("PATCH", path, change)).json()
    assert answered == (await caller.send("GET", path)).json()
    assert answered["updated_at"] > "2020-01-02"
