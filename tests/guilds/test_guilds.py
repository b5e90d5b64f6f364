"""Guilds: founded, changed, handed over, joined, left and deleted."""

import asyncio
import uuid

import asyncpg
import httpx
import pytest

from tests.agents import Agent, error_of, register
from tests.guilds.founding import BAN, KICK, VIEW, Guild, found, page, permissions, post
from tests.people import sign_up

pytestmark = pytest.mark.anyio

Connection = asyncpg.Connection


async def test_a_guild_has_its_owner_and_everyone_from_the_start(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    answer = await ada.send("POST", "/v1/guilds", {"name": "  Café ", "description": "Talk."})
    told = answer.json()
    assert (answer.status_code, told["name"], told["description"], told["owner_id"]) == (201, "Café", "Talk.", ada.id)
    guild = Guild(ada, told["id"])
    assert await guild.members() == {ada.id}
    assert await guild.roles() == [("@everyone", 0)]
    assert await permissions(ada, guild) == 255


async def test_agents_and_people_are_members_alike(http: httpx.AsyncClient) -> None:
    agent, ada = await register(http), await sign_up(http)
    guild = await found(agent, ada)
    assert await guild.members() == {agent.id, ada.id}
    assert await permissions(ada, guild) == 3
    listed = (await ada.send("GET", "/v1/guilds")).json()
    assert ([each["id"] for each in listed["items"]], listed["next"]) == ([guild.id], None)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "ok", "description": "x" * 2001}, "description"),
        ({"name": "ok", "description": "\x00"}, "description"),
        ({"name": "ok", "owner": "me"}, "owner"),
    ],
)
async def test_a_guild_that_is_not_well_formed_is_told_why(
    http: httpx.AsyncClient, content: dict[str, object], field: str
) -> None:
    agent = await register(http)
    answer = await agent.send("POST", "/v1/guilds", content)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_who_is_no_member_is_told_of_no_guild(http: httpx.AsyncClient) -> None:
    owner, stranger = await register(http), await register(http)
    guild = await found(owner)
    role, channel = await guild.role(1), await guild.channel()
    calls = [
        ("GET", guild.path, None),
        ("PATCH", guild.path, {"name": "mine"}),
        ("DELETE", guild.path, None),
        ("POST", f"{guild.path}/invites", {}),
        ("GET", f"{guild.path}/members", None),
        ("PUT", f"{guild.path}/members/{stranger.id}", None),
        ("DELETE", f"{guild.path}/members/{owner.id}", None),
        ("PUT", f"{guild.path}/nickname", {"nickname": "me"}),
        ("GET", f"{guild.path}/bans", None),
        ("PUT", f"{guild.path}/bans/{owner.id}", {}),
        ("DELETE", f"{guild.path}/bans/{owner.id}", None),
        ("GET", f"{guild.path}/roles", None),
        ("POST", f"{guild.path}/roles", {"name": "role"}),
        ("PATCH", f"{guild.path}/roles/{role}", {"name": "mine"}),
        ("DELETE", f"{guild.path}/roles/{role}", None),
        ("PUT", f"{guild.path}/members/{stranger.id}/roles/{role}", None),
        ("DELETE", f"{guild.path}/members/{owner.id}/roles/{role}", None),
        ("GET", f"{guild.path}/channels", None),
        ("POST", f"{guild.path}/channels", {"name": "mine"}),
    ]
    unknown = Guild(stranger, str(uuid.uuid4()))
    for method, path, content in calls:
        for wanted in (path, path.replace(guild.id, unknown.id)):
            answer = await stranger.send(method, wanted, content)
            assert (answer.status_code, error_of(answer)) == (404, "guild not found"), (method, path)
    assert await guild.members() == {owner.id}
    assert [name for name, _ in await guild.roles()] == ["role", "@everyone"]
    assert (await page(owner, channel)).status_code == 200


async def test_only_administrators_change_a_guild_and_only_the_owner_hands_it_over(http: httpx.AsyncClient) -> None:
    owner, admin, member = [await register(http) for _ in range(3)]
    guild = await found(owner, admin, member)
    await guild.role(128, admin)
    assert (await member.send("PATCH", guild.path, {"name": "Mine"})).status_code == 403
    changed = await admin.send("PATCH", guild.path, {"name": "Better", "description": "About."})
    assert (changed.status_code, changed.json()["name"], changed.json()["description"]) == (200, "Better", "About.")
    kept = await admin.send("PATCH", guild.path, {"description": ""})
    assert (kept.json()["name"], kept.json()["description"]) == ("Better", None)
    assert (await admin.send("PATCH", guild.path, {"owner_id": admin.id})).status_code == 403
    stranger = await register(http)
    refused = await owner.send("PATCH", guild.path, {"owner_id": stranger.id})
    assert (refused.status_code, refused.json()["field"]) == (422, "owner_id")
    assert (await owner.send("PATCH", guild.path, {"owner_id": member.id})).status_code == 200
    assert await permissions(member, guild) == 255
    assert await permissions(owner, guild) == 3
    assert (await owner.send("PATCH", guild.path, {"owner_id": owner.id})).status_code == 403


async def test_a_deleted_guild_is_gone_with_its_channels(http: httpx.AsyncClient, database: Connection) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    channel = await guild.channel()
    await post(member, channel, "remember")
    assert (await member.send("DELETE", guild.path)).status_code == 403
    assert (await owner.send("DELETE", guild.path)).status_code == 204
    for caller in (owner, member):
        assert (await caller.send("GET", guild.path)).status_code == 404
        assert (await caller.send("GET", "/v1/guilds")).json()["items"] == []
        assert (await page(caller, channel)).status_code == 404
        assert (await post(caller, channel)).status_code == 404
    assert await database.fetchval("SELECT count(*) FROM messages") == 1


async def test_an_invitation_lets_in_whoever_has_it(http: httpx.AsyncClient) -> None:
    owner, invited = await register(http), await register(http)
    guild = await found(owner)
    code = (await owner.send("POST", f"{guild.path}/invites", {"hours": 1})).json()["code"]
    for _ in range(2):
        joined = await invited.send("POST", "/v1/guilds/join", {"code": code})
        assert (joined.status_code, joined.json()["id"]) == (200, guild.id)
    assert await guild.members() == {owner.id, invited.id}


async def test_an_invitation_is_good_only_while_its_giver_may_let_in_and_the_guild_is_there(
    http: httpx.AsyncClient,
) -> None:
    owner, keeper, invited = [await register(http) for _ in range(3)]
    guild = await found(owner, keeper)
    for answer in (
        await keeper.send("POST", f"{guild.path}/invites", {}),
        await keeper.send("PUT", f"{guild.path}/members/{invited.id}"),
    ):
        assert (answer.status_code, error_of(answer)) == (403, "your roles in this guild do not allow it")
    role = await guild.role(KICK, keeper)
    code = (await keeper.send("POST", f"{guild.path}/invites", {})).json()["code"]
    forged = code[:-2] + ("AA" if code[-2:] != "AA" else "BB")
    for wrong in (forged, "nonsense", ""):
        answer = await invited.send("POST", "/v1/guilds/join", {"code": wrong})
        assert (answer.status_code, error_of(answer)) == (422, "this is no invitation")
    await owner.send("DELETE", f"{guild.path}/members/{keeper.id}/roles/{role}")
    late = await invited.send("POST", "/v1/guilds/join", {"code": code})
    assert (late.status_code, error_of(late)) == (403, "the invitation is not good any more")
    own = (await owner.send("POST", f"{guild.path}/invites", {})).json()["code"]
    await owner.send("DELETE", guild.path)
    assert (await invited.send("POST", "/v1/guilds/join", {"code": own})).status_code == 404


async def test_an_invitation_ends(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, invited = await register(http), await register(http)
    guild = await found(owner)
    given = (await owner.send("POST", f"{guild.path}/invites", {"hours": 2})).json()
    ended = given["expires_at"] // 1000 * 1000
    monkeypatch.setattr("aicq.messaging.controllers.guilds.now_ms", lambda: ended)
    answer = await invited.send("POST", "/v1/guilds/join", {"code": given["code"]})
    assert (answer.status_code, error_of(answer)) == (422, "the invitation is too old")
    monkeypatch.setattr("aicq.messaging.controllers.guilds.now_ms", lambda: ended - 1)
    assert (await invited.send("POST", "/v1/guilds/join", {"code": given["code"]})).status_code == 200


async def test_members_leave_and_are_kicked_by_who_stands_higher(http: httpx.AsyncClient) -> None:
    owner, high, low, member = [await register(http) for _ in range(4)]
    guild = await found(owner, high, low, member)
    await guild.role(KICK, high, name="high")
    await guild.role(KICK, low, name="low")
    assert await guild.roles() == [("high", 2), ("low", 1), ("@everyone", 0)]

    async def kick(by: Agent, who: Agent) -> tuple[int, str]:
        answer = await by.send("DELETE", f"{guild.path}/members/{who.id}")
        return answer.status_code, "" if answer.status_code == 204 else error_of(answer)

    assert await kick(member, low) == (403, "your roles in this guild do not allow it")
    assert await kick(low, high) == (403, "they stand as high as you or higher")
    for who in (owner, high):
        assert await kick(who, owner) == (403, "the owner stays, until the guild is handed over")
    assert await kick(low, member) == (204, "")
    assert await kick(low, member) == (404, "member not found")
    assert await kick(high, low) == (204, "")
    assert await kick(high, high) == (204, "")
    assert await guild.members() == {owner.id}


async def test_with_a_membership_end_roles_and_places_in_channels(http: httpx.AsyncClient) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    await guild.role(128, member)
    channel = await guild.channel("private", member)
    assert (await post(member, channel)).status_code == 201
    await owner.send("DELETE", f"{guild.path}/members/{member.id}")
    await guild.add(member)
    assert await permissions(member, guild) == 3
    assert (await page(member, channel)).status_code == 404
    assert (await member.send("GET", "/v1/rooms")).json()["items"] == []


async def test_nobody_makes_themselves_a_member_of_a_channel(http: httpx.AsyncClient) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    answer = await member.send("PUT", f"/v1/rooms/{await guild.channel()}/members/{member.id}", {})
    assert (answer.status_code, error_of(answer)) == (403, "your role in this room does not allow it")


async def test_who_is_banned_is_out_and_stays_out_until_it_is_lifted(http: httpx.AsyncClient) -> None:
    owner, higher, keeper, member = [await register(http) for _ in range(4)]
    guild = await found(owner, higher, keeper, member)
    await guild.role(VIEW, higher)
    await guild.role(BAN, keeper)
    code = (await owner.send("POST", f"{guild.path}/invites", {})).json()["code"]
    bans = f"{guild.path}/bans"
    for answer in (
        await member.send("PUT", f"{bans}/{keeper.id}", {}),
        await member.send("DELETE", f"{bans}/{keeper.id}"),
        await member.send("GET", bans),
    ):
        assert (answer.status_code, error_of(answer)) == (403, "your roles in this guild do not allow it")
    for who in (owner, keeper):
        answer = await keeper.send("PUT", f"{bans}/{who.id}", {})
        assert (answer.status_code, error_of(answer)) == (403, "you cannot ban the owner or yourself")
    answer = await keeper.send("PUT", f"{bans}/{higher.id}", {})
    assert (answer.status_code, error_of(answer)) == (403, "they stand as high as you or higher")
    assert (await keeper.send("PUT", f"{bans}/{uuid.uuid4()}", {})).status_code == 404
    for _ in range(2):
        assert (await keeper.send("PUT", f"{bans}/{member.id}", {"reason": "spam"})).status_code == 204
    [ban] = (await keeper.send("GET", bans)).json()["items"]
    assert (ban["actor_id"], ban["banned_by"], ban["reason"]) == (member.id, keeper.id, "spam")
    assert await guild.members() == {owner.id, higher.id, keeper.id}
    for answer in (
        await member.send("POST", "/v1/guilds/join", {"code": code}),
        await owner.send("PUT", f"{guild.path}/members/{member.id}"),
    ):
        assert (answer.status_code, error_of(answer)) == (403, "banned from this guild")
    assert (await keeper.send("DELETE", f"{bans}/{member.id}")).status_code == 204
    assert (await keeper.send("DELETE", f"{bans}/{member.id}")).status_code == 404
    assert (await member.send("POST", "/v1/guilds/join", {"code": code})).status_code == 200


async def test_a_nickname_is_set_and_taken_away(http: httpx.AsyncClient) -> None:
    owner = await register(http)
    guild = await found(owner)
    for nickname in ("Boss", None):
        assert (await owner.send("PUT", f"{guild.path}/nickname", {"nickname": nickname})).status_code == 204
        [member] = (await owner.send("GET", f"{guild.path}/members")).json()["items"]
        assert member["nickname"] == nickname


async def test_lists_are_paged_and_repeat_and_skip_nobody_while_others_join(http: httpx.AsyncClient) -> None:
    owner = await register(http)
    members = [await register(http) for _ in range(6)]
    guild = await found(owner, *members[:5])
    seen: list[str] = []
    cursor = ""
    while True:
        answer = await owner.send("GET", f"{guild.path}/members?limit=2{cursor}")
        told = answer.json()
        seen += [member["actor_id"] for member in told["items"]]
        if told["next"] is None:
            break
        cursor = f"&cursor={told['next']}"
        await guild.add(members[5])
    assert seen == sorted({owner.id, *(member.id for member in members)})
    bad = await owner.send("GET", f"{guild.path}/members?cursor=nonsense")
    assert (bad.status_code, bad.json()["field"]) == (400, "cursor")


async def test_who_is_deleted_leaves_all_guilds_but_cannot_go_as_an_owner(
    http: httpx.AsyncClient, database: Connection
) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await database.execute("DELETE FROM agents WHERE id = $1", uuid.UUID(owner.id))
    await database.execute("DELETE FROM agents WHERE id = $1", uuid.UUID(member.id))
    assert await guild.members() == {owner.id}
    refused = await owner.send("PUT", f"{guild.path}/members/{member.id}")
    assert (refused.status_code, error_of(refused)) == (404, "actor not found")
    await owner.send("DELETE", guild.path)
    await database.execute("DELETE FROM agents WHERE id = $1", uuid.UUID(owner.id))


async def test_who_is_deactivated_does_and_sees_nothing_more(http: httpx.AsyncClient, database: Connection) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    channel = await guild.channel()
    await database.execute("UPDATE agents SET status = 'paused' WHERE id = $1", uuid.UUID(owner.id))
    for method, path, content in (
        ("GET", guild.path, None),
        ("PATCH", guild.path, {"name": "Mine"}),
        ("DELETE", guild.path, None),
        ("GET", f"/v1/rooms/{channel}/messages", None),
        ("POST", f"/v1/rooms/{channel}/messages", {"body": "hi"}),
        ("GET", f"/room/{channel}", None),
    ):
        answer = await owner.send(method, path, content)
        assert (answer.status_code, error_of(answer)) == (403, "agent is not active"), path


async def test_joining_and_deleting_at_once_leaves_no_member_of_what_is_gone(
    http: httpx.AsyncClient, database: Connection
) -> None:
    owner = await register(http)
    others = [await register(http) for _ in range(5)]
    guild = await found(owner)
    code = (await owner.send("POST", f"{guild.path}/invites", {})).json()["code"]
    *joined, deleted = await asyncio.gather(
        *(other.send("POST", "/v1/guilds/join", {"code": code}) for other in others),
        owner.send("DELETE", guild.path),
    )
    assert deleted.status_code == 204
    members = await database.fetchval("SELECT count(*) FROM guild_members WHERE guild_id = $1", uuid.UUID(guild.id))
    assert members == 1 + sum(answer.status_code == 200 for answer in joined)
    assert {answer.status_code for answer in joined} <= {200, 404}


async def test_what_is_done_in_a_guild_is_in_the_audit_log(http: httpx.AsyncClient, database: Connection) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    role = await guild.role(1, member)
    await owner.send("PATCH", f"{guild.path}/roles/{role}", {"name": "new"})
    await owner.send("DELETE", f"{guild.path}/roles/{role}")
    channel = await guild.channel()
    await owner.send("PATCH", f"/v1/rooms/{channel}", {"name": "renamed"})
    await owner.send("PUT", f"{guild.path}/bans/{member.id}", {})
    await owner.send("DELETE", f"{guild.path}/bans/{member.id}")
    await owner.send("DELETE", guild.path)
    rows = await database.fetch(
        "SELECT action, actor_id, resource_type FROM audit_logs WHERE action NOT LIKE 'agents.%' AND actor_id = $1"
        " ORDER BY seq",
        uuid.UUID(owner.id),
    )
    assert [(row["action"], row["resource_type"]) for row in rows] == [
        ("guilds.create", "guilds"),
        ("guild_members.add", "guild_members"),
        ("roles.create", "roles"),
        ("member_roles.give", "member_roles"),
        ("roles.change", "roles"),
        ("roles.delete", "roles"),
        ("rooms.create", "rooms"),
        ("rooms.change", "rooms"),
        ("guild_bans.create", "guild_bans"),
        ("guild_bans.delete", "guild_bans"),
        ("guilds.delete", "guilds"),
    ]
    old = await database.fetchval("SELECT old_values FROM audit_logs WHERE action = 'rooms.change'")
    assert old == '{"name": "talk"}'


async def test_a_signed_request_is_accepted_once(http: httpx.AsyncClient) -> None:
    owner = await register(http)
    body = b'{"name":"Guild"}'
    headers = owner.headers(body) | {"Content-Type": "application/json"}
    assert (await http.post("/v1/guilds", content=body, headers=headers)).status_code == 201
    replayed = await http.post("/v1/guilds", content=body, headers=headers)
    assert (replayed.status_code, error_of(replayed)) == (401, "nonce already used")
    assert len((await owner.send("GET", "/v1/guilds")).json()["items"]) == 1
