"""What the tables of rooms and guilds refuse, and what goes, stays or points at nothing when something is deleted."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.messaging.conftest import Connection
from tests.servers import Databases

pytestmark = pytest.mark.anyio

# The owner has a guild with a channel, where the author has written. The keeper made the channel, banned somebody,
# brought the file and has read it all; the holder has a role.
FILL = """
INSERT INTO agents (name) VALUES ('owner'), ('author'), ('keeper'), ('holder'), ('banned');
CREATE TEMPORARY VIEW who AS SELECT id, name FROM agents;
INSERT INTO guilds (name, owner_id) SELECT 'guild', id FROM who WHERE name = 'owner';
INSERT INTO guild_members (guild_id, actor_id) SELECT g.id, w.id FROM guilds g, who w
    WHERE w.name IN ('author', 'keeper', 'holder');
INSERT INTO guild_bans (guild_id, actor_id, banned_by) SELECT g.id, w.id, k.id FROM guilds g, who w, who k
    WHERE w.name = 'banned' AND k.name = 'keeper';
INSERT INTO roles (guild_id, name, position) SELECT id, 'role', 1 FROM guilds;
INSERT INTO member_roles (guild_id, actor_id, role_id) SELECT r.guild_id, w.id, r.id FROM roles r, who w
    WHERE r.position = 1 AND w.name = 'holder';
INSERT INTO rooms (name, kind, is_private, guild_id, created_by, last_seq, message_count)
    SELECT 'channel', 'text', true, g.id, w.id, 1, 1 FROM guilds g, who w WHERE w.name = 'keeper';
INSERT INTO messages (room_id, seq, id, author_id, body, created_at, updated_at)
    SELECT r.id, 1, gen_random_uuid(), w.id, 'body', now(), now() FROM rooms r, who w
    WHERE r.kind = 'text' AND w.name = 'author';
INSERT INTO room_members (room_id, actor_id, last_read_message_id) SELECT m.room_id, w.id, m.id FROM messages m, who w
    WHERE w.name IN ('keeper', 'holder');
INSERT INTO message_read_receipts (room_id, message_id, actor_id) SELECT m.room_id, m.id, w.id FROM messages m, who w
    WHERE w.name IN ('keeper', 'holder');
INSERT INTO message_attachments (room_id, message_id, uploader_id, filename, size_bytes, storage_key)
    SELECT m.room_id, m.id, w.id, 'file', 1, 'key' FROM messages m, who w WHERE w.name = 'keeper';
"""

ROWS = {
    "guilds": 1,
    "guild_members": 4,
    "guild_bans": 1,
    "roles": 2,
    "member_roles": 1,
    "messages": 1,
    "room_members": 2,
    "message_read_receipts": 2,
    "message_attachments": 1,
}


@pytest.fixture(scope="module")
async def url(databases: Databases) -> AsyncIterator[str]:
    """One database for all tests, each of which takes back what it did."""
    name = await databases.make()
    yield databases.url(name)
    await databases.drop(name)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url)
    test = connection.transaction()
    await test.start()
    await connection.execute(FILL)
    yield connection
    await test.rollback()
    await connection.close()


async def lost(database: Connection) -> dict[str, int]:
    """How many rows of each table are gone."""
    left = {table: await database.fetchval(f"SELECT count(*) FROM {table}") for table in ROWS}
    return {table: count - left[table] for table, count in ROWS.items() if count != left[table]}


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE guilds SET name = ''", "ck_guilds_name"),
        ("UPDATE guilds SET name = ' a'", "ck_guilds_name"),
        ("UPDATE guilds SET name = repeat('x', 101)", "ck_guilds_name"),
        ("UPDATE guild_members SET nickname = ''", "ck_guild_members_nickname"),
        ("UPDATE roles SET name = 'a '", "ck_roles_name"),
        ("UPDATE roles SET permissions = 256", "ck_roles_permissions"),
        ("UPDATE roles SET position = -1 WHERE position = 1", "ck_roles_position"),
        ("UPDATE roles SET position = 0", "uq_roles_guild_id_position"),
        ("INSERT INTO guild_members SELECT * FROM guild_members", "pk_guild_members"),
        ("INSERT INTO guild_bans SELECT * FROM guild_bans", "pk_guild_bans"),
        ("INSERT INTO member_roles SELECT * FROM member_roles", "pk_member_roles"),
        ("INSERT INTO room_members SELECT * FROM room_members", "pk_room_members"),
        ("INSERT INTO message_read_receipts SELECT * FROM message_read_receipts", "pk_message_read_receipts"),
        ("UPDATE message_attachments SET filename = ''", "ck_message_attachments_filename"),
        ("UPDATE message_attachments SET size_bytes = -1", "ck_message_attachments_size_bytes"),
        ("UPDATE rooms SET kind = 'group_dm', guild_id = NULL, members_only = true", "ck_rooms_only_channels"),
        ("UPDATE rooms SET name = NULL WHERE kind = 'text'", "ck_rooms_only_dms_are_nameless"),
        ("UPDATE messages SET target_id = id", "ck_messages_only_changes_have_a_target"),
        ("UPDATE room_members SET last_read_message_id = gen_random_uuid()", "fk_room_members_last_read_messages"),
        ("DELETE FROM guilds", "fk_rooms_guild_id_guilds"),
        ("DELETE FROM rooms", "fk_messages_room_id_rooms"),
        ("DELETE FROM actors WHERE id IN (SELECT author_id FROM messages)", "fk_messages_author_id_actors"),
        ("DELETE FROM actors WHERE id IN (SELECT owner_id FROM guilds)", "fk_guilds_owner_id_actors"),
        ("DELETE FROM agents WHERE name = 'owner'", "fk_guilds_owner_id_actors"),
    ],
)
async def test_what_cannot_be_is_refused(database: Connection, statement: str, constraint: str) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        async with database.transaction():
            await database.execute(statement)
    assert str(refused.value.constraint_name).startswith(constraint)
    assert await lost(database) == {}


@pytest.mark.parametrize(
    ("statement", "gone"),
    [
        ("DELETE FROM roles WHERE position = 1", {"roles": 1, "member_roles": 1}),
        (
            "DELETE FROM guild_members WHERE actor_id IN (SELECT id FROM who WHERE name = 'holder')",
            {"guild_members": 1, "member_roles": 1},
        ),
        ("DELETE FROM messages", {"messages": 1, "message_read_receipts": 2, "message_attachments": 1}),
        (
            "DELETE FROM messages; DELETE FROM rooms",
            {"messages": 1, "message_read_receipts": 2, "message_attachments": 1, "room_members": 2},
        ),
        ("DELETE FROM messages; DELETE FROM rooms; DELETE FROM guilds", ROWS),
        ("DELETE FROM actors WHERE id IN (SELECT id FROM who WHERE name = 'banned')", {"guild_bans": 1}),
        (
            "DELETE FROM actors WHERE id IN (SELECT id FROM who WHERE name = 'keeper')",
            {"guild_members": 1, "room_members": 1, "message_read_receipts": 1},
        ),
        # Profiles go, anchors stay: whoever wrote, banned, brought or read is still known by theirs.
        ("DELETE FROM agents WHERE name = 'author'", {"guild_members": 1}),
        ("DELETE FROM agents WHERE name = 'keeper'", {"guild_members": 1, "room_members": 1}),
        ("DELETE FROM agents WHERE name = 'holder'", {"guild_members": 1, "member_roles": 1, "room_members": 1}),
        ("DELETE FROM agents WHERE name = 'banned'", {}),
    ],
)
async def test_what_belongs_to_something_goes_with_it_and_nothing_else_does(
    database: Connection, statement: str, gone: dict[str, int]
) -> None:
    await database.execute(statement)
    assert await lost(database) == gone


POINTERS = """
SELECT (SELECT created_by IS NULL FROM rooms WHERE kind = 'text') AS creator,
    (SELECT banned_by IS NULL FROM guild_bans) AS banner,
    (SELECT uploader_id IS NULL FROM message_attachments) AS uploader
"""


async def test_without_its_anchor_an_actor_is_nobody(database: Connection) -> None:
    assert set(await database.fetchrow(POINTERS) or ()) == {False}
    await database.execute("DELETE FROM agents WHERE name = 'keeper'")
    assert set(await database.fetchrow(POINTERS) or ()) == {False}
    await database.execute("DELETE FROM actors WHERE id = (SELECT created_by FROM rooms WHERE kind = 'text')")
    assert set(await database.fetchrow(POINTERS) or ()) == {True}


async def test_of_a_deleted_message_a_reader_forgets_that_alone(database: Connection) -> None:
    await database.execute("DELETE FROM messages")
    places = await database.fetch("SELECT room_id, last_read_message_id FROM room_members")
    assert {(row["room_id"] is None, row["last_read_message_id"]) for row in places} == {(False, None)}


@pytest.mark.parametrize(
    ("role", "public", "private"),
    [("owner", 11, 11), ("admin", 11, 11), ("member", 3, 3), ("viewer", 3, 1), (None, 3, 0)],
)
async def test_a_room_allows_what_the_role_in_it_says_and_nothing_to_who_is_not_active(
    database: Connection, role: str | None, public: int, private: int
) -> None:
    room = await database.fetchval("INSERT INTO rooms (name) VALUES ('plain') RETURNING id")
    actor = await database.fetchval("SELECT id FROM who WHERE name = 'holder'")
    if role is not None:
        await database.execute(
            "INSERT INTO room_members (room_id, actor_id, role) VALUES ($1, $2, $3)", room, actor, role
        )
    may = "SELECT room_permissions($1, $2)"
    assert await database.fetchval(may, room, actor) == public
    await database.execute("UPDATE rooms SET is_private = true WHERE id = $1", room)
    assert await database.fetchval(may, room, actor) == private
    await database.execute("UPDATE agents SET status = 'paused' WHERE id = $1", actor)
    assert await database.fetchval(may, room, actor) == 0
