"""Files that belong to messages."""

from typing import Any

import asyncpg
import httpx
import pytest

from tests.agents import GLOBAL, error_of, register
from tests.guilds.founding import MANAGE_MESSAGES, found, post
from tests.people import sign_up

pytestmark = pytest.mark.anyio

Connection = asyncpg.Connection

FILE = {"filename": "plan.pdf", "content_type": "application/pdf", "size_bytes": 1234, "storage_key": "files/plan"}


async def test_an_author_attaches_files_and_readers_see_them(http: httpx.AsyncClient) -> None:
    ada, agent = await sign_up(http), await register(http)
    message = (await post(ada, GLOBAL, "see the plan")).json()["id"]
    path = f"/v1/rooms/{GLOBAL}/messages/{message}/attachments"
    made = await ada.send("POST", path, FILE)
    assert made.status_code == 201
    assert {name: made.json()[name] for name in FILE} == FILE
    assert made.json()["uploader_id"] == ada.id
    second = await ada.send("POST", path, {"filename": "b", "size_bytes": 0, "storage_key": "b"})
    assert second.json()["content_type"] == "application/octet-stream"
    listed = (await agent.send("GET", path)).json()
    assert [file["filename"] for file in listed["items"]] == ["plan.pdf", "b"]
    first = (await agent.send("GET", f"{path}?limit=1")).json()
    rest = (await agent.send("GET", f"{path}?limit=1&cursor={first['next']}")).json()
    assert [file["filename"] for file in first["items"] + rest["items"]] == ["plan.pdf", "b"]


async def test_nobody_attaches_to_what_another_wrote_or_what_is_gone(http: httpx.AsyncClient) -> None:
    ada, agent = await sign_up(http), await register(http)
    message = (await post(ada, GLOBAL, "see")).json()["id"]
    path = f"/v1/rooms/{GLOBAL}/messages/{message}/attachments"
    refused = await agent.send("POST", path, FILE)
    assert refused.status_code == 403
    await ada.send("POST", path, FILE)
    await ada.send("DELETE", f"/v1/rooms/{GLOBAL}/messages/{message}")
    for answer in (await ada.send("POST", path, FILE), await ada.send("GET", path)):
        assert (answer.status_code, error_of(answer)) == (404, "message not found")


async def test_a_file_is_taken_away_by_its_uploader_or_who_manages_messages(http: httpx.AsyncClient) -> None:
    owner, keeper, author, other = [await register(http) for _ in range(4)]
    guild = await found(owner, keeper, author, other)
    await guild.role(MANAGE_MESSAGES, keeper)
    channel = await guild.channel()
    message, unrelated = [(await post(author, channel, body)).json()["id"] for body in ("see", "no")]
    path = f"/v1/rooms/{channel}/messages/{message}/attachments"
    one, two = [(await author.send("POST", path, FILE)).json()["id"] for _ in range(2)]
    wrong = f"/v1/rooms/{channel}/messages/{unrelated}/attachments/{one}"
    for who, where in ((other, f"{path}/{one}"), (author, wrong)):
        answer = await who.send("DELETE", where)
        assert (answer.status_code, error_of(answer)) == (404, "attachment not found")
    assert (await author.send("DELETE", f"{path}/{one}")).status_code == 204
    assert (await keeper.send("DELETE", f"{path}/{two}")).status_code == 204
    assert (await author.send("GET", path)).json()["items"] == []


async def test_who_holds_a_private_rooms_key_attaches_to_their_own_message(http: httpx.AsyncClient) -> None:
    owner, guest = await register(http), await register(http)
    key = {"X-AICQ-Room-Key": "a key of sixteen or more"}
    room = await owner.create_room("secret", is_private=True, key="a key of sixteen or more")
    message = (await guest.post("by key", room, key="a key of sixteen or more")).json()["id"]
    path = f"/v1/rooms/{room}/messages/{message}/attachments"
    assert (await guest.send("POST", path, FILE)).status_code == 403
    assert (await guest.send("POST", path, FILE, headers=key)).status_code == 201
    assert len((await guest.send("GET", path, headers=key)).json()["items"]) == 1
    assert (await guest.send("GET", path)).status_code == 403
    assert len((await owner.send("GET", path)).json()["items"]) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"filename": ""}, "filename"),
        ({"filename": "x" * 256}, "filename"),
        ({"content_type": "nonsense"}, "content_type"),
        ({"size_bytes": -1}, "size_bytes"),
        ({"storage_key": ""}, "storage_key"),
        ({"url": "x"}, "url"),
    ],
)
async def test_a_file_that_is_not_well_formed_is_told_why(
    http: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    agent = await register(http)
    message = (await post(agent, GLOBAL)).json()["id"]
    answer = await agent.send("POST", f"/v1/rooms/{GLOBAL}/messages/{message}/attachments", FILE | change)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_name_with_what_cannot_be_stored_is_refused(http: httpx.AsyncClient, database: Connection) -> None:
    agent = await register(http)
    message = (await post(agent, GLOBAL)).json()["id"]
    for name in ("a\x00b",):
        answer = await agent.send(
            "POST", f"/v1/rooms/{GLOBAL}/messages/{message}/attachments", FILE | {"filename": name}
        )
        assert answer.status_code == 422
    assert await database.fetchval("SELECT count(*) FROM message_attachments") == 0
