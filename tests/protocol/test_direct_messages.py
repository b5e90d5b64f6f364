"""Direct messages."""

import uuid

import asyncpg
import httpx
import pytest
from tests.agents import bodies, error_of, find, register

from aicq.ids import direct_room_id

pytestmark = pytest.mark.anyio

# An id begins with 48 bits of milliseconds.
EIGHT_DAYS_EARLIER = """
UPDATE messages SET created_at = created_at - interval '8 days', id = (
    lpad(to_hex(floor(extract(epoch FROM created_at) * 1000)::bigint - 8 * 86400000::bigint), 12, '0')
    || right(replace(id::text, '-', ''), 20)
)::uuid
"""


async def test_a_direct_message_reaches_its_recipient_and_nobody_else(http: httpx.AsyncClient) -> None:
    ada, bob, eve = [await register(http) for _ in range(3)]
    sent = (await ada.direct(bob.id, "ciphertext")).json()
    assert await bob.inbox() == [{"id": sent["id"], "from": ada.id, "body": "ciphertext", "ts": sent["ts"]}]
    assert await ada.inbox() == []
    assert await eve.inbox() == []


async def test_both_write_into_one_conversation_and_each_inbox_shows_the_others_part(http: httpx.AsyncClient) -> None:
    ada, bob = await register(http), await register(http)
    await ada.direct(bob.id, "one")
    await bob.direct(ada.id.upper(), "two")
    await ada.direct(bob.id, "three")
    assert [message["body"] for message in await bob.inbox()] == ["three", "one"]
    assert [message["body"] for message in await ada.inbox()] == ["two"]


async def test_the_inbox_merges_all_senders_newest_first_and_ends_at_a_hundred(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    senders = [await register(http) for _ in range(3)]
    reader = await register(http)
    sent = [(await sender.direct(reader.id, "x")).json()["id"] for _ in range(40) for sender in senders]
    # Of one millisecond, messages of different senders have no order but that of their ids.
    assert [message["id"] for message in await reader.inbox()] == sorted(sent, reverse=True)[:100]
    await database.execute(EIGHT_DAYS_EARLIER)
    assert await reader.inbox() == []


async def test_an_agent_may_write_to_itself(http: httpx.AsyncClient) -> None:
    ada = await register(http)
    assert (await ada.direct(ada.id, "note")).status_code == 201
    assert [message["body"] for message in await ada.inbox()] == ["note"]


async def test_a_direct_message_is_never_found_by_search_nor_read_as_a_room(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    ada, bob = await register(http), await register(http)
    await ada.direct(bob.id, "plaintext")
    room = str(await database.fetchval("SELECT id FROM rooms WHERE kind = 'dm'"))
    assert bodies(await find(http, "plaintext")) == []
    for answer in (
        await http.get(f"/room/{room}"),
        await http.get(f"/room/{room}", headers={"X-AICQ-Room-Key": "any key of sixteen"}),
        await bob.post("intruding", room),
        await bob.post("intruding", room, key="any key of sixteen"),
    ):
        assert (answer.status_code, error_of(answer)) == (404, "room not found")
    assert bodies(await find(http, "plaintext", room=room)) == []
    assert room not in {listed["id"] for listed in (await http.get("/channels")).json()["channels"]}


@pytest.mark.parametrize(
    ("recipient", "body", "status", "sentence"),
    [
        ("me", "hi", 400, "invalid recipient ID format"),
        ("0a2c1f3e-58d4-4c6b-9d0e-7b1f2a3c4d5e", "hi", 404, "recipient not found"),
        (None, "", 400, "body is required"),
        (None, "x" * 8193, 422, "body too long (max 8192 bytes)"),
        (None, "x" * 17_000, 413, "request body too large"),
    ],
)
async def test_a_direct_message_that_cannot_be_sent_is_told_why(
    http: httpx.AsyncClient, recipient: str | None, body: str, status: int, sentence: str
) -> None:
    ada = await register(http)
    answer = await ada.direct(recipient or ada.id, body)
    assert (answer.status_code, error_of(answer)) == (status, sentence)


async def test_a_direct_message_may_have_8192_bytes(http: httpx.AsyncClient) -> None:
    ada = await register(http)
    assert (await ada.direct(ada.id, "x" * 8192)).status_code == 201
    assert len((await ada.inbox())[0]["body"]) == 8192


async def test_nobody_learns_from_the_rooms_id_who_has_written_to_whom(http: httpx.AsyncClient) -> None:
    ada, bob, eve = [await register(http) for _ in range(3)]
    sent = (await ada.direct(bob.id, "ciphertext")).json()
    there = direct_room_id(uuid.UUID(ada.id), uuid.UUID(bob.id))
    absent = direct_room_id(uuid.UUID(ada.id), uuid.UUID(eve.id))

    async def told(room: uuid.UUID) -> list[tuple[int, str]]:
        key = {"X-AICQ-Room-Key": "any key of sixteen"}
        answers = [
            await http.get(f"/room/{room}"),
            await http.get(f"/room/{room}", headers=key),
            await http.get("/find", params={"q": "ciphertext", "room": str(room)}),
            await eve.post("intruding", str(room)),
            await eve.post("intruding", str(room), key=key["X-AICQ-Room-Key"]),
            await eve.delete(sent["id"], str(room)),
            await ada.delete(sent["id"], str(room)),
        ]
        return [(answer.status_code, answer.json().get("error", "")) for answer in answers]

    assert await told(there) == await told(absent)
    assert len(await bob.inbox()) == 1
