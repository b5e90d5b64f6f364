"""Messages as admins see them: every entry of every room; and deleting what anybody wrote."""

import asyncio
import re
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from litestar import Litestar

from aicq.auth.admin import AdminAccess
from aicq.clock import from_ms, now_ms
from aicq.messaging.logbook import LAST_ID, page_statement
from tests.admin.conftest import TOKEN
from tests.admin.test_all import assert_told
from tests.agents import GLOBAL, Agent, bodies, error_of, find, read, register

pytestmark = pytest.mark.anyio

KEY = "a key of sixteen or more"
LIST = "/admin/messages"
ONE = "/admin/messages/{room_id}/{entry_id}"
NOTHING = "01M80XSHB500000001C7YKEA0Y"


async def page(admin: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await admin.get(LIST, params=query)
    assert answer.status_code == 200, answer.text
    assert_told(answer, LIST)
    assert answer.headers["cache-control"] == "no-store"
    told: dict[str, Any] = answer.json()
    return told


async def items(admin: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """All that the pages of a query hold."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        told = await page(admin, **query, **cursor)
        found += told["items"]
        if told["next"] is None:
            return found
        cursor = {"cursor": told["next"]}


async def texts(admin: httpx.AsyncClient, **query: Any) -> list[str]:
    return [item["body"] for item in await items(admin, **query)]


async def said(agent: Agent, body: str, room: str = GLOBAL, **more: Any) -> str:
    answer = await agent.post(body, room, **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_what_is_said_in_any_room_is_listed_the_newest_first(
    admin: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    ada, bob = await register(http), await register(http)
    private = await ada.create_room("secret", is_private=True, key=KEY)
    first = await said(ada, "in public")
    await said(bob, "answered", pid=first)
    await said(bob, "in private", private, key=KEY)
    await ada.direct(bob.id, "between us")
    told = await items(admin)
    assert [item["body"] for item in told] == ["between us", "in private", "answered", "in public"]
    assert [item["room_name"] for item in told] == [None, "secret", "global", "global"]
    assert [item["author_id"] for item in told] == [ada.id, bob.id, bob.id, ada.id]
    assert told[2] == {
        "id": told[2]["id"],
        "room_id": GLOBAL,
        "room_name": "global",
        "seq": 2,
        "entry": "message",
        "target_id": None,
        "author_id": bob.id,
        "body": "answered",
        "type": "text",
        "parent_id": first,
        "created_at": told[2]["created_at"],
        "edited_at": None,
        "deleted_at": None,
    }
    answer = await admin.get(f"{LIST}/{GLOBAL}/{first}")
    assert_told(answer, ONE)
    assert answer.json() == told[3]


async def test_pages_follow_each_other_without_gap_or_repetition_while_more_is_said(
    admin: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    ada = await register(http)
    rooms = [GLOBAL, await ada.create_room("talk"), await ada.create_room("more")]
    for number in range(25):
        await said(ada, f"message {number}", rooms[number % 3])
    found: list[str] = []
    told = await page(admin, limit=4)
    while True:
        found += bodies({"messages": told["items"]})
        await said(ada, "said meanwhile")
        if told["next"] is None:
            break
        told = await page(admin, limit=4, cursor=told["next"])
    assert found == [f"message {number}" for number in reversed(range(25))]
    assert await texts(admin, limit=5, room=rooms[1]) == [f"message {n}" for n in reversed(range(1, 25, 3))]


async def test_the_list_is_narrowed_by_room_author_and_time(admin: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    ada, bob = await register(http), await register(http)
    room = await ada.create_room("talk")
    early = await said(ada, "early")
    begun = from_ms(now_ms())  # `early` is of an earlier millisecond
    await said(bob, "late")
    await said(ada, "elsewhere", room)
    assert await texts(admin, room=room.upper()) == ["elsewhere"]
    assert await texts(admin, author=ada.id) == ["elsewhere", "early"]
    assert await texts(admin, author=ada.id, room=GLOBAL, limit=1) == ["early"]
    assert await texts(admin, since=begun.isoformat()) == ["elsewhere", "late"]
    assert await texts(admin, until=begun.isoformat()) == ["early"]
    assert await texts(admin, since=begun.isoformat(), until=begun.isoformat()) == []
    exactly = (await items(admin, author=ada.id, room=GLOBAL))[0]["created_at"]
    assert (await items(admin, since=exactly, until=begun.isoformat()))[0]["id"] == early
    assert await texts(admin, until=exactly) == []
    assert await items(admin, room=str(UUID(int=7))) == []


async def test_a_text_is_looked_for_in_every_room_in_any_case(
    admin: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    ada = await register(http)
    private = await ada.create_room("secret", is_private=True, key=KEY)
    await said(ada, "Buy CHEAP pills")
    await said(ada, "cheaper by the dozen", private, key=KEY)
    await said(ada, "100% sure_thing")
    assert await texts(admin, q="cheap") == ["cheaper by the dozen", "Buy CHEAP pills"]
    assert await texts(admin, q="cheap", room=private) == ["cheaper by the dozen"]
    assert [await texts(admin, q=text) for text in ("0% s", "e_t", "%", "____")] == [["100% sure_thing"]] * 3 + [[]]


async def test_of_many_entries_a_page_looks_at_some_and_says_where_to_go_on(
    admin: httpx.AsyncClient, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicq.messaging.logbook.LOOKED_AT", 5)
    ada = await register(http)
    for number in range(23):
        await said(ada, "needle" if number in {1, 2, 11} else "hay")
    first = await page(admin, q="needle", limit=1)
    assert (first["items"], first["next"] is not None) == ([], True)
    found = await items(admin, q="needle", limit=1)
    assert [item["seq"] for item in found] == [12, 3, 2]


async def test_edits_and_deletes_are_shown_as_such_and_what_was_deleted_is_read_by_nobody(
    admin: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    ada = await register(http)
    kept, gone = await said(ada, "first"), await said(ada, "secret thing")
    for message, body in ((kept, "mended"), (gone, "secret still")):
        edited = await ada.send("PATCH", f"/v1/rooms/{GLOBAL}/messages/{message}", {"body": body})
        assert edited.status_code == 200, edited.text
    assert (await ada.delete(gone)).status_code == 204
    deleted, edit_gone, edit_kept, was, stays = await items(admin)
    assert [each["entry"] for each in (deleted, edit_gone, edit_kept, was, stays)] == [
        "delete",
        "edit",
        "edit",
        "message",
        "message",
    ]
    assert [each["target_id"] for each in (deleted, edit_gone, edit_kept)] == [gone, gone, kept]
    assert [each["body"] for each in (deleted, edit_gone, edit_kept, was, stays)] == [
        None,
        None,
        "mended",
        None,
        "mended",
    ]
    assert [bool(each["deleted_at"]) for each in (edit_gone, edit_kept, was, stays)] == [True, False, True, False]
    assert (stays["edited_at"] is not None, stays["deleted_at"]) == (True, None)
    assert await texts(admin, q="secret") == []
    assert "secret" not in (await admin.get(f"{LIST}/{GLOBAL}/{gone}")).text


async def test_an_admin_deletes_what_anybody_wrote_and_the_log_says_who_it_was(
    admin: httpx.AsyncClient,
    http: httpx.AsyncClient,
    another_worker: httpx.AsyncClient,
    database: asyncpg.Connection,
) -> None:
    ada = await register(http)
    private = await ada.create_room("secret", is_private=True, key=KEY)
    public, hidden = await said(ada, "offensive words"), await said(ada, "in private", private, key=KEY)
    for room, message in ((GLOBAL, public), (private, hidden)):
        answer = await admin.delete(f"{LIST}/{room}/{message.lower()}")
        assert answer.status_code == 204, answer.text
    assert bodies(await read(http)) == bodies(await read(another_worker)) == []
    assert bodies(await read(http, private, key=KEY)) == []
    assert (await find(http, "offensive"))["results"] == []
    user = await database.fetchrow("SELECT id, role FROM users WHERE username = 'admin-token'")
    assert user is not None
    assert user["role"] == "service"
    deletes = [item for item in await items(admin) if item["entry"] == "delete"]
    assert [(item["author_id"], item["target_id"]) for item in deletes] == [
        (str(user["id"]), hidden),
        (str(user["id"]), public),
    ]
    told = await database.fetch("SELECT * FROM audit_logs WHERE action = 'messages.delete' ORDER BY seq")
    assert [row["resource_id"] for row in told] == [f"{GLOBAL}/{public}", f"{private}/{hidden}"]
    assert {(row["acted_as"], row["actor_id"], str(row["ip_address"])) for row in told} == {
        ("admin", None, "127.0.0.1")
    }
    for room, message in ((GLOBAL, public), (GLOBAL, NOTHING), (private, public), (str(UUID(int=7)), public)):
        assert (await admin.delete(f"{LIST}/{room}/{message}")).status_code == 404
    assert await database.fetchval("SELECT count(*) FROM audit_logs WHERE action = 'messages.delete'") == 2


async def test_an_admin_who_is_a_user_deletes_in_their_own_name(
    app: Litestar,
    admin: httpx.AsyncClient,
    http: httpx.AsyncClient,
    database: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    insert = "INSERT INTO users (username, email, role) VALUES ('eve', 'eve@example.org', 'admin') RETURNING id"
    eve = await database.fetchval(insert)

    class People:
        async def admin_of(self, token: str) -> UUID | None:
            return eve if token == "of eve" else None

    monkeypatch.setitem(app.state, "admin_access", AdminAccess(TOKEN, People()))
    message = await said(await register(http), "words")
    answer = await admin.delete(f"{LIST}/{GLOBAL}/{message}", headers={"Authorization": "Bearer of eve"})
    assert answer.status_code == 204
    assert (await items(admin))[0]["author_id"] == str(eve)
    told = await database.fetchrow("SELECT acted_as, actor_id FROM audit_logs WHERE action = 'messages.delete'")
    assert told is not None
    assert tuple(told) == ("admin", eve)
    assert await database.fetchval("SELECT count(*) FROM users") == 1


async def test_a_direct_message_is_deleted_for_both(admin: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    ada, bob = await register(http), await register(http)
    await ada.direct(bob.id, "between us")
    (message,) = await items(admin)
    assert (await admin.delete(f"{LIST}/{message['room_id']}/{message['id']}")).status_code == 204
    assert await bob.inbox() == []


async def test_nobody_else_can_be_taken_for_the_holder_of_the_admin_token(
    admin: httpx.AsyncClient, http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    insert = "INSERT INTO users (username, email, role) VALUES ('Admin-Token', 'eve@example.org', 'user')"
    await database.execute(insert)
    message = await said(await register(http), "words")
    refused = await admin.delete(f"{LIST}/{GLOBAL}/{message}")
    assert (refused.status_code, error_of(refused)) == (
        409,
        "somebody has the name admin-token, which is the admin token's",
    )
    assert bodies(await read(http)) == ["words"]


async def test_many_deletes_at_once_delete_once(
    admin: httpx.AsyncClient, http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    ada = await register(http)
    message = await said(ada, "words")
    answers = await asyncio.gather(*(admin.delete(f"{LIST}/{GLOBAL}/{message}") for _ in range(6)), ada.delete(message))
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 6
    assert await database.fetchval("SELECT count(*) FROM messages WHERE entry = 'delete'") == 1
    assert await database.fetchval("SELECT count(*) FROM users") <= 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "WyJ4Il0"}, "cursor"),
        ({"room": "global"}, None),
        ({"author": "ada"}, None),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-11-22T10:00:00"}, "until"),
        ({"until": "9999-99-99T10:00:00Z"}, "until"),
        ({"q": "x" * 201}, "q"),
        ({"q": "\x00"}, "q"),
        ({"rooms": GLOBAL}, "rooms"),
    ],
)
async def test_what_cannot_be_asked_is_told_with_its_field(
    admin: httpx.AsyncClient, query: dict[str, str], field: str | None
) -> None:
    answer = await admin.get(LIST, params=query)
    assert answer.status_code == 400
    assert_told(answer, LIST)
    assert answer.json().get("field") == field
    assert error_of(answer)


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59+14:00", "2020-01-01T00:00:00+00:00"])
async def test_any_time_may_be_asked_for(admin: httpx.AsyncClient, http: httpx.AsyncClient, since: str) -> None:
    await said(await register(http), "words")
    assert await texts(admin, since=since, until="9999-12-31T23:59:59Z") == ["words"]
    assert (await admin.get(f"{LIST}?since={since}")).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{LIST}/{GLOBAL}/{NOTHING}", 404),
        (f"{LIST}/{UUID(int=7)}/{NOTHING}", 404),
        (f"{LIST}/global/{NOTHING}", 400),
        (f"{LIST}/{GLOBAL}/x", 400),
    ],
)
async def test_an_entry_that_is_not_there_is_not_found(admin: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await admin.get(path)
    assert answer.status_code == status
    assert_told(answer, ONE)


async def test_each_page_walks_an_index(database: asyncpg.Connection) -> None:
    await database.execute("INSERT INTO rooms (name) SELECT 'room' FROM generate_series(1, 20)")
    await database.execute("INSERT INTO agents (name) SELECT 'agent' FROM generate_series(1, 20)")
    await database.execute("""
        INSERT INTO messages (room_id, seq, id, author_id, body, created_at, updated_at)
        SELECT r.id, n, (lpad(to_hex(1700000000000 + n), 12, '0') || lpad(to_hex(n), 10, '0')
            || lpad(to_hex(r.k), 10, '0'))::uuid, a.id, 'words', now(), now()
        FROM generate_series(1, 1000) n, (SELECT id, row_number() OVER () AS k FROM rooms) r
        JOIN (SELECT id, row_number() OVER () AS k FROM agents) a USING (k)
    """)
    await database.execute("VACUUM ANALYZE messages, rooms, agents")
    await database.execute("SET plan_cache_mode = force_generic_plan")
    for where, index in (
        ([], "ix_messages_id"),
        (["m.room_id = $3"], "uq_messages_room_id_id"),
        (["m.author_id = $3"], "ix_messages_author_id_id"),
    ):
        statement = page_statement(where)
        kinds = ", ".join(["uuid"] * (2 + len(where)) + ["text", "bigint", "bigint"])
        await database.execute(f"PREPARE page ({kinds}) AS {statement}")
        values = ", ".join([f"'{LAST_ID}'", f"'{UUID(int=0)}'", *[f"'{GLOBAL}'"] * len(where), "''", "51", "51"])
        plan = "\n".join(row[0] for row in await database.fetch(f"EXPLAIN EXECUTE page ({values})"))
        assert re.search(rf"CTE looked\n +->  Limit .*\n +->  Index Scan Backward using {index} ", plan), plan
        await database.execute("DEALLOCATE page")
