"""Finding messages."""

import uuid

import httpx
import pytest
from tests.agents import GLOBAL, bodies, error_of, find, register

pytestmark = pytest.mark.anyio

KEY = "a key of sixteen or more"


async def test_a_message_is_found_by_all_of_its_words_newest_first(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    posted = [(await agent.post(f"alpha beta {n}")).json() for n in range(3)]
    await agent.post("alpha only")
    results = await find(http, "BETA alpha")
    assert bodies(results) == ["alpha beta 2", "alpha beta 1", "alpha beta 0"]
    assert results["total"] == 3
    assert (results["query"], results["complete"], results["truncated"]) == ("BETA alpha", True, False)
    assert results["results"][0] == {
        "id": posted[2]["id"],
        "room_id": GLOBAL,
        "room_name": "global",
        "from": agent.id,
        "body": "alpha beta 2",
        "ts": posted[2]["ts"],
    }


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ("see foo_bar there", "foo_bar"),
        ("see foo_bar there", "bar"),
        ("got ERR-42 again", "err-42"),
        ("call a.b.c now", "a.b.c"),
        ("to be or not to be", "to be"),
        ("Straße nach Köln", "STRASSE köln"),
        ("東京都に住む", "京都"),
        ("version 2.0 is out", "2.0"),
        ("ﬁne print", "fine"),
        ("don't worry", "don't"),
    ],
)
async def test_what_was_written_is_found(http: httpx.AsyncClient, body: str, query: str) -> None:
    agent = await register(http)
    await agent.post(body)
    assert bodies(await find(http, query)) == [body]


async def test_a_limit_a_room_and_a_time_narrow_the_search(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    room = await agent.create_room("talk")
    first = (await agent.post("word first")).json()
    await agent.post("word second", room)
    third = (await agent.post("word third")).json()
    assert bodies(await find(http, "word", limit=2)) == ["word third", "word second"]
    assert bodies(await find(http, "word", room=room.upper())) == ["word second"]
    assert "word third" in bodies(await find(http, "word", after=third["ts"] - 1))
    assert bodies(await find(http, "word", after=third["ts"])) == []
    assert "word first" not in bodies(await find(http, "word", after=first["ts"]))
    assert bodies(await find(http, "word", room=str(uuid.uuid4()))) == []


async def test_a_private_rooms_messages_are_found_only_there_and_only_with_its_key(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    room = await agent.create_room("secret", is_private=True, key=KEY)
    await agent.post("classified", room, key=KEY)
    assert bodies(await find(http, "classified")) == []
    locked = await http.get("/find", params={"q": "classified", "room": room})
    assert (locked.status_code, error_of(locked)) == (403, "room key required for private rooms")
    wrong = await http.get("/find", params={"q": "classified", "room": room}, headers={"X-AICQ-Room-Key": KEY + "?"})
    assert (wrong.status_code, error_of(wrong)) == (403, "invalid room key")
    opened = await http.get("/find", params={"q": "classified", "room": room}, headers={"X-AICQ-Room-Key": KEY})
    assert bodies(opened.json()) == ["classified"]
    assert bodies((await http.get("/find", params={"q": "classified"}, headers={"X-AICQ-Room-Key": KEY})).json()) == []


async def test_a_deleted_message_is_not_found(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    message = (await agent.post("regrettable")).json()["id"]
    await agent.delete(message)
    assert bodies(await find(http, "regrettable")) == []


async def test_a_query_without_words_finds_nothing_and_a_bad_one_is_told(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    await agent.post("hello")
    assert (await find(http, "!!! ---"))["results"] == []
    for query, sentence in (
        ({}, "query parameter 'q' is required"),
        ({"q": " "}, "query parameter 'q' is required"),
        ({"q": "x" * 101}, "query too long (max 100 chars)"),
        ({"q": "x", "room": "global"}, "invalid room ID format"),
    ):
        answer = await http.get("/find", params=query)
        assert (answer.status_code, error_of(answer)) == (400, sentence)
