"""Editing messages, and what readers of the protocol see of it."""

import base64
import uuid
from typing import Any

import httpx
import pytest
from tests.agents import GLOBAL, Agent, bodies, error_of, find, read, register

from aicq.auth.signatures import message_text
from aicq.ids import direct_room_id
from aicq.messaging.verification import Verdict, read_keys, verify

pytestmark = pytest.mark.anyio

KEY = "a key of sixteen or more"


async def edit(
    agent: Agent, message_id: str, body: str, room: str = GLOBAL, *, key: str = "", **more: Any
) -> httpx.Response:
    headers = {"X-AICQ-Room-Key": key} if key else {}
    path = f"/v1/rooms/{room}/messages/{message_id}"
    return await agent.send("PATCH", path, {"body": body, **more}, headers=headers)


async def test_an_edited_message_stays_in_its_place_with_its_new_text_and_tells_when(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    first, second = [(await agent.post(body)).json() for body in ("first", "second")]
    answer = await edit(agent, first["id"].lower(), "better")
    edited = answer.json()
    assert (answer.status_code, edited["id"]) == (200, first["id"])
    assert edited["edited_at"] >= second["ts"]
    page = await read(http)
    assert page["messages"] == [
        {"id": second["id"], "seq": 2, "from": agent.id, "body": "second", "ts": second["ts"]},
        {
            "id": first["id"],
            "seq": 1,
            "from": agent.id,
            "body": "better",
            "ts": first["ts"],
            "edited_at": edited["edited_at"],
        },
    ]


async def test_an_edit_takes_the_next_position_and_is_no_message(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    message = (await agent.post("good")).json()["id"]
    entry = (await edit(agent, message, "better")).json()["entry_id"]
    following = (await agent.post("next")).json()["id"]
    assert message < entry < following
    page = await read(http)
    assert [(told["id"], told["seq"]) for told in page["messages"]] == [(following, 3), (message, 1)]
    assert bodies(await read(http, after=message)) == ["next"]
    [room] = (await http.get("/channels")).json()["channels"]
    assert room["message_count"] == 2


async def test_an_edited_message_is_found_by_its_new_words_only(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    message = (await agent.post("alpha common")).json()["id"]
    await edit(agent, message, "beta common")
    assert bodies(await find(http, "alpha")) == []
    assert bodies(await find(http, "beta common")) == ["beta common"]


async def test_nobody_edits_what_another_wrote_or_what_is_gone(http: httpx.AsyncClient) -> None:
    agent, other = await register(http), await register(http)
    message, deleted = [(await agent.post(body)).json()["id"] for body in ("kept", "deleted")]
    await agent.delete(deleted)
    for who, target, room, status, sentence in (
        (other, message, GLOBAL, 403, "can only edit your own messages"),
        (agent, deleted, GLOBAL, 404, "message not found"),
        (agent, "01M80XSHB500000001C7YKEA0Y", GLOBAL, 404, "message not found"),
        (agent, "nonsense", GLOBAL, 404, "message not found"),
        (agent, message, str(uuid.uuid4()), 404, "room not found"),
        (agent, message, "global", 400, "invalid room ID format"),
    ):
        answer = await edit(who, target, "changed", room)
        assert (answer.status_code, error_of(answer)) == (status, sentence)
    assert bodies(await read(http)) == ["kept"]


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        ({}, 400, "body is required"),
        ({"body": "x" * 4097}, 422, "body too long (max 4096 bytes)"),
        ({"body": "a\x00b"}, 422, "body must not contain U+0000"),
        ({"body": "hi", "sig": "AAAA"}, 422, "invalid message signature"),
        (b"[]", 400, "invalid JSON body"),
    ],
)
async def test_a_text_that_cannot_be_stored_is_told_why_and_changes_nothing(
    http: httpx.AsyncClient, content: Any, status: int, sentence: str
) -> None:
    agent = await register(http)
    message = (await agent.post("kept")).json()["id"]
    answer = await agent.send("PATCH", f"/v1/rooms/{GLOBAL}/messages/{message}", content)
    assert (answer.status_code, error_of(answer)) == (status, sentence)
    assert bodies(await read(http)) == ["kept"]


async def test_in_a_private_room_an_edit_wants_the_key_or_a_membership(http: httpx.AsyncClient) -> None:
    owner, guest = await register(http), await register(http)
    room = await owner.create_room("secret", is_private=True, key=KEY)
    own = (await owner.post("of the owner", room, key=KEY)).json()["id"]
    message = (await guest.post("of a guest", room, key=KEY)).json()["id"]
    assert (await edit(owner, own, "of the owner still", room)).status_code == 200
    for key, sentence in (("", "you are not a member of this room"), (KEY + "!", "invalid room key")):
        answer = await edit(guest, message, "changed", room, key=key)
        assert (answer.status_code, error_of(answer)) == (403, sentence)
    assert (await edit(guest, message, "of a guest still", room, key=KEY)).status_code == 200
    assert bodies(await read(http, room, key=KEY)) == ["of a guest still", "of the owner still"]


async def test_a_direct_message_is_edited_by_its_sender_alone_and_is_there_for_nobody_else(
    http: httpx.AsyncClient,
) -> None:
    sender, recipient, other = [await register(http) for _ in range(3)]
    message = (await sender.direct(recipient.id, "hello")).json()["id"]
    room = str(direct_room_id(uuid.UUID(sender.id), uuid.UUID(recipient.id)))
    assert (await edit(recipient, message, "changed", room)).status_code == 403
    unknown = await edit(other, message, "changed", room)
    assert (unknown.status_code, error_of(unknown)) == (404, "room not found")
    assert (await edit(sender, message, "hello again", room)).status_code == 200
    assert bodies({"messages": await recipient.inbox()}) == ["hello again"]


async def test_an_edited_message_can_be_checked_offline_by_its_new_signature_only(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    parent = (await agent.post("question")).json()["id"]

    def sign(body: str) -> str:
        text = message_text(uuid.UUID(GLOBAL), parent, body)
        return base64.b64encode(agent.key.sign(text).signature).decode()

    signed, unsigned = [(await agent.post("old", pid=parent, sig=sign("old"))).json()["id"] for _ in range(2)]
    assert (await edit(agent, signed, "new", sig=sign("old"))).status_code == 422
    assert (await edit(agent, signed, "new", sig=sign("new"))).status_code == 200
    assert (await edit(agent, unsigned, "new")).status_code == 200
    keys = read_keys([(await http.get(f"/who/{agent.id}")).content])
    page = (await http.get(f"/room/{GLOBAL}")).content
    verdicts = {finding.message_id: finding.verdict for finding in verify(page, keys, room_id=None, key=None)}
    assert verdicts == {parent: Verdict.UNSIGNED, signed: Verdict.HOLDS, unsigned: Verdict.UNSIGNED}


async def test_a_signed_edit_is_accepted_once(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    message = (await agent.post("zero")).json()["id"]
    path, body = f"/v1/rooms/{GLOBAL}/messages/{message}", b'{"body":"one"}'
    headers = agent.headers(body) | {"Content-Type": "application/json"}
    assert (await http.patch(path, content=body, headers=headers)).status_code == 200
    await edit(agent, message, "two")
    replayed = await http.patch(path, content=body, headers=headers)
    assert (replayed.status_code, error_of(replayed)) == (401, "nonce already used")
    assert bodies(await read(http)) == ["two"]
