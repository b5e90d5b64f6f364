"""The repositories of messaging: which indexes their queries use among many rows, and how many statements they take."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from aicq.db.engine import connect_pool
from aicq.messaging.logbook import page_statement
from aicq.messaging.models import (
    Guild,
    GuildBan,
    GuildMember,
    MemberRole,
    Message,
    MessageAttachment,
    MessageReadReceipt,
    Role,
    Room,
    RoomMember,
)
from aicq.messaging.repositories.guilds import GuildMemberRepository, GuildRepository
from aicq.messaging.repositories.members import RoomMemberRepository
from aicq.messaging.repositories.messages import AttachmentRepository, ReceiptRepository
from aicq.messaging.repositories.roles import RoleRepository
from aicq.messaging.repositories.room_views import RoomViewRepository
from aicq.messaging.repositories.rooms import INBOX, RoomRepository
from aicq.messaging.retention import DELETED_ROOMS
from tests.db.observed import ROWS, Observed, indexes_that_are_no_keys, observed
from tests.servers import Databases

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)

FIRST = UUID(int=1)
"""Actor 1 owns guild 1, has role 1 and is in its channel 1; room 1 is a plain one."""

CHANNEL = UUID(int=ROWS + 1)

FILL = f"""
DELETE FROM rooms;
INSERT INTO agents (id, name) SELECT to_uuid(n), 'agent' || n FROM generate_series(1, {ROWS}) n;
INSERT INTO guilds (id, name, owner_id) SELECT to_uuid(n), 'Guild', to_uuid(n) FROM generate_series(1, {ROWS}) n;
INSERT INTO roles (id, guild_id, name, position) SELECT to_uuid(n), to_uuid(n), 'role', 1
    FROM generate_series(1, {ROWS}) n;
INSERT INTO member_roles (guild_id, actor_id, role_id) SELECT to_uuid(n), to_uuid(n), to_uuid(n)
    FROM generate_series(1, {ROWS}) n;
INSERT INTO guild_members (guild_id, actor_id) SELECT to_uuid(1), to_uuid(n) FROM generate_series(2, {ROWS}) n;
INSERT INTO roles (id, guild_id, name, position) VALUES (to_uuid({ROWS} + 1), to_uuid(1), 'everybody has it', 2);
INSERT INTO member_roles (guild_id, actor_id, role_id) SELECT to_uuid(1), to_uuid(n), to_uuid({ROWS} + 1)
    FROM generate_series(2, {ROWS}) n;
INSERT INTO guild_bans (guild_id, actor_id, banned_by) SELECT to_uuid(n % {ROWS} + 1), to_uuid(n), to_uuid(n)
    FROM generate_series(1, {ROWS}) n;
INSERT INTO rooms (id, name, created_by, is_private, deleted_at, last_active_at, last_seq)
    SELECT to_uuid(n), 'room' || n, to_uuid(n), n % 2 = 0, CASE WHEN n % 100 = 0 THEN now() END,
        now() - n * interval '1 minute', 1
    FROM generate_series(1, {ROWS}) n;
INSERT INTO rooms (id, name, kind, is_private, guild_id, members_only)
    SELECT to_uuid({ROWS} + n), 'channel', 'text', true, to_uuid(n), n % 2 = 0 FROM generate_series(1, {ROWS}) n;
INSERT INTO messages (room_id, seq, id, author_id, body, created_at, updated_at)
    SELECT to_uuid(n), 1, to_uuid(n), to_uuid(n), 'body', now(), now() FROM generate_series(1, {ROWS}) n;
INSERT INTO room_members (room_id, actor_id, last_read_message_id)
    SELECT to_uuid(n), to_uuid(n), to_uuid(n) FROM generate_series(1, {ROWS}) n;
INSERT INTO message_read_receipts (room_id, message_id, actor_id)
    SELECT to_uuid(n), to_uuid(n), to_uuid(n) FROM generate_series(1, {ROWS}) n;
INSERT INTO message_attachments (room_id, message_id, uploader_id, filename, size_bytes, storage_key)
    SELECT to_uuid(n), to_uuid(n), to_uuid(n), 'file', 1, 'key' FROM generate_series(1, {ROWS}) n
"""

TO_UUID = """
CREATE FUNCTION pg_temp.to_uuid(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
$$ SELECT lpad(to_hex(n), 32, '0')::uuid $$
"""

Call = Callable[[Observed], Awaitable[Any]]

LAST = UUID(int=(1 << 128) - 1)


def driver(statement: str, **given: Any) -> Call:
    """A statement that goes to the driver, with its numbered arguments named."""
    for number, name in enumerate(given, 1):
        statement = statement.replace(f"${number}", f":{name}")
    return lambda at: at.run(statement, **given)


def foreign_key(statement: str) -> Call:
    """What a foreign key does by itself when an actor, or a message, is deleted."""
    return lambda at: at.run(statement, id=FIRST)


QUERIES: dict[str, Call] = {
    "ix_guilds_owner_id": foreign_key("SELECT 1 FROM guilds WHERE owner_id = :id FOR KEY SHARE"),
    "ix_guild_members_actor_id": lambda at: GuildRepository(at.session).list_of_actor(FIRST, limit=10),
    "ix_guild_bans_actor_id": foreign_key("DELETE FROM guild_bans WHERE actor_id = :id"),
    "ix_guild_bans_banned_by": foreign_key("UPDATE guild_bans SET banned_by = NULL WHERE banned_by = :id"),
    "ix_member_roles_guild_id_role_id": lambda at: RoleRepository(at.session).list_holders(FIRST, FIRST),
    "ix_rooms_public_last_active": lambda at: RoomRepository(at.session).list_public(limit=10, offset=0),
    "ix_rooms_name": lambda at: RoomRepository(at.session).list_named("room7"),
    "ix_rooms_created_by": foreign_key("UPDATE rooms SET created_by = NULL WHERE created_by = :id"),
    "ix_rooms_guild_id": lambda at: RoomViewRepository(at.session).list_of_guild(FIRST, FIRST),
    "ix_rooms_deleted_at": driver(DELETED_ROOMS, before=NOW, most=10),
    "ix_messages_id": driver(page_statement([]), below=LAST, since=UUID(int=0), words="", most=11, limit=11),
    "ix_messages_author_id_id": foreign_key("SELECT 1 FROM messages WHERE author_id = :id FOR KEY SHARE"),
    "ix_room_members_actor_id": lambda at: RoomViewRepository(at.session).list_of_actor(FIRST, limit=10),
    "ix_room_members_last_read": foreign_key(
        "UPDATE room_members SET last_read_message_id = NULL WHERE room_id = :id AND last_read_message_id = :id"
    ),
    "ix_message_read_receipts_actor_id": lambda at: RoomViewRepository(at.session).find(FIRST, FIRST),
    "ix_message_attachments_room_id_message_id": lambda at: AttachmentRepository(at.session).list_of_message(
        FIRST, FIRST, FIRST
    ),
    "ix_message_attachments_uploader_id": foreign_key(
        "UPDATE message_attachments SET uploader_id = NULL WHERE uploader_id = :id"
    ),
}


@pytest.fixture(scope="module")
async def filled(databases: Databases) -> AsyncIterator[str]:
    """A database with 20,000 rows in each table."""
    name = await databases.make()
    await run_script(databases.url(name), f"{FILL}; ANALYZE")
    yield databases.url(name)
    await databases.drop(name)


async def run_script(database_url: str, script: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(TO_UUID)
        await connection.execute(script.replace("to_uuid(", "pg_temp.to_uuid("))
    finally:
        await connection.close()


def test_every_index_has_its_query() -> None:
    models = Guild, GuildBan, GuildMember, MemberRole, Message, MessageAttachment, MessageReadReceipt
    assert set(QUERIES) == indexes_that_are_no_keys(*models, Role, Room, RoomMember)


@pytest.mark.parametrize("index", QUERIES)
async def test_a_query_uses_its_index_among_many_rows(filled: str, index: str) -> None:
    async with observed(filled) as watched:
        assert index in await watched.indexes(QUERIES[index](watched))


async def test_the_inbox_is_found_by_its_owner_among_many_rows(filled: str) -> None:
    pool = await connect_pool(filled, name="test", size=1)
    plan = await pool.fetch(f"EXPLAIN {INBOX}", FIRST, "nonce", NOW - timedelta(days=7), FIRST)
    await pool.close()
    assert "ix_room_members_actor_id" in str(plan)


LISTS: dict[str, Call] = {
    "guilds of an actor": lambda at: GuildRepository(at.session).list_of_actor(FIRST),
    "members": lambda at: GuildMemberRepository(at.session).list_of_guild(FIRST),
    "bans": lambda at: GuildMemberRepository(at.session).list_bans(FIRST),
    "roles": lambda at: RoleRepository(at.session).list_of_guild(FIRST),
    "roles of a member": lambda at: RoleRepository(at.session).list_of_member(FIRST, FIRST),
    "holders of a role": lambda at: RoleRepository(at.session).list_holders(FIRST, FIRST),
    "channels": lambda at: RoomViewRepository(at.session).list_of_guild(FIRST, FIRST),
    "rooms of an actor": lambda at: RoomViewRepository(at.session).list_of_actor(FIRST, kinds=["room"]),
    "direct messages": lambda at: RoomViewRepository(at.session).list_of_actor(FIRST, kinds=["dm", "group_dm"]),
    "rooms of a name": lambda at: RoomRepository(at.session).list_named("room"),
    "room members": lambda at: RoomMemberRepository(at.session).list_visible(FIRST, FIRST),
    "readers": lambda at: ReceiptRepository(at.session).list_readers(FIRST, FIRST, FIRST),
    "attachments": lambda at: AttachmentRepository(at.session).list_of_message(FIRST, FIRST, FIRST),
}

MORE = f"""
INSERT INTO agents (id, name) SELECT to_uuid(n), 'agent' || n FROM generate_series({{first}}, {{last}}) n;
INSERT INTO guilds (id, name, owner_id) SELECT to_uuid(n), 'Guild', to_uuid(1)
    FROM generate_series({{first}}, {{last}}) n;
INSERT INTO guild_members (guild_id, actor_id) SELECT to_uuid(1), to_uuid(n)
    FROM generate_series({{first}}, {{last}}) n ON CONFLICT DO NOTHING;
INSERT INTO guild_bans (guild_id, actor_id) SELECT to_uuid(1), to_uuid(n) FROM generate_series({{first}}, {{last}}) n;
INSERT INTO roles (id, guild_id, name, position) SELECT to_uuid(n), to_uuid(1), 'role', n
    FROM generate_series({{first}}, {{last}}) n;
INSERT INTO member_roles (guild_id, actor_id, role_id)
    SELECT to_uuid(1), to_uuid(1), to_uuid(n) FROM generate_series({{first}}, {{last}}) n
    UNION SELECT to_uuid(1), to_uuid(n), to_uuid(1) FROM generate_series({{first}}, {{last}}) n;
INSERT INTO rooms (id, name) SELECT to_uuid(n), 'room' FROM generate_series({{first}}, {{last}}) n;
INSERT INTO rooms (id, kind, is_private) SELECT to_uuid(100 + n), 'dm', true
    FROM generate_series({{first}}, {{last}}) n;
INSERT INTO rooms (id, name, kind, is_private, guild_id)
    SELECT to_uuid({ROWS} + n), 'channel', 'text', true, to_uuid(1) FROM generate_series({{first}}, {{last}}) n;
INSERT INTO room_members (room_id, actor_id)
    SELECT to_uuid(n), to_uuid(1) FROM generate_series({{first}}, {{last}}) n
    UNION SELECT to_uuid(100 + n), to_uuid(1) FROM generate_series({{first}}, {{last}}) n
    UNION SELECT to_uuid(1), to_uuid(n) FROM generate_series({{first}}, {{last}}) n;
INSERT INTO messages (room_id, seq, id, author_id, body, created_at, updated_at)
    SELECT to_uuid(1), n, to_uuid(n), to_uuid(n), 'body', now(), now() FROM generate_series({{first}}, {{last}}) n;
INSERT INTO message_read_receipts (room_id, message_id, actor_id)
    SELECT to_uuid(1), to_uuid(1), to_uuid(n) FROM generate_series({{first}}, {{last}}) n;
INSERT INTO message_attachments (room_id, message_id, filename, size_bytes, storage_key)
    SELECT to_uuid(1), to_uuid(1), 'file', 1, 'key' FROM generate_series({{first}}, {{last}}) n;
"""

OF_MANY: dict[str, Call] = {
    "roles of members": lambda at: RoleRepository(at.session).list_of_members(FIRST, members(30)),
    "members of rooms": lambda at: RoomMemberRepository(at.session).list_of_rooms(members(30), most=3),
}


def members(number: int) -> list[UUID]:
    return [UUID(int=n) for n in range(1, number + 1)]


async def test_a_list_of_thirty_takes_one_statement_like_a_list_of_one(databases: Databases) -> None:
    name = await databases.make()
    database_url = databases.url(name)
    await run_script(database_url, "DELETE FROM rooms")
    for first, last in ((1, 1), (2, 30)):
        await run_script(database_url, MORE.format(first=first, last=last))
        async with observed(database_url) as watched:
            counts = {what: await watched.count(call(watched)) for what, call in (LISTS | OF_MANY).items()}
            assert counts == dict.fromkeys(LISTS | OF_MANY, 1)
            # @everyone stands beside the roles that were made.
            rows = {what: len(await call(watched)) - what.startswith("roles") for what, call in LISTS.items()}
            assert rows == dict.fromkeys(LISTS, last)
    await databases.drop(name)


async def test_what_is_asked_of_many_is_answered_for_each(databases: Databases) -> None:
    name = await databases.make()
    await run_script(databases.url(name), "DELETE FROM rooms")
    await run_script(databases.url(name), MORE.format(first=1, last=5))
    async with observed(databases.url(name)) as watched:
        roles = await RoleRepository(watched.session).list_of_members(FIRST, members(6))
        rooms = await RoomMemberRepository(watched.session).list_of_rooms(members(6), most=3)
    await databases.drop(name)
    assert roles[FIRST] == members(5)
    assert {len(of_member) for actor_id, of_member in roles.items() if actor_id != FIRST} == {0, 1}
    assert rooms == {FIRST: members(3)} | {UUID(int=n): [FIRST] for n in range(2, 6)} | {UUID(int=6): []}


async def test_a_list_goes_on_after_where_it_ended(filled: str) -> None:
    async with observed(filled) as watched:
        views = RoomViewRepository(watched.session)
        assert [view.id for view in await views.list_of_actor(FIRST, limit=1)] == [FIRST]
        assert await views.list_of_actor(FIRST, after=FIRST) == []
        guilds = GuildRepository(watched.session)
        assert [guild.id for guild in await guilds.list_of_actor(FIRST, limit=1)] == [FIRST]
        assert await guilds.list_of_actor(FIRST, after=FIRST) == []
