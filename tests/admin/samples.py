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

from aicq.ids import from_ulid
from tests.agents import GLOBAL, register

NUMBERS = count(1)

ROOM_KEY = "a room key that is never shown"
PASSWORD = "a password that is never shown"
MFA_SECRET = "a second factor that is never shown"
WEBHOOK_SECRET = "a webhook's secret that is never shown"
SECRETS = {ROOM_KEY, PASSWORD, MFA_SECRET, WEBHOOK_SECRET}


class World:
    """Makes rows.

    Args:
        admin: Calls the app.
        database: For rows that no admin makes.
    """

    def __init__(self, admin: httpx.AsyncClient, database: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.admin = admin
        self.database = database
        self._some: dict[str, str] = {}

    async def make(self, table: str, **more: Any) -> dict[str, Any]:
        """Adds a row of a table and returns it as it is shown."""
        answer = await self.admin.post(f"/admin/{table}", json={**await SAMPLES[table].new(self), **more})
        assert answer.status_code == 201, answer.text
        row: dict[str, Any] = answer.json()
        return row

    async def some_message(self) -> dict[str, str]:
        """The ids of a message and of its room, the same each time."""
        if "messages" not in self._some:
            author = await register(self.admin)
            headers = {"Authorization": ""}
            answer = await author.send("POST", f"/room/{GLOBAL}", {"body": "sample"}, headers=headers)
            assert answer.status_code == 201, answer.text
            self._some["messages"] = str(from_ulid(answer.json()["id"]))
        return {"room_id": GLOBAL, "message_id": self._some["messages"]}

    async def id_of(self, table: str) -> str:
        """The id of a new row of a table."""
        return str((await self.make(table))["id"])

    async def some(self, table: str) -> str:
        """The id of a row of a table, the same each time: what rows belong to that need none of their own."""
        if table not in self._some:
            self._some[table] = await self.id_of(table)
        return self._some[table]


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


async def new_user(_: World) -> dict[str, Any]:
    name = f"user-{next(NUMBERS)}"
    return {"username": name, "email": f"{name}@example.org", "display_name": "Somebody"}


async def new_session(world: World) -> dict[str, Any]:
    await world.database.execute(
        "INSERT INTO sessions (user_id, token_hash, ip, expires_at)"
        " VALUES ($1::text::uuid, md5(random()::text) || md5(random()::text), '::1', now() + interval '1 day')",
        await world.id_of("users"),
    )
    return {}


async def new_friendship(world: World) -> dict[str, Any]:
    return {"actor_id": await world.id_of("users"), "friend_id": await world.id_of("agents")}


async def new_team(world: World) -> dict[str, Any]:
    return {"name": "Red", "slug": f"team-{next(NUMBERS)}", "owner_id": await world.id_of("users")}


async def new_team_membership(world: World) -> dict[str, Any]:
    return {"team_id": await world.id_of("teams"), "actor_id": await world.id_of("agents"), "role": "viewer"}


async def new_room(_: World) -> dict[str, Any]:
    return {"name": f"room-{next(NUMBERS)}"}


async def new_room_member(world: World) -> dict[str, Any]:
    return {"room_id": await world.id_of("rooms"), "actor_id": await world.id_of("agents"), "role": "viewer"}


async def new_guild(world: World) -> dict[str, Any]:
    return {"name": "Guild", "owner_id": await world.some("agents")}


async def new_guild_member(world: World) -> dict[str, Any]:
    return {"guild_id": await world.some("guilds"), "actor_id": await world.id_of("agents"), "nickname": "Ada"}


async def new_guild_ban(world: World) -> dict[str, Any]:
    return {"guild_id": await world.some("guilds"), "actor_id": await world.id_of("agents"), "reason": "sample"}


async def new_role(world: World) -> dict[str, Any]:
    return {"guild_id": await world.some("guilds"), "name": "sample", "permissions": 3}


async def new_member_role(world: World) -> dict[str, Any]:
    member = await world.make("guild_members")
    ids = {name: member[name] for name in ("guild_id", "actor_id")}
    return {**ids, "role_id": await world.some("roles")}


async def new_read_receipt(world: World) -> dict[str, Any]:
    return {**await world.some_message(), "actor_id": (await world.make("agents", status="active"))["id"]}


async def new_message_attachment(world: World) -> dict[str, Any]:
    return {
        **await world.some_message(),
        "filename": "sample.txt",
        "size_bytes": 7,
        "storage_key": "samples/sample.txt",
    }


async def new_project(world: World) -> dict[str, Any]:
    return {"slug": f"project-{next(NUMBERS)}", "name": "sample", "owner_id": await world.some("agents")}


async def new_task(world: World) -> dict[str, Any]:
    return {"project_id": await world.some("projects"), "title": "sample", "labels": ["sample"]}


async def new_task_comment(world: World) -> dict[str, Any]:
    return {"task_id": await world.some("tasks"), "author_id": await world.some("agents"), "body": "sample"}


async def new_task_attachment(world: World) -> dict[str, Any]:
    file = {"file_name": "sample.txt", "byte_size": 7, "storage_path": "samples/sample.txt"}
    return {"task_id": await world.some("tasks"), "uploaded_by": await world.some("agents"), **file}


async def new_evidence(world: World) -> dict[str, Any]:
    claimed = {"claim": "sample", "source_type": "test_result", "claimed_score": "0.9"}
    return {"task_id": await world.some("tasks"), "author_id": await world.some("agents"), **claimed}


async def new_evidence_link(world: World) -> dict[str, Any]:
    return {"low_id": await world.id_of("evidence"), "high_id": await world.id_of("evidence"), "kind": "related"}


async def new_execution(world: World) -> dict[str, Any]:
    cost = {"cost_usd": "0.000000001", "cost_source": "reported", "input_tokens": 1}
    return {"task_id": await world.some("tasks"), "agent_id": await world.some("agents"), **cost}


async def new_execution_totals(world: World) -> dict[str, Any]:
    await world.make("agent_executions", agent_id=await world.id_of("agents"))
    return {}


async def new_activity(world: World) -> dict[str, Any]:
    return {"task_id": await world.some("tasks"), "activity_type": "task_created", "summary": "sample"}


async def new_conversation(world: World) -> dict[str, Any]:
    return {"team_id": await world.some("teams"), "title": "sample"}


async def new_conversation_message(world: World) -> dict[str, Any]:
    conversation = await world.make("conversations")
    ids = {"team_id": conversation["team_id"], "conversation_id": conversation["id"]}
    return {**ids, "role": "tool", "content": "sample", "tool_calls": [{"name": "brew"}], "token_count": 7}


async def new_memory(world: World) -> dict[str, Any]:
    return {"team_id": await world.some("teams"), "memory_type": "semantic", "content": "sample", "subject": "sample"}


async def new_memory_tag(world: World) -> dict[str, Any]:
    memory = await world.make("memories")
    return {"team_id": memory["team_id"], "memory_id": memory["id"], "tag": f"sample-{next(NUMBERS)}"}


async def new_memory_link(world: World) -> dict[str, Any]:
    memory = await world.make("memories")
    other = await world.make("memories", team_id=memory["team_id"])
    return {"team_id": memory["team_id"], "from_id": memory["id"], "to_id": other["id"], "kind": "related_to"}


async def new_memory_access(world: World) -> dict[str, Any]:
    await world.database.execute("SELECT update_memory_access($1)", [await world.id_of("memories")])
    return {}


async def new_memory_log(world: World) -> dict[str, Any]:
    await world.make("memories")
    return {}


SAMPLES = {
    "activity_feed": Sample(new_activity, {"is_public": True}),
    "agent_executions": Sample(new_execution, {"status": "running", "cost_usd": "0.100000000"}),
    "agents": Sample(new_agent, {"name": "another"}),
    "audit_logs": Sample(new_audit_log, {}),
    "blocks": Sample(new_block, {"reason": "another", "expires_at": "2030-01-01T00:00:00Z"}),
    "conversation_messages": Sample(new_conversation_message, {"feedback_rating": "positive", "token_count": 8}),
    "conversations": Sample(new_conversation, {"status": "closed", "metadata": {"a": 1}}),
    "evidence": Sample(new_evidence, {"computed_score": "0.500", "scoring_method": "sampled"}),
    "evidence_links": Sample(new_evidence_link, {"kind": "contradicting"}),
    "execution_totals": Sample(new_execution_totals, {}),
    "guild_bans": Sample(new_guild_ban, {"reason": "another"}),
    "guild_members": Sample(new_guild_member, {"nickname": "another"}),
    "guilds": Sample(new_guild, {"name": "another", "description": "sample"}),
    "member_roles": Sample(new_member_role, {}),
    "memories": Sample(new_memory, {"content": "another", "importance": 9, "status": "archived"}),
    "memory_accesses": Sample(new_memory_access, {}),
    "memory_links": Sample(new_memory_link, {}),
    "memory_log": Sample(new_memory_log, {}),
    "memory_tags": Sample(new_memory_tag, {}),
    "message_attachments": Sample(new_message_attachment, {"filename": "another.txt", "content_type": "text/plain"}),
    "message_read_receipts": Sample(new_read_receipt, {}),
    "projects": Sample(new_project, {"status": "paused", "pr_merge_rate": "0.5000"}),
    "friendships": Sample(new_friendship, {"status": "blocked"}),
    "room_members": Sample(new_room_member, {"role": "admin"}),
    "roles": Sample(new_role, {"name": "another", "permissions": 7}),
    "sessions": Sample(new_session, {}),
    "team_memberships": Sample(new_team_membership, {"role": "admin"}),
    "teams": Sample(new_team, {"name": "Blue", "webhook_secret": WEBHOOK_SECRET}),
    "users": Sample(new_user, {"role": "admin", "password": PASSWORD, "mfa_secret": MFA_SECRET}),
    "rooms": Sample(new_room, {"description": "another", "is_private": True, "key": ROOM_KEY}),
    "task_attachments": Sample(new_task_attachment, {"file_name": "another.txt"}),
    "task_comments": Sample(new_task_comment, {"body": "another"}),
    "tasks": Sample(new_task, {"status": "closed", "labels": ["another"]}),
}
