"""Guilds as tests use them: who is in one and what is done there, over HTTP."""

from typing import Any, Protocol

import httpx

from tests.agents import outlived

VIEW, POST, MANAGE_MESSAGES, MANAGE_ROOMS, MANAGE_ROLES, KICK, BAN, ADMINISTRATOR = (1 << bit for bit in range(8))


class Caller(Protocol):
    """An agent or a person."""

    id: str

    async def send(self, method: str, path: str, content: Any = None) -> httpx.Response:
        """Calls."""


class Guild:
    """A guild, seen through its owner.

    Args:
        owner: Who founded it.
        guild_id: The guild.
    """

    def __init__(self, owner: Caller, guild_id: str) -> None:
        self.owner = owner
        self.id = guild_id
        self.path = f"/v1/guilds/{guild_id}"

    async def add(self, *members: Caller) -> None:
        for member in members:
            answer = await self.owner.send("PUT", f"{self.path}/members/{member.id}")
            assert answer.status_code == 204, answer.text

    async def role(self, permissions: int, *holders: Caller, name: str = "role") -> str:
        """Makes a role and gives it to members."""
        answer = await self.owner.send("POST", f"{self.path}/roles", {"name": name, "permissions": permissions})
        assert answer.status_code == 201, answer.text
        role_id = str(answer.json()["id"])
        for holder in holders:
            answer = await self.owner.send("PUT", f"{self.path}/members/{holder.id}/roles/{role_id}")
            assert answer.status_code == 204, answer.text
        return role_id

    async def roles(self) -> list[tuple[str, int]]:
        """Names and positions, the highest first."""
        answer = await self.owner.send("GET", f"{self.path}/roles")
        return [(role["name"], role["position"]) for role in answer.json()["items"]]

    async def everyone(self, permissions: int) -> None:
        """Sets what @everyone may do."""
        roles = (await self.owner.send("GET", f"{self.path}/roles")).json()["items"]
        answer = await self.owner.send("PATCH", f"{self.path}/roles/{roles[-1]['id']}", {"permissions": permissions})
        assert answer.status_code == 200, answer.text

    async def channel(self, name: str = "talk", *members: Caller, **more: Any) -> str:
        """Opens a channel; with members it is for them alone."""
        wanted = {"name": name, "members_only": bool(members)} | more
        answer = await self.owner.send("POST", f"{self.path}/channels", wanted)
        assert answer.status_code == 201, answer.text
        channel = str(answer.json()["id"])
        for member in members:
            answer = await self.owner.send("PUT", f"/v1/rooms/{channel}/members/{member.id}", {})
            assert answer.status_code == 204, answer.text
        return channel

    async def members(self) -> set[str]:
        answer = await self.owner.send("GET", f"{self.path}/members")
        return {member["actor_id"] for member in answer.json()["items"]}


async def found(owner: Caller, *members: Caller, name: str = "Guild") -> Guild:
    """Founds a guild and adds members to it."""
    answer = await owner.send("POST", "/v1/guilds", {"name": name})
    assert answer.status_code == 201, answer.text
    guild = Guild(owner, answer.json()["id"])
    await guild.add(*members)
    return guild


async def permissions(caller: Caller, guild: Guild) -> int:
    """What somebody may do in a guild; 0 if they do not see it."""
    answer = await caller.send("GET", guild.path)
    return int(answer.json()["permissions"]) if answer.status_code == 200 else 0


async def post(caller: Caller, room: str, body: str = "hello") -> httpx.Response:
    return outlived(await caller.send("POST", f"/v1/rooms/{room}/messages", {"body": body}))


async def page(caller: Caller, room: str) -> httpx.Response:
    return await caller.send("GET", f"/v1/rooms/{room}/messages")
