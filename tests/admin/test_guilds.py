"""Guilds, receipts and attachments as admins see them: what holds for members holds for what an admin does, too."""

import asyncio
from typing import Any

import httpx
import pytest

from aicq.ids import from_ulid
from tests.admin.samples import World
from tests.agents import Agent, bodies, error_of, register
from tests.guilds.founding import KICK, VIEW, Guild, found, page, permissions, post

pytestmark = pytest.mark.anyio


@pytest.fixture
def hot_kind() -> str:
    return "postgres"


async def change(world: World, path: str, **values: Any) -> httpx.Response:
    return await world.admin.patch(f"/admin/{path}", json=values, headers={"If-Match": "*"})


async def everyone(world: World, guild: Guild) -> dict[str, Any]:
    roles = (await world.admin.get("/admin/roles", params={"guild_id": guild.id, "q": "@"})).json()["items"]
    role: dict[str, Any] = roles[0]
    return role


def told(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("field")


async def test_a_guild_made_by_an_admin_has_its_owner_and_is_handed_over_to_a_member_alone(
    world: World, http: httpx.AsyncClient
) -> None:
    owner, member = await register(http), await register(http)
    made = await world.make("guilds", name="  Guild ", owner_id=owner.id)
    assert made["name"] == "Guild"
    guild = Guild(owner, made["id"])
    assert (await permissions(owner, guild), await guild.roles()) == (255, [("@everyone", 0)])
    refused = await change(world, f"guilds/{guild.id}", owner_id=member.id)
    assert (told(refused), error_of(refused)) == ((422, "owner_id"), "the new owner must be a member")
    await guild.add(member)
    assert (await change(world, f"guilds/{guild.id}", owner_id=member.id)).status_code == 200
    assert (await permissions(member, guild), await permissions(owner, guild)) == (255, 3)


async def test_the_owner_is_neither_removed_nor_banned(world: World, http: httpx.AsyncClient) -> None:
    owner = await register(http)
    guild = await found(owner)
    removed = await world.admin.delete(f"/admin/guild_members/{guild.id}/{owner.id}")
    banned = await world.admin.post("/admin/guild_bans", json={"guild_id": guild.id, "actor_id": owner.id})
    assert (told(removed), told(banned)) == ((409, "actor_id"), (409, "actor_id"))
    assert await permissions(owner, guild) == 255


async def test_nothing_is_done_in_a_guild_that_is_deleted_and_its_channels_are_gone(
    world: World, http: httpx.AsyncClient
) -> None:
    owner, member, other = [await register(http) for _ in range(3)]
    guild = await found(owner, member)
    role, channel = await guild.role(VIEW, member), await guild.channel()
    assert (await world.admin.delete(f"/admin/guilds/{guild.id}")).status_code == 204
    assert ((await page(owner, channel)).status_code, await permissions(owner, guild)) == (404, 0)
    assert (await world.admin.get(f"/admin/rooms/{channel}")).json()["deleted_at"]
    changes: list[tuple[str, dict[str, Any]]] = [
        (f"guilds/{guild.id}", {"owner_id": member.id}),
        (f"guild_members/{guild.id}/{member.id}", {"nickname": "M"}),
        (f"roles/{role}", {"permissions": 255}),
    ]
    for path, values in changes:
        refused = await change(world, path, **values)
        assert (refused.status_code, error_of(refused)) == (409, "the guild is deleted"), path
    for table, values in (
        ("guild_members", {"actor_id": other.id}),
        ("guild_bans", {"actor_id": other.id}),
        ("roles", {"name": "role"}),
        ("member_roles", {"actor_id": owner.id, "role_id": role}),
        ("rooms", {"name": "talk", "kind": "text", "is_private": True}),
    ):
        refused = await world.admin.post(f"/admin/{table}", json={"guild_id": guild.id, **values})
        assert told(refused) == (422, "guild_id"), table


async def test_who_is_removed_or_banned_has_no_place_left_and_comes_back_when_that_is_lifted(
    world: World, http: httpx.AsyncClient
) -> None:
    owner, kicked, banned = [await register(http) for _ in range(3)]
    guild = await found(owner, kicked, banned)
    await guild.role(KICK, kicked, banned)
    channel = await guild.channel("secret", kicked, banned)
    assert (await world.admin.delete(f"/admin/guild_members/{guild.id}/{kicked.id}")).status_code == 204
    await world.make("guild_bans", guild_id=guild.id, actor_id=banned.id)
    member = {"guild_id": guild.id, "actor_id": banned.id}
    refused = await world.admin.post("/admin/guild_members", json=member)
    assert (told(refused), error_of(refused)) == ((409, "actor_id"), "banned from this guild")
    assert (await world.admin.delete(f"/admin/guild_bans/{guild.id}/{banned.id}")).status_code == 204
    assert await guild.members() == {owner.id}
    for who in (kicked, banned):
        await world.make("guild_members", guild_id=guild.id, actor_id=who.id)
        assert (await permissions(who, guild), (await page(who, channel)).status_code) == (3, 404)


async def test_who_is_gone_becomes_no_member(world: World, http: httpx.AsyncClient) -> None:
    guild = await found(await register(http))
    gone = await world.id_of("agents")
    await world.admin.delete(f"/admin/agents/{gone}")
    refused = await world.admin.post("/admin/guild_members", json={"guild_id": guild.id, "actor_id": gone})
    assert told(refused) == (422, "actor_id")


async def test_roles_keep_their_order_and_everyone_its_name_and_its_place(
    world: World, http: httpx.AsyncClient
) -> None:
    owner, member = await register(http), await register(http)
    guild = await found(owner, member)
    low, middle, high = [
        (await world.make("roles", guild_id=guild.id, name=name, permissions=0))["id"] for name in ("a", "b", "c")
    ][::-1]
    assert await guild.roles() == [("a", 3), ("b", 2), ("c", 1), ("@everyone", 0)]
    moved = await change(world, f"roles/{low}", position=99, name="top")
    assert (moved.status_code, moved.json()["position"], moved.json()["name"]) == (200, 3, "top")
    assert await guild.roles() == [("top", 3), ("a", 2), ("b", 1), ("@everyone", 0)]
    assert (await world.admin.delete(f"/admin/roles/{high}")).status_code == 204
    assert await guild.roles() == [("top", 2), ("b", 1), ("@everyone", 0)]
    assert told(await change(world, f"roles/{middle}", position=0)) == (422, "position")
    all_members = await everyone(world, guild)
    for name, value in (("name", "all"), ("position", 1)):
        assert told(await change(world, f"roles/{all_members['id']}", **{name: value})) == (422, name)
    stays = await world.admin.delete(f"/admin/roles/{all_members['id']}")
    assert (stays.status_code, error_of(stays)) == (409, "@everyone stays")
    assert (await change(world, f"roles/{all_members['id']}", permissions=0)).status_code == 200
    assert await permissions(member, guild) == 0


async def test_a_role_is_given_to_members_of_its_guild_alone(world: World, http: httpx.AsyncClient) -> None:
    owner, member, stranger = [await register(http) for _ in range(3)]
    guild, other = await found(owner, member), await found(owner)
    role = (await world.make("roles", guild_id=guild.id, permissions=KICK))["id"]
    for field, given in (
        ("actor_id", {"actor_id": stranger.id, "role_id": role}),
        ("role_id", {"actor_id": member.id, "role_id": (await everyone(world, other))["id"]}),
        ("role_id", {"actor_id": member.id, "role_id": (await everyone(world, guild))["id"]}),
    ):
        refused = await world.admin.post("/admin/member_roles", json={"guild_id": guild.id, **given})
        assert told(refused) == (422, field)
    await world.make("member_roles", guild_id=guild.id, actor_id=member.id, role_id=role)
    assert await permissions(member, guild) == 3 | KICK
    assert (await world.admin.delete(f"/admin/member_roles/{guild.id}/{member.id}/{role}")).status_code == 204
    assert await permissions(member, guild) == 3


async def test_an_admin_and_the_owner_at_once_are_not_in_each_others_way(world: World, http: httpx.AsyncClient) -> None:
    owner = await register(http)
    guild = await found(owner)
    roles = [await guild.role(VIEW, name=f"{number}") for number in range(4)]
    answers = await asyncio.gather(
        *(change(world, f"roles/{role}", position=1) for role in roles),
        *(owner.send("PATCH", f"{guild.path}/roles/{role}", {"position": 4}) for role in roles),
        *(world.admin.post("/admin/roles", json={"guild_id": guild.id, "name": "new"}) for _ in range(4)),
    )
    assert {answer.status_code for answer in answers} == {200, 201}
    assert [position for _, position in await guild.roles()] == [8, 7, 6, 5, 4, 3, 2, 1, 0]


async def test_a_channel_and_its_members_are_the_guilds(world: World, http: httpx.AsyncClient) -> None:
    owner, member, stranger = [await register(http) for _ in range(3)]
    guild = await found(owner, member)
    wanted = {"name": "talk", "kind": "text", "is_private": True, "guild_id": guild.id, "members_only": True}
    refused = await world.admin.post("/admin/rooms", json={**wanted, "created_by": stranger.id})
    assert told(refused) == (422, "created_by")
    channel = (await world.make("rooms", **wanted, created_by=member.id))["id"]
    assert (await post(member, channel)).status_code == 201
    refused = await world.admin.post("/admin/room_members", json={"room_id": channel, "actor_id": stranger.id})
    assert told(refused) == (422, "actor_id")


async def message_in(channel: str, author: Agent) -> dict[str, str]:
    answer = await post(author, channel, "said")
    return {"room_id": channel, "message_id": str(from_ulid(answer.json()["id"]))}


async def only_id(reader: Agent, channel: str) -> str:
    [message] = (await page(reader, channel)).json()["messages"]
    return str(message["id"])


async def test_a_receipt_moves_the_place_of_who_may_see_the_room(world: World, http: httpx.AsyncClient) -> None:
    owner, member, stranger = [await register(http) for _ in range(3)]
    guild = await found(owner, member)
    channel = await guild.channel("secret", member)
    message = await message_in(channel, owner)
    refused = await world.admin.post("/admin/message_read_receipts", json={**message, "actor_id": stranger.id})
    assert told(refused) == (422, "actor_id")
    await world.make("message_read_receipts", **message, actor_id=member.id)
    state = (await member.send("GET", f"/v1/rooms/{channel}")).json()
    assert (state["last_read"], state["unread"]) == (await only_id(owner, channel), 0)
    again = await world.admin.post("/admin/message_read_receipts", json={**message, "actor_id": member.id})
    assert told(again) == (409, "actor_id")


async def test_a_file_belongs_to_a_message_that_is_there_and_to_its_author(
    world: World, http: httpx.AsyncClient
) -> None:
    owner = await register(http)
    channel = await (await found(owner)).channel()
    message = await message_in(channel, owner)
    made = await world.make("message_attachments", **message)
    assert (made["uploader_id"], made["content_type"]) == (owner.id, "application/octet-stream")
    path = f"/v1/rooms/{channel}/messages/{await only_id(owner, channel)}"
    listed = (await owner.send("GET", f"{path}/attachments")).json()["items"]
    assert [file["filename"] for file in listed] == ["sample.txt"]
    await owner.send("DELETE", path)
    file = {"filename": "late", "size_bytes": 1, "storage_key": "late"}
    refused = await world.admin.post("/admin/message_attachments", json={**message, **file})
    assert told(refused) == (422, "message_id")
    assert bodies((await page(owner, channel)).json()) == []
