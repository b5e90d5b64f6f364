"""Posting, reading and deleting messages."""

import asyncio
import base64
import uuid
from typing import Any

import asyncpg
import httpx
import pytest
from tests.agents import GLOBAL, Agent, bodies, error_of, read, register
from ulid import ULID

from aicq.auth.signatures import message_text
from aicq.messaging.verification import Verdict, read_keys, verify

pytestmark = pytest.mark.anyio


async def test_a_posted_message_is_read_back_as_it_was_sent(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    posted = (await agent.post('hé "llo" \n <b>& 漢字 🙂')).json()
    page = await read(http)
    assert page["room"] == {"id": GLOBAL, "name": "global"}
    assert page["has_more"] is False
    assert page["messages"] == [
        {"id": posted["id"], "seq": 1, "from": agent.id, "body": 'hé "llo" \n <b>& 漢字 🙂', "ts": posted["ts"]}
    ]


async def test_an_id_tells_time_and_position(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    for seq in (1, 2, 3):
        posted = (await agent.post("hi")).json()
        value = int(ULID.from_str(posted["id"]))
        assert value >> 80 == posted["ts"]
        assert value >> 40 & (1 << 40) - 1 == seq


async def test_many_posts_at_once_get_gapless_positions_in_the_order_of_their_ids(http: httpx.AsyncClient) -> None:
    agents = [await register(http) for _ in range(5)]
    answers = await asyncio.gather(*(agent.post(f"{n}") for n in range(20) for agent in agents))
    assert {answer.status_code for answer in answers} == {201}
    page = await read(http, limit=200)
    assert [message["seq"] for message in page["messages"]] == list(range(100, 0, -1))
    ids = [message["id"] for message in page["messages"]]
    assert ids == sorted(ids, reverse=True)
    assert set(ids) == {answer.json()["id"] for answer in answers}
    times = [message["ts"] for message in page["messages"]]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        ({}, 400, "body is required"),
        ({"body": ""}, 400, "body is required"),
        ({"body": "x" * 4097}, 422, "body too long (max 4096 bytes)"),
        ('{"body":"%s"}' % ("é" * 2049), 422, "body too long (max 4096 bytes)"),
        ({"body": "a\x00b"}, 422, "body must not contain U+0000"),
        ({"body": "hi", "pid": "01M80XSHB500000001C7YKEA0Y"}, 422, "parent message not found in this room"),
        ({"body": "hi", "pid": "nonsense"}, 422, "parent message not found in this room"),
        ({"body": "hi", "sig": "AAAA"}, 422, "invalid message signature"),
        (b'{"body":"\\ud800"}', 400, "invalid JSON body"),
        (b'{"body":"\xff"}', 400, "invalid JSON body"),
        (b"[]", 400, "invalid JSON body"),
        (b'{"body":', 400, "invalid JSON body"),
    ],
)
async def test_a_message_that_cannot_be_stored_is_told_why_and_takes_no_position(
    http: httpx.AsyncClient, content: Any, status: int, sentence: str
) -> None:
    agent = await register(http)
    answer = await agent.send("POST", f"/room/{GLOBAL}", content)
    assert (answer.status_code, error_of(answer)) == (status, sentence)
    assert (await agent.post("x" * 4096)).status_code == 201
    assert [message["seq"] for message in (await read(http))["messages"]] == [1]


async def test_what_is_optional_may_be_null(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    assert (await agent.post("hi", pid=None, sig=None)).status_code == 201
    assert await agent.create_room("room", is_private=False, key=None)


async def test_a_request_over_8_kib_is_too_large_however_it_is_sent(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    body = b'{"body":"hi","more":"' + b"x" * 8200 + b'"}'
    whole = await agent.send("POST", f"/room/{GLOBAL}", body)

    async def chunks() -> Any:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    chunked = await http.post(
        f"/room/{GLOBAL}", content=chunks(), headers=agent.headers(body) | {"Content-Type": "application/json"}
    )
    for answer in (whole, chunked):
        assert (answer.status_code, error_of(answer)) == (413, "request body too large")


async def test_a_reply_names_its_parent_in_any_case_and_only_in_its_own_room(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    parent = (await agent.post("question")).json()["id"]
    assert (await agent.post("answer", pid=parent.lower())).status_code == 201
    assert (await read(http))["messages"][0]["pid"] == parent
    other = await agent.create_room("other")
    astray = await agent.post("answer", other, pid=parent)
    assert (astray.status_code, error_of(astray)) == (422, "parent message not found in this room")


async def test_an_authors_signature_is_checked_stored_and_returned(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    parent = (await agent.post("question")).json()["id"]
    text = message_text(uuid.UUID(GLOBAL), parent, "I said this")
    sig = base64.b64encode(agent.key.sign(text).signature).decode()
    assert (await agent.post("I said this", pid=parent, sig=sig)).status_code == 201
    assert (await read(http))["messages"][0]["sig"] == sig
    elsewhere = await agent.create_room("elsewhere")
    for answer in (
        await agent.post("I said that", pid=parent, sig=sig),
        await agent.post("I said this", sig=sig),
        await agent.post("I said this", elsewhere, sig=sig),
    ):
        assert (answer.status_code, error_of(answer)) == (422, "invalid message signature")


async def test_a_page_and_a_profile_prove_offline_who_wrote_what(http: httpx.AsyncClient) -> None:
    ada, bob = await register(http), await register(http)
    parent = (await bob.post("question")).json()["id"]
    sig = base64.b64encode(ada.key.sign(message_text(uuid.UUID(GLOBAL), parent, "answer")).signature).decode()
    await ada.post("answer", pid=parent.lower(), sig=sig)
    page = (await http.get(f"/room/{GLOBAL}")).content
    keys = read_keys([(await http.get(f"/who/{ada.id}")).content])
    found = [finding.verdict for finding in verify(page, keys, room_id=None, key=None)]
    assert found == [Verdict.HOLDS, Verdict.UNSIGNED]
    forged = page.replace(b'"body":"answer"', b'"body":"another"')
    assert verify(forged, keys, room_id=None, key=None)[0].verdict is Verdict.FAILS


async def filled(http: httpx.AsyncClient, count: int) -> tuple[Agent, list[str]]:
    """Posts so many messages and returns their ids, newest first."""
    agent = await register(http)
    ids = [(await agent.post(f"{n}")).json()["id"] for n in range(count)]
    return agent, ids[::-1]


async def test_going_back_by_id_reads_every_message_once(http: httpx.AsyncClient) -> None:
    _, ids = await filled(http, 23)
    seen: list[str] = []
    query: dict[str, Any] = {}
    while True:
        page = await read(http, limit=5, **query)
        seen += [message["id"] for message in page["messages"]]
        if not page["has_more"]:
            break
        query = {"before": seen[-1].lower()}
    assert seen == ids


async def test_following_by_id_reads_every_message_once(http: httpx.AsyncClient) -> None:
    _, ids = await filled(http, 23)
    seen = [ids[-1]]
    while True:
        page = await read(http, limit=5, after=seen[-1])
        seen += [message["id"] for message in page["messages"]][::-1]
        if not page["has_more"]:
            break
    assert seen == ids[::-1]
    assert (await read(http, after=ids[0]))["messages"] == []


async def test_going_back_by_time_skips_no_message_of_a_shared_millisecond(http: httpx.AsyncClient) -> None:
    agents = [await register(http) for _ in range(4)]
    await asyncio.gather(*(agent.post("hi") for _ in range(25) for agent in agents))
    times = [message["ts"] for message in (await read(http, limit=200))["messages"]]
    assert len(times) == 100
    assert len(set(times)) < 100, "no two messages shared a millisecond, so nothing was tested"
    seen: list[int] = []
    query: dict[str, Any] = {}
    while True:
        page = await read(http, limit=7, **query)
        seen += [message["seq"] for message in page["messages"]]
        assert len(page["messages"]) >= 7 or not page["has_more"]
        if not page["has_more"]:
            break
        query = {"before": page["messages"][-1]["ts"]}
    assert seen == list(range(100, 0, -1))


async def test_a_page_holds_50_messages_unless_told_and_never_more_than_200(http: httpx.AsyncClient) -> None:
    agents = [await register(http) for _ in range(11)]
    await asyncio.gather(*(agent.post("hi") for _ in range(20) for agent in agents))
    newest = (await read(http))["messages"][0]["id"]
    for limit, size in (("", 50), ("nonsense", 50), ("0", 50), ("3", 3), ("500", 200)):
        page = await read(http, limit=limit, before=f"{newest[:10]}ZZZZZZZZZZZZZZZZ")
        assert (len(page["messages"]), page["has_more"]) == (size, True)


async def test_a_bound_that_is_neither_id_nor_time_is_refused(http: httpx.AsyncClient) -> None:
    for query in ({"before": "yesterday"}, {"after": "1769900000000"}, {"before": "8" + "Z" * 25}):
        answer = await http.get(f"/room/{GLOBAL}", params=query)
        assert answer.status_code == 400, query
    assert (await http.get(f"/room/{GLOBAL}", params={"before": "yesterday"})).json()["field"] == "before"


async def test_a_deleted_message_is_gone_from_pages_and_its_position_stays_empty(http: httpx.AsyncClient) -> None:
    agent, ids = await filled(http, 5)
    answer = await agent.delete(ids[2].lower())
    assert (answer.status_code, answer.content) == (204, b"")
    assert [message["seq"] for message in (await read(http))["messages"]] == [5, 4, 2, 1]
    assert [message["seq"] for message in (await read(http, after=ids[3]))["messages"]] == [5, 4]
    posted = await agent.post("next")
    assert (await read(http))["messages"][0]["seq"] == 7
    assert posted.status_code == 201


async def test_a_page_looks_past_any_number_of_deleted_messages(http: httpx.AsyncClient) -> None:
    agents = [await register(http) for _ in range(4)]
    first = [(await agents[0].post(f"{n}")).json()["id"] for n in range(3)]
    doomed = await asyncio.gather(*(agent.post("doomed") for agent in agents for _ in range(20)))
    owners = [agent for agent in agents for _ in range(20)]
    await asyncio.gather(*(a.delete(m.json()["id"]) for a, m in zip(owners, doomed, strict=True)))
    page = await read(http, limit=2)
    assert ([message["id"] for message in page["messages"]], page["has_more"]) == (first[:0:-1], True)


async def test_only_its_author_may_delete_a_message_and_only_once(http: httpx.AsyncClient) -> None:
    author, other = await register(http), await register(http)
    message = (await author.post("mine")).json()["id"]
    denied = await other.delete(message)
    assert (denied.status_code, error_of(denied)) == (403, "can only delete your own messages")
    answers = await asyncio.gather(author.delete(message), author.delete(message))
    assert sorted(answer.status_code for answer in answers) == [204, 404]
    for missing in ("01M80XSHB500000001C7YKEA0Y", "nonsense"):
        answer = await author.delete(missing)
        assert (answer.status_code, error_of(answer)) == (404, "message not found")
    answer = await author.delete(message, room=str(uuid.uuid4()))
    assert (answer.status_code, error_of(answer)) == (404, "room not found")


async def test_a_message_older_than_the_hot_window_is_read_from_the_log(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    agent = await register(http)
    room = await agent.create_room("old")
    for seq in (1, 2, 3):
        message_id = ULID.from_str(f"01M7Y0000{seq}{'0' * 7}{seq}{'0' * 8}").to_uuid()
        await database.execute(
            "INSERT INTO messages (room_id, seq, id, author_id, body, created_at, updated_at)"
            " VALUES ($1, $2, $3, $4, $5, now() - interval '26 hours', now())",
            uuid.UUID(room),
            seq,
            message_id,
            uuid.UUID(agent.id),
            f"old {seq}",
        )
    await database.execute("UPDATE rooms SET last_seq = 3, message_count = 3 WHERE id = $1", uuid.UUID(room))
    await agent.post("new", room)
    assert bodies(await read(http, room)) == ["new", "old 3", "old 2", "old 1"]
    page = await read(http, room, limit=2)
    assert (bodies(page), page["has_more"]) == (["new", "old 3"], True)
    page = await read(http, room, limit=2, before=page["messages"][-1]["id"])
    assert (bodies(page), page["has_more"]) == (["old 2", "old 1"], False)
    page = await read(http, room, limit=2, after=page["messages"][-1]["id"])
    assert (bodies(page), page["has_more"]) == (["old 3", "old 2"], True)
    page = await read(http, room, limit=2, after=page["messages"][0]["id"])
    assert (bodies(page), page["has_more"]) == (["new"], False)
