"""What the tables of identity take, what they refuse, and what stays when something is deleted."""

from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

HASH = "$2b$12$" + "a" * 53
TOKEN_HASH = "0" * 64

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def insert(database: Connection, table: str, **values: Any) -> Any:
    """Adds a row and returns its id, or nothing if it has none."""
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    returned = " RETURNING id" if table in {"users", "agents", "teams", "sessions"} else ""
    return await database.fetchval(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places}){returned}", *values.values()
    )


async def add_user(database: Connection, username: str = "ada", **values: Any) -> UUID:
    user_id: UUID = await insert(database, "users", **{"username": username, "email": f"{username}@x.io"} | values)
    return user_id


async def add_agent(database: Connection, **values: Any) -> UUID:
    agent_id: UUID = await insert(database, "agents", **{"name": "scout"} | values)
    return agent_id


async def add_team(database: Connection, owner: UUID, slug: str = "red") -> UUID:
    team_id: UUID = await insert(database, "teams", name="Red", slug=slug, owner_id=owner)
    return team_id


async def refused(database: Connection, table: str, **values: Any) -> str:
    """The name of the constraint that refuses a row."""
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
        async with database.transaction():
            await insert(database, table, **values)
    return str(refusal.value.constraint_name)


async def count(database: Connection, table: str) -> int:
    rows: int = await database.fetchval(f"SELECT count(*) FROM {table}")
    return rows


@pytest.mark.parametrize(
    "email", ["", "ada", "ada@x", "a b@x.io", " ada@x.io", "ada@x.io\n", "a@b@x.io", "a@b..", "a@b..io"]
)
async def test_an_email_that_is_none_is_refused(database: Connection, email: str) -> None:
    assert await refused(database, "users", username="ada", email=email) == "ck_users_email"


async def test_an_email_of_255_characters_is_refused(database: Connection) -> None:
    assert await refused(database, "users", username="ada", email="a" * 250 + "@x.io") == "ck_users_email"


async def test_an_email_belongs_to_one_user_in_any_case(database: Connection) -> None:
    await add_user(database, email="Ada@x.io")
    assert await refused(database, "users", username="eve", email="ada@X.io") == "uq_users_lower_email"


async def test_a_username_belongs_to_one_user_in_any_case(database: Connection) -> None:
    await add_user(database, "Ada")
    assert await refused(database, "users", username="ada", email="e@x.io") == "uq_users_lower_username"


@pytest.mark.parametrize("username", ["", "a b", "-a", "a@b", "a/b", "ä", "a" * 65, "a\n"])
async def test_a_username_is_a_word(database: Connection, username: str) -> None:
    assert await refused(database, "users", username=username, email="a@x.io") == "ck_users_username"


async def test_only_services_have_no_email(database: Connection) -> None:
    await insert(database, "users", username="ci", role="service")
    assert await refused(database, "users", username="ada") == "ck_users_email_of_all_but_services"


@pytest.mark.parametrize("kept", ["secret", HASH.replace("$12$", "$11$"), HASH[:-1], HASH + "\n"])
async def test_a_password_is_kept_as_a_hash_of_twelve_rounds_or_not_at_all(database: Connection, kept: str) -> None:
    refusal = await refused(database, "users", username="ada", email="a@x.io", password_hash=kept)
    assert refusal == "ck_users_password_hash"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "x.io/a.png", "https://x.io/ a"])
async def test_an_avatar_is_on_the_web(database: Connection, url: str) -> None:
    assert await refused(database, "users", username="ada", email="a@x.io", avatar_url=url) == "ck_users_avatar_url"


@pytest.mark.parametrize("slug", ["", "-a", "a-", "a--b", "A", "a b", "a_b", "a" * 64])
async def test_a_slug_is_small_letters_and_digits_joined_by_hyphens(database: Connection, slug: str) -> None:
    owner = await add_user(database)
    assert await refused(database, "teams", name="Red", slug=slug, owner_id=owner) == "ck_teams_slug"
    assert await refused(database, "agents", slug=slug) == "ck_agents_slug"


async def test_a_slug_may_be_one_letter(database: Connection) -> None:
    await add_team(database, await add_user(database), slug="a")


async def test_a_slug_belongs_to_one_team(database: Connection) -> None:
    owner = await add_user(database)
    await add_team(database, owner)
    assert await refused(database, "teams", name="Other", slug="red", owner_id=owner) == "uq_teams_slug"


async def test_a_slug_belongs_to_one_agent_of_a_team_until_it_is_archived(database: Connection) -> None:
    team = await add_team(database, await add_user(database))
    first = await add_agent(database, team_id=team, slug="scout")
    assert await refused(database, "agents", team_id=team, slug="scout") == "uq_agents_team_id_slug"
    await database.execute("UPDATE agents SET status = 'archived' WHERE id = $1", first)
    await add_agent(database, team_id=team, slug="scout")


async def test_name_and_type_are_one_agents_and_a_name_without_type_is_not(database: Connection) -> None:
    await add_agent(database, name="Scout")
    await add_agent(database, name="Scout")
    await add_agent(database, name="Scout", type="research")
    assert await refused(database, "agents", name="Scout", type="research") == "uq_agents_type_name"
    assert await refused(database, "agents", type="research") == "ck_agents_typed_have_a_name"


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
async def test_a_success_rate_is_between_0_and_1(database: Connection, rate: float) -> None:
    assert await refused(database, "agents", success_rate=rate) == "ck_agents_success_rate"


@pytest.mark.parametrize("milliseconds", [-1.0, float("nan"), float("inf")])
async def test_an_execution_takes_a_time(database: Connection, milliseconds: float) -> None:
    refusal = await refused(database, "agents", avg_execution_time_ms=milliseconds)
    assert refusal == "ck_agents_avg_execution_time_ms"


async def test_nobody_is_a_friend_of_themselves(database: Connection) -> None:
    ada = await add_user(database)
    assert await refused(database, "friendships", actor_id=ada, friend_id=ada) == "ck_friendships_not_with_oneself"


async def test_a_pair_has_one_friendship_in_each_direction(database: Connection) -> None:
    ada, scout = await add_user(database), await add_agent(database)
    await insert(database, "friendships", actor_id=ada, friend_id=scout)
    await insert(database, "friendships", actor_id=scout, friend_id=ada)
    assert await refused(database, "friendships", actor_id=ada, friend_id=scout) == "pk_friendships"


async def test_a_conversation_is_kept_for_a_day_at_least(database: Connection) -> None:
    owner = await add_user(database)
    values = {"name": "Red", "slug": "red", "owner_id": owner, "conversation_retention_days": 0}
    assert await refused(database, "teams", **values) == "ck_teams_conversation_retention_days"


@pytest.mark.parametrize(
    ("table", "column", "values"),
    [
        ("users", "status", ["online", "away", "busy", "offline"]),
        ("users", "role", ["admin", "manager", "user", "service"]),
        ("friendships", "status", ["pending", "accepted", "blocked"]),
        ("team_memberships", "role", ["owner", "admin", "member", "viewer"]),
        ("agents", "status", ["draft", "active", "paused", "archived"]),
    ],
)
async def test_enums_have_their_values_and_no_other(
    database: Connection, table: str, column: str, values: list[str]
) -> None:
    row = await database.fetchrow(
        "SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS known FROM pg_enum e JOIN pg_attribute a"
        " ON a.atttypid = e.enumtypid WHERE a.attrelid = $1::text::regclass AND a.attname = $2",
        table,
        column,
    )
    assert row is not None
    assert row["known"] == values


async def test_a_user_is_online_unless_offline(database: Connection) -> None:
    ada = await add_user(database)
    assert await database.fetchval("SELECT is_online FROM users") is False
    await database.execute("UPDATE users SET status = 'busy' WHERE id = $1", ada)
    assert await database.fetchval("SELECT is_online FROM users") is True


async def test_every_user_has_an_actor(database: Connection) -> None:
    ada = await add_user(database)
    assert await database.fetchval("SELECT kind FROM actors WHERE id = $1", ada) == "user"


async def test_a_deleted_users_anchor_stays_and_their_name_is_free(database: Connection) -> None:
    ada = await add_user(database)
    await insert(database, "sessions", user_id=ada, token_hash=TOKEN_HASH, expires_at=await now(database))
    await database.execute("DELETE FROM users")
    assert await database.fetchval("SELECT deleted_at IS NOT NULL FROM actors WHERE id = $1", ada)
    assert await count(database, "sessions") == 0
    await add_user(database)


async def test_a_deleted_agents_anchor_stays_and_its_messages_point_at_it(database: Connection) -> None:
    scout = await add_agent(database, public_key="key")
    await database.execute(
        "INSERT INTO messages (room_id, seq, id, author_id, body, created_at, updated_at)"
        " VALUES ('00000000-0000-0000-0000-000000000001', 1, gen_random_uuid(), $1, 'hi', now(), now())",
        scout,
    )
    await database.execute("DELETE FROM agents")
    gone = await database.fetchval("SELECT a.deleted_at FROM messages m JOIN actors a ON a.id = m.author_id")
    assert gone is not None
    await add_agent(database, public_key="key")


async def test_what_is_an_actors_alone_goes_with_it(database: Connection) -> None:
    ada, eve, scout = await add_user(database), await add_user(database, "eve"), await add_agent(database)
    team = await add_team(database, eve)
    await insert(database, "friendships", actor_id=ada, friend_id=scout)
    await insert(database, "friendships", actor_id=eve, friend_id=ada)
    await insert(database, "friendships", actor_id=eve, friend_id=scout)
    await insert(database, "team_memberships", team_id=team, actor_id=ada)
    await database.execute("DELETE FROM users WHERE id = $1", ada)
    assert await count(database, "friendships") == 1
    assert await count(database, "team_memberships") == 0


async def test_who_owns_a_team_hands_it_over_before_they_go(database: Connection) -> None:
    ada, eve = await add_user(database), await add_user(database, "eve")
    team = await add_team(database, ada)
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refusal:
        await database.execute("DELETE FROM users WHERE id = $1", ada)
    assert refusal.value.constraint_name == "fk_teams_owner_id_actors"
    await database.execute("UPDATE teams SET owner_id = $1 WHERE id = $2", eve, team)
    await database.execute("DELETE FROM users WHERE id = $1", ada)


async def test_an_anchor_of_an_owner_cannot_be_deleted_either(database: Connection) -> None:
    ada = await add_user(database)
    await add_team(database, ada)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await database.execute("DELETE FROM actors WHERE id = $1", ada)


async def test_a_deleted_anchor_takes_all_of_the_actor_with_it(database: Connection) -> None:
    ada, scout = await add_user(database), await add_agent(database)
    team = await add_team(database, scout)
    await insert(database, "friendships", actor_id=ada, friend_id=scout)
    await insert(database, "team_memberships", team_id=team, actor_id=ada)
    await database.execute("UPDATE agents SET created_by = $1", ada)
    await database.execute("DELETE FROM actors WHERE id = $1", ada)
    assert [await count(database, table) for table in ("users", "friendships", "team_memberships")] == [0, 0, 0]
    assert await database.fetchval("SELECT created_by FROM agents") is None


async def test_a_deleted_teams_agents_and_memberships_go_with_it(database: Connection) -> None:
    ada = await add_user(database)
    team = await add_team(database, ada)
    scout = await add_agent(database, team_id=team)
    await insert(database, "team_memberships", team_id=team, actor_id=ada)
    await database.execute("DELETE FROM teams")
    assert await count(database, "agents") == await count(database, "team_memberships") == 0
    assert await database.fetchval("SELECT deleted_at IS NOT NULL FROM actors WHERE id = $1", scout)


@pytest.mark.parametrize(
    ("table", "nothing", "change"),
    [
        ("users", "username = username, last_seen_at = now()", "display_name = 'Ada'"),
        ("agents", "name = name, success_rate = 1", "tagline = 'Finds.'"),
        ("teams", "name = name", "name = 'Blue'"),
        ("friendships", "status = status", "status = 'accepted'"),
    ],
)
async def test_a_change_is_dated_and_none_is_not(database: Connection, table: str, nothing: str, change: str) -> None:
    ada, scout = await add_user(database), await add_agent(database)
    await add_team(database, ada)
    await insert(database, "friendships", actor_id=ada, friend_id=scout)
    dated = f"SELECT updated_at > created_at FROM {table}"
    await database.execute(f"UPDATE {table} SET {nothing}")
    assert await database.fetchval(dated) is False
    await database.execute(f"UPDATE {table} SET {change}")
    assert await database.fetchval(dated) is True


async def now(database: Connection) -> Any:
    return await database.fetchval("SELECT now()")
