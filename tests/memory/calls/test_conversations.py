"""Conversations through `/v1`: what is said and counted, who reaches it, how it ends."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx

from tests.memory.calls.conftest import House
from tests.people import sign_up
from tests.work.calls.conftest import Caller, ask, refusal


def turn(content: str = "hi", **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


async def say(caller: Caller, path: str, *turns: dict[str, Any]) -> list[dict[str, Any]]:
    said = await ask(caller, "POST", f"{path}/messages", {"messages": list(turns)}, status=201)
    return list(said["messages"])


async def test_what_is_said_is_counted_and_told_in_order(house: House) -> None:
    begun = await house.begin(title="Tea", agent_id=house.scout.id, user_id=house.ada.id, metadata={"a": 1})
    path = f"/v1/conversations/{begun['id']}"
    calls = [{"name": "kettle", "arguments": {"degrees": 90}}]
    said = await say(
        house.scout,
        path,
        turn("tea?", token_count=3),
        {"role": "assistant", "content": "yes", "tool_calls": calls, "token_count": 5, "model": "m"},
    )
    said += await say(house.ada, path, turn("thanks"))
    assert [each["content"] for each in said] == ["tea?", "yes", "thanks"]
    assert said[1]["tool_calls"] == calls
    shown = await ask(house.ada, "GET", path)
    counted = (shown["message_count"], shown["total_input_tokens"], shown["total_output_tokens"])
    assert (counted, shown["last_message_at"]) == ((3, 3, 5), said[2]["created_at"])
    assert (await ask(house.ada, "GET", f"{path}/messages"))["items"] == said
    feedback = {"rating": "positive", "comment": "good tea"}
    await ask(house.ada, "PUT", f"{path}/messages/{said[1]['id']}/feedback", feedback, status=204)
    rated = (await ask(house.ada, "GET", f"{path}/messages"))["items"][1]
    assert (rated["feedback_rating"], rated["feedback_comment"]) == ("positive", "good tea")


async def test_a_conversation_that_is_over_takes_no_more(house: House) -> None:
    path = f"/v1/conversations/{(await house.begin())['id']}"
    await say(house.scout, path, turn())
    ended = await ask(house.ada, "PATCH", path, {"status": "closed", "summary": "they met"})
    assert (ended["status"], ended["summary"], ended["message_count"]) == ("closed", "they met", 1)
    refused = await refusal(house.scout, "POST", f"{path}/messages", {"messages": [turn()]})
    assert refused[:2] == (409, "the conversation is closed")
    await ask(house.ada, "PATCH", path, {"status": "active"})
    await say(house.scout, path, turn())
    kept = await house.keep(source_conversation_id=path.rpartition("/")[2])
    await ask(house.scout, "DELETE", path, status=204)
    assert (await refusal(house.scout, "GET", f"{path}/messages"))[0] == 404
    assert (await ask(house.scout, "GET", f"/v1/memories/{kept['id']}"))["source_conversation_id"] is None


async def test_conversations_are_listed_by_who_takes_part(house: House) -> None:
    plain = await house.begin()
    with_agent = await house.begin(agent_id=house.scout.id)
    with_ada = await house.begin(user_id=house.ada.id)
    await ask(house.ada, "PATCH", f"/v1/conversations/{plain['id']}", {"status": "idle"})
    for query, expected in (
        (f"agent={house.scout.id}", [with_agent]),
        (f"user={house.ada.id}", [with_ada]),
        ("status=active", [with_ada, with_agent]),
    ):
        page = await ask(house.ada, "GET", f"/v1/conversations?team={house.team}&{query}")
        assert [each["id"] for each in page["items"]] == [each["id"] for each in expected], query
    first = await ask(house.ada, "GET", f"/v1/conversations?team={house.team}&limit=2")
    rest = await ask(house.ada, "GET", f"/v1/conversations?team={house.team}&limit=2&cursor={first['next']}")
    ids = [each["id"] for each in first["items"] + rest["items"]]
    assert (ids, rest["next"]) == ([with_ada["id"], with_agent["id"], plain["id"]], None)


async def test_turns_are_read_without_skipping_any_while_others_talk(house: House) -> None:
    path = f"/v1/conversations/{(await house.begin())['id']}"
    await say(house.scout, path, turn("first"))
    said = asyncio.gather(*(say(house.scout, path, turn(f"{n} a"), turn(f"{n} b")) for n in range(10)))
    seen: list[str] = []
    cursor, is_last = "", False
    while not is_last:
        # Whoever has seen all that there is goes on only once nobody talks any more.
        is_over = said.done()
        page = await ask(house.ada, "GET", f"{path}/messages?limit=3{cursor}")
        is_last = is_over and page["next"] is None
        if page["next"] or is_last:
            seen += [each["id"] for each in page["items"]]
            cursor = f"&cursor={page['next']}"
    everything = (await ask(house.ada, "GET", f"{path}/messages"))["items"]
    assert len(everything) == 21
    assert seen == [each["id"] for each in everything]
    assert all(len(turns) == 2 for turns in await said)


async def test_for_others_there_is_no_conversation_and_viewers_only_read(house: House, http: httpx.AsyncClient) -> None:
    path = f"/v1/conversations/{(await house.begin(user_id=house.eve.id))['id']}"
    [said] = await say(house.scout, path, turn())
    reading = [("GET", call, None) for call in (path, f"{path}/messages", f"/v1/conversations?team={house.team}")]
    changing = [
        ("POST", "/v1/conversations", {"team_id": house.team}),
        ("PATCH", path, {"status": "closed"}),
        ("POST", f"{path}/messages", {"messages": [turn()]}),
        ("PUT", f"{path}/messages/{said['id']}/feedback", {"rating": "negative"}),
        ("DELETE", path, None),
    ]
    viewer = await sign_up(http, "vic")
    await ask(house.ada, "PUT", f"/v1/teams/{house.team}/members/{viewer.id}", {"role": "viewer"}, status=204)
    for method, call, content in reading + changing:
        assert (await refusal(house.eve, method, call, content))[0] == 404, (method, call)
    for method, call, content in reading:
        await ask(viewer, method, call, content)
    for method, call, content in changing:
        assert (await refusal(viewer, method, call, content))[0] == 403, (method, call)


async def test_what_cannot_be_said_is_refused_by_field(house: House) -> None:
    path = f"/v1/conversations/{(await house.begin())['id']}"
    [said] = await say(house.scout, path, turn())
    other = f"/v1/conversations/{(await house.begin())['id']}"
    wrong: list[tuple[str, str, Any, int, str]] = [
        ("POST", "/v1/conversations", {"team_id": house.team, "title": ""}, 422, "title"),
        ("POST", "/v1/conversations", {"team_id": house.team, "agent_id": str(uuid4())}, 422, "agent_id"),
        ("POST", "/v1/conversations", {"team_id": str(uuid4())}, 404, "team_id"),
        ("POST", f"{path}/messages", {"messages": []}, 422, "messages"),
        ("POST", f"{path}/messages", {"messages": [turn(role="bard")]}, 422, "messages[0].role"),
        ("POST", f"{path}/messages", {"messages": [turn(), turn("\x00")]}, 422, "content"),
        ("POST", f"{path}/messages", {"messages": [turn(token_count=-1)]}, 422, "messages[0].token_count"),
        ("PATCH", path, {"status": "gone"}, 422, "status"),
        ("PATCH", path, {"message_count": 7}, 422, "message_count"),
        ("GET", f"{path}/messages?cursor=WyJ4IiwieSJd", None, 400, "cursor"),
        ("PUT", f"{path}/messages/{said['id']}/feedback", {"rating": "fine"}, 422, "rating"),
        ("PUT", f"{other}/messages/{said['id']}/feedback", {"rating": None}, 404, ""),
        ("GET", "/v1/conversations/x", None, 400, ""),
        ("GET", f"/v1/conversations?team={house.team}&status=gone", None, 400, "status"),
    ]
    for method, call, content, status, field in wrong:
        refused = await refusal(house.scout, method, call, content)
        assert refused[::2] == (status, field), (call, content, refused)
    assert len((await ask(house.ada, "GET", f"{path}/messages"))["items"]) == 1
