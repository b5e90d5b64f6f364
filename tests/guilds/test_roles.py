"""Roles: what they allow, who may give what to whom, and how they stand."""

import asyncio
import uuid
from functools import reduce
from operator import or_

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agents import error_of, register
from tests.guilds.founding import (
    ADMINISTRATOR,
    KICK,
    MANAGE_MESSAGES,
    MANAGE_ROLES,
    MANAGE_ROOMS,
    POST,
    VIEW,
    found,
    permissions,
)

pytestmark = pytest.mark.anyio

Connection = asyncpg.Connection


async def test_a_member_may_do_what_everyone_and_their_roles_allow(http: httpx.AsyncClient) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    await guild.role(MANAGE_MESSAGES, member, name="one")
    await guild.role(MANAGE_ROOMS | KICK, member, name="other")
    assert await permissions(member, guild) == VIEW | POST | MANAGE_MESSAGES | MANAGE_ROOMS | KICK
    await guild.everyone(VIEW)
    assert await permissions(member, guild) == VIEW | MANAGE_MESSAGES | MANAGE_ROOMS | KICK
    await guild.everyone(0)
    assert await permissions(member, guild) == 0
    await guild.role(VIEW, member, name="view")
    assert await permissions(member, guild) == VIEW | MANAGE_MESSAGES | MANAGE_ROOMS | KICK
    await guild.role(ADMINISTRATOR, member, name="admin")
    assert await permissions(member, guild) == 255


@given(
    everyone=st.integers(0, 255),
    roles=st.lists(st.tuples(st.integers(0, 255), st.booleans()), max_size=4),
    is_owner=st.booleans(),
    is_member=st.booleans(),
    is_active=st.booleans(),
)
async def test_permissions_are_those_of_a_plain_model(
    database: Connection,
    *,
    everyone: int,
    roles: list[tuple[int, bool]],
    is_owner: bool,
    is_member: bool,
    is_active: bool,
) -> None:
    owner, actor = [await database.fetchval("INSERT INTO agents DEFAULT VALUES RETURNING id") for _ in range(2)]
    founder = actor if is_owner else owner
    guild = await database.fetchval("INSERT INTO guilds (name, owner_id) VALUES ('g', $1) RETURNING id", founder)
    if is_member and not is_owner:
        await database.execute("INSERT INTO guild_members (guild_id, actor_id) VALUES ($1, $2)", guild, actor)
    await database.execute("UPDATE roles SET permissions = $2 WHERE guild_id = $1", guild, everyone)
    held = []
    for position, (allowed, is_held) in enumerate(roles, 1):
        role = await database.fetchval(
            "INSERT INTO roles (guild_id, name, permissions, position) VALUES ($1, 'r', $2, $3) RETURNING id",
            guild,
            allowed,
            position,
        )
        if is_held and (is_member or is_owner):
            held.append((position, allowed))
            await database.execute("INSERT INTO member_roles VALUES ($1, $2, $3)", guild, actor, role)
    if not is_active:
        await database.execute("UPDATE agents SET status = 'paused' WHERE id = $1", actor)
    all_bits = reduce(or_, (allowed for _, allowed in held), everyone)
    wanted = 255 if is_owner or all_bits & ADMINISTRATOR else all_bits if all_bits & VIEW else 0
    wanted = wanted if is_active else 0
    row = await database.fetchrow("SELECT guild_permissions($1, $2), guild_rank($1, $2)", guild, actor)
    assert row is not None
    if is_owner:
        assert tuple(row) == (wanted, 2**31 - 1)
    elif is_member:
        assert tuple(row) == (wanted, max((position for position, _ in held), default=0))
    else:
        assert tuple(row) == (0, None)


async def test_roles_keep_their_order_without_gaps_when_they_are_made_moved_and_deleted(
    http: httpx.AsyncClient,
) -> None:
    owner = await register(http)
    guild = await found(owner)
    roles = {name: await guild.role(1, name=name) for name in ("a", "b", "c", "d")}
    path = f"{guild.path}/roles"

    async def move(name: str, position: int) -> list[tuple[str, int]]:
        answer = await owner.send("PATCH", f"{path}/{roles[name]}", {"position": position})
        assert answer.status_code == 200, answer.text
        return await guild.roles()

    assert await guild.roles() == [("a", 4), ("b", 3), ("c", 2), ("d", 1), ("@everyone", 0)]
    assert await move("d", 4) == [("d", 4), ("a", 3), ("b", 2), ("c", 1), ("@everyone", 0)]
    assert await move("a", 1) == [("d", 4), ("b", 3), ("c", 2), ("a", 1), ("@everyone", 0)]
    assert await move("b", 99) == [("b", 4), ("d", 3), ("c", 2), ("a", 1), ("@everyone", 0)]
    assert await move("b", 4) == [("b", 4), ("d", 3), ("c", 2), ("a", 1), ("@everyone", 0)]
    assert (await owner.send("DELETE", f"{path}/{roles['d']}")).status_code == 204
    assert await guild.roles() == [("b", 3), ("c", 2), ("a", 1), ("@everyone", 0)]


async def test_roles_made_at_once_all_get_a_place(http: httpx.AsyncClient) -> None:
    owner = await register(http)
    guild = await found(owner)
    await asyncio.gather(*(guild.role(1, name=f"{number}") for number in range(8)))
    assert [position for _, position in await guild.roles()] == list(range(8, -1, -1))


async def test_nobody_allows_more_than_they_may_do_themselves(http: httpx.AsyncClient) -> None:
    owner, keeper, member = [await register(http) for _ in range(3)]
    guild = await found(owner, keeper, member)
    strong = await guild.role(ADMINISTRATOR, name="strong")
    own = await guild.role(MANAGE_ROLES | KICK, keeper, name="keeper")
    roles = f"{guild.path}/roles"
    await owner.send("PATCH", f"{roles}/{own}", {"position": 2})
    assert await guild.roles() == [("keeper", 2), ("strong", 1), ("@everyone", 0)]
    for answer in (
        await keeper.send("POST", roles, {"name": "mine", "permissions": MANAGE_MESSAGES}),
        await keeper.send("PATCH", f"{roles}/{strong}", {"permissions": 0}),
        await keeper.send("PUT", f"{guild.path}/members/{keeper.id}/roles/{strong}"),
    ):
        assert (answer.status_code, error_of(answer)) == (403, "a role allows no more than you may do yourself")
    assert (await keeper.send("POST", roles, {"name": "mine", "permissions": KICK | VIEW})).status_code == 201
    assert await permissions(keeper, guild) == VIEW | POST | MANAGE_ROLES | KICK


async def test_nobody_changes_gives_or_takes_what_stands_as_high_as_they_do(http: httpx.AsyncClient) -> None:
    owner, keeper, member = [await register(http) for _ in range(3)]
    guild = await found(owner, keeper, member)
    high = await guild.role(VIEW, member, name="high")
    own = await guild.role(MANAGE_ROLES, keeper, name="own")
    low = await guild.role(VIEW, name="low")
    roles = f"{guild.path}/roles"
    for role in (high, own):
        for answer in (
            await keeper.send("PATCH", f"{roles}/{role}", {"name": "new"}),
            await keeper.send("DELETE", f"{roles}/{role}"),
            await keeper.send("PUT", f"{guild.path}/members/{member.id}/roles/{role}"),
            await keeper.send("DELETE", f"{guild.path}/members/{member.id}/roles/{role}"),
        ):
            assert (answer.status_code, error_of(answer)) == (403, "it stands as high as your own role or higher")
    lifted = await keeper.send("PATCH", f"{roles}/{low}", {"position": 2})
    assert (lifted.status_code, error_of(lifted)) == (403, "a role stays below your own")
    assert (await keeper.send("PUT", f"{guild.path}/members/{member.id}/roles/{low}")).status_code == 204
    assert (await keeper.send("DELETE", f"{guild.path}/members/{member.id}/roles/{low}")).status_code == 204
    assert (await keeper.send("DELETE", f"{guild.path}/members/{member.id}/roles/{low}")).status_code == 404
    assert (await member.send("POST", roles, {"name": "mine"})).status_code == 403
    other = await register(http)
    await guild.add(other)
    await guild.everyone(VIEW | MANAGE_ROLES)
    refused = await other.send("POST", roles, {"name": "mine"})
    assert (refused.status_code, error_of(refused)) == (403, "a role of your own must stand above it")


async def test_everyone_keeps_its_name_and_its_place_and_is_nobodys_to_give(http: httpx.AsyncClient) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    everyone = (await owner.send("GET", f"{guild.path}/roles")).json()["items"][0]["id"]
    path = f"{guild.path}/roles/{everyone}"
    for answer in (
        await owner.send("PATCH", path, {"name": "all"}),
        await owner.send("PATCH", path, {"position": 1}),
        await owner.send("DELETE", path),
        await owner.send("PUT", f"{guild.path}/members/{member.id}/roles/{everyone}"),
        await owner.send("DELETE", f"{guild.path}/members/{member.id}/roles/{everyone}"),
    ):
        assert answer.status_code == 422
    assert await guild.roles() == [("@everyone", 0)]


async def test_a_role_belongs_to_its_guild(http: httpx.AsyncClient, database: Connection) -> None:
    owner = await register(http)
    guild, other = await found(owner), await found(owner)
    role = await other.role(1)
    for answer in (
        await owner.send("PATCH", f"{guild.path}/roles/{role}", {"name": "new"}),
        await owner.send("PUT", f"{guild.path}/members/{owner.id}/roles/{role}"),
        await owner.send("PUT", f"{guild.path}/members/{owner.id}/roles/{uuid.uuid4()}"),
    ):
        assert (answer.status_code, error_of(answer)) == (404, "role not found")
    stranger = await register(http)
    answer = await owner.send("PUT", f"{other.path}/members/{stranger.id}/roles/{role}")
    assert (answer.status_code, error_of(answer)) == (404, "member not found")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await database.execute(
            "INSERT INTO member_roles VALUES ($1, $2, $3)",
            uuid.UUID(guild.id),
            uuid.UUID(owner.id),
            uuid.UUID(role),
        )


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "role", "permissions": 256}, "permissions"),
        ({"name": "role", "permissions": -1}, "permissions"),
        ({"name": "role", "permissions": "1"}, "permissions"),
        ({"name": "role", "position": 1}, "position"),
    ],
)
async def test_a_role_that_is_not_well_formed_is_told_why(
    http: httpx.AsyncClient, content: dict[str, object], field: str
) -> None:
    owner = await register(http)
    guild = await found(owner)
    answer = await owner.send("POST", f"{guild.path}/roles", content)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
