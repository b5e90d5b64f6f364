"""Memories through `/v1`: who reaches them, what a change leaves behind, what is refused."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from litestar import Litestar

from aicq.db.plugin import DatabasePlugin
from aicq.memory.plugin import MemoryPlugin
from tests.agents import register
from tests.db.observed import statements_of
from tests.memory.calls.conftest import House, revise
from tests.memory.conftest import Connection, meaning
from tests.people import sign_up
from tests.work.calls.conftest import Caller, ask, refusal

COUNTED = ("access_count", "last_accessed_at")


def told(memory: dict[str, Any]) -> dict[str, Any]:
    """A memory without what reading it changes."""
    return {name: value for name, value in memory.items() if name not in COUNTED}


async def now_of(database: Connection) -> str:
    """Postgres' clock, between two changes."""
    moment: datetime = await database.fetchval("SELECT clock_timestamp()")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def test_what_is_kept_is_shown_whole_to_all_of_the_team(house: House) -> None:
    new: dict[str, Any] = {
        "subject": "Ada",
        "agent_id": house.scout.id,
        "user_id": house.ada.id,
        "embedding": meaning("tea"),
        "importance": 9,
        "tags": ["Tea ", "drink"],
        "metadata": {"a": [1]},
    }
    kept = await house.keep(**new)
    expected = new | {"tags": ["drink", "tea"], "version": 1, "status": "active"}
    assert {name: kept.get(name) for name in expected} == expected | {"embedding": None}
    for member in (house.scout, house.ada):
        answer = await member.send("GET", f"/v1/memories/{kept['id']}")
        assert told(answer.json()) == told(kept)
        assert answer.headers["ETag"] == '"1"'
        listed = await ask(member, "GET", f"/v1/memories?team={house.team}")
        assert [told(each) for each in listed["items"]] == [told(kept)]


async def test_for_others_there_is_nothing_and_viewers_only_read(house: House, http: httpx.AsyncClient) -> None:
    kept, other = await house.keep(), await house.keep("Ada likes milk")
    path, team = f"/v1/memories/{kept['id']}", house.team
    reading = [
        ("GET", path, None),
        ("GET", f"{path}/log", None),
        ("GET", f"{path}/past?at=2026-01-01T00:00:00Z", None),
        ("GET", f"/v1/memories?team={team}", None),
        ("GET", f"/v1/memories/past?team={team}&at=2026-01-01T00:00:00Z", None),
        ("GET", f"/v1/memories/log?team={team}&since=2026-01-01T00:00:00Z", None),
        ("POST", "/v1/memories/recall", {"team_id": team, "query": "tea"}),
    ]
    changing = [
        ("POST", "/v1/memories", {"team_id": team, "memory_type": "semantic", "content": "mine"}),
        ("PUT", f"{path}/successor", {"memory_id": other["id"]}),
        ("PUT", f"{path}/links/contradicts/{other['id']}", None),
        ("DELETE", f"{path}/links/contradicts/{other['id']}", None),
        ("DELETE", path, None),
    ]
    viewer = await sign_up(http, "vic")
    await ask(house.ada, "PUT", f"/v1/teams/{team}/members/{viewer.id}", {"role": "viewer"}, status=204)
    for stranger in (house.eve, await register(http, "spy")):
        for method, call, content in reading + changing:
            assert (await refusal(stranger, method, call, content))[0] == 404, (method, call)
        assert (await revise(stranger, path, {"importance": 1}, tag="*")).status_code == 404
    for method, call, content in reading:
        await ask(viewer, method, call, content)
    for method, call, content in changing:
        assert (await refusal(viewer, method, call, content))[0] == 403, (method, call)
    assert (await revise(viewer, path, {"importance": 1}, tag="*")).status_code == 403
    assert (await http.get(path)).status_code == 401


async def test_who_is_in_two_teams_joins_nothing_across_them(house: House, http: httpx.AsyncClient) -> None:
    blue = (await ask(house.eve, "GET", "/v1/teams"))["items"][0]["id"]
    both = await register(http, "both")
    for owner, team in ((house.ada, house.team), (house.eve, blue)):
        await ask(owner, "PUT", f"/v1/teams/{team}/members/{both.id}", {"role": "member"}, status=204)
    red = await house.keep(by=both)
    foreign = await house.keep("theirs", by=both, team_id=blue)
    path = f"/v1/memories/{red['id']}"
    assert (await refusal(both, "PUT", f"{path}/links/related_to/{foreign['id']}"))[0] == 404
    assert (await refusal(both, "PUT", f"{path}/successor", {"memory_id": foreign["id"]}))[0] == 404
    new = {"team_id": house.team, "memory_type": "semantic", "content": "x", "supersedes": foreign["id"]}
    assert (await refusal(both, "POST", "/v1/memories", new))[0] == 404
    new = {"team_id": blue, "memory_type": "shared", "content": "x", "agent_id": house.scout.id}
    assert await refusal(both, "POST", "/v1/memories", new) == (422, "agent_id points at nothing", "agent_id")


async def test_what_an_agent_keeps_for_itself_nobody_else_reaches(
    house: House, http: httpx.AsyncClient, database: Connection
) -> None:
    peer = await register(http, "peer")
    await database.execute("UPDATE agents SET team_id = $1 WHERE id = $2", house.team, peer.id)
    private: dict[str, Any] = {"memory_type": "agent_private", "agent_id": house.scout.id}
    kept, shared = await house.keep("my secret tea", **private), await house.keep("our tea")
    path, at = f"/v1/memories/{kept['id']}", await now_of(database)
    assert sorted(await house.found("tea")) == ["my secret tea", "our tea"]
    assert sorted(await house.found("tea", as_of=at)) == ["my secret tea", "our tea"]
    assert len((await ask(house.scout, "GET", f"/v1/memories?team={house.team}"))["items"]) == 2
    other: Caller
    for other in (house.ada, peer):
        for method, call, content in (
            ("GET", path, None),
            ("GET", f"{path}/log", None),
            ("GET", f"{path}/past?at={at}", None),
            ("DELETE", path, None),
            ("PUT", f"/v1/memories/{shared['id']}/successor", {"memory_id": kept["id"]}),
            ("PUT", f"/v1/memories/{shared['id']}/links/related_to/{kept['id']}", None),
        ):
            assert (await refusal(other, method, call, content))[0] == 404, (method, call)
        assert await house.found("tea", by=other) == await house.found("tea", by=other, as_of=at) == ["our tea"]
        for call in (f"/v1/memories?team={house.team}", f"/v1/memories/past?team={house.team}&at={at}"):
            assert [each["content"] for each in (await ask(other, "GET", call))["items"]] == ["our tea"]
        new = {"team_id": house.team, "content": "x", **private}
        assert (await refusal(other, "POST", "/v1/memories", new))[::2] == (403, "agent_id")
        asked = {"team_id": house.team, "query": "tea", "agent_id": house.scout.id}
        assert (await refusal(other, "POST", "/v1/memories/recall", asked))[::2] == (403, "agent_id")


async def test_what_cannot_be_is_refused_by_field(house: House) -> None:
    kept = await house.keep()
    new = {"team_id": house.team, "memory_type": "semantic", "content": "hi"}
    question = {"team_id": house.team, "query": "tea"}
    path, past = f"/v1/memories/{kept['id']}", "2026-01-01T00:00:00Z"
    wrong: list[tuple[str, str, Any, int, str]] = [
        *(
            ("POST", "/v1/memories", new | values, 422, field)
            for values, field in (
                ({"embedding": [1.0] * 3}, "embedding"),
                ({"embedding": [0.0] * 1536}, "embedding"),
                ({"content": ""}, "content"),
                ({"content": "a\x00"}, "content"),
                ({"metadata": {"a": "\x00"}}, "metadata"),
                ({"memory_type": "dream"}, "memory_type"),
                ({"memory_type": "agent_private"}, "agent_id"),
                ({"memory_type": "user_profile"}, "user_id"),
                ({"importance": 11}, "importance"),
                ({"tags": [" "]}, "tags"),
                ({"tags": ["x" * 65]}, "tags[0]"),
                ({"expires_at": "2026-01-01T00:00:00"}, "expires_at"),
                ({"expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
                ({"agent_id": str(uuid4())}, "agent_id"),
                ({"user_id": str(uuid4())}, "user_id"),
                ({"source_conversation_id": str(uuid4())}, "source_conversation_id"),
                ({"version": 7}, "version"),
            )
        ),
        *(
            ("POST", "/v1/memories/recall", question | values, 422, field)
            for values, field in (
                ({"embedding": [1.0] * 3}, "embedding"),
                ({"query": "\x00"}, "query"),
                ({"limit": 101}, "limit"),
                ({"weights": {"semantic": 1.0}}, "weights"),
                ({"as_of": "0001-01-01T00:00:00+14:00"}, "as_of"),
            )
        ),
        *(
            ("GET", f"/v1/memories?team={house.team}&{query}", None, 400, field)
            for query, field in (
                ("limit=0", "limit"),
                ("cursor=x", "cursor"),
                ("type=dream", "type"),
                ("agent=x", "agent"),
                ("subject=%00", "subject"),
            )
        ),
        ("GET", "/v1/memories?team=x", None, 400, "team"),
        ("GET", f"/v1/memories?team={house.team}&tag=%00", None, 422, "tag"),
        ("GET", f"{path}/past?at=yesterday", None, 400, "at"),
        ("GET", f"{path}/past?at=2026-01-01T00:00:00", None, 400, "at"),
        ("GET", f"{path}/log?cursor=x", None, 400, "cursor"),
        ("GET", f"/v1/memories/x/past?at={past}", None, 400, ""),
        ("PUT", f"{path}/links/loves/{kept['id']}", None, 400, "kind"),
        ("PUT", f"{path}/links/contradicts/{kept['id']}", None, 422, ""),
        ("PUT", f"{path}/successor", {"memory_id": str(uuid4())}, 404, "memory_id"),
        ("POST", "/v1/memories", new | {"supersedes": str(uuid4())}, 404, "supersedes"),
    ]
    for method, call, content, status, field in wrong:
        refused = await refusal(house.scout, method, call, content)
        assert refused[::2] == (status, field), (call, content, refused)
    assert len((await ask(house.scout, "GET", f"/v1/memories?team={house.team}"))["items"]) == 1


async def test_a_change_is_a_version_and_nobody_undoes_unknowingly_what_another_did(
    house: House, database: Connection
) -> None:
    first = await house.keep(importance=3)
    path = f"/v1/memories/{first['id']}"
    second = await house.change(first, by=house.ada, content="Ada likes coffee", tags=["new"], reason="she said so")
    assert (second["content"], second["tags"], second["importance"]) == ("Ada likes coffee", ["new"], 3)
    for tag, status in ((None, 428), ('"1"', 412), ("never", 412)):
        refused = await revise(house.scout, path, {"importance": 1}, tag=tag)
        assert (refused.status_code, refused.json()["field"]) == (status, "If-Match")
    third = await revise(house.scout, path, {"status": "archived"}, tag=f'"1", "{second["version"]}"')
    assert (third.status_code, third.json()["status"]) == (200, "archived")
    assert (await revise(house.scout, path, {"status": "active"}, tag="*")).status_code == 200
    entries = (await ask(house.ada, "GET", f"{path}/log"))["items"]
    assert [entry["action"] for entry in entries] == ["created", "updated", "tagged", "archived", "restored"]
    changed = entries[1]
    assert (changed["old_content"], changed["new_content"]) == ("Ada likes tea", "Ada likes coffee")
    assert (changed["changed_by"], changed["reason"]) == (f"user {house.ada.id}", "she said so")
    page = await ask(house.ada, "GET", f"{path}/log?limit=2")
    rest = await ask(house.ada, "GET", f"{path}/log?cursor={page['next']}")
    assert page["items"] + rest["items"] == entries
    audited = await database.fetch("SELECT action FROM audit_logs WHERE action LIKE 'memories.%' ORDER BY seq")
    assert [row[0] for row in audited] == ["memories.create", *["memories.update"] * 3]


async def test_what_supersedes_holds_in_the_place_of_what_it_supersedes(house: House) -> None:
    old = await house.keep("Ada likes tea")
    new = await house.keep("Ada likes green tea", supersedes=old["id"], reason="more exact")
    told_of = await house.recall("tea")
    assert [result["memory"]["id"] for result in told_of["results"]] == [new["id"]]
    assert (told_of["suppressed"], told_of["is_exact"], told_of["is_stable"]) == (1, True, True)
    assert len(await house.found("tea", include_superseded=True)) == 2
    shown = await ask(house.ada, "GET", f"/v1/memories/{old['id']}")
    assert (shown["status"], shown["superseded_by"]) == ("superseded", new["id"])
    newest = await house.keep("Ada likes no tea")
    successor = {"memory_id": newest["id"], "reason": "she says"}
    assert (await refusal(house.ada, "PUT", f"/v1/memories/{old['id']}/successor", successor))[0] == 409
    await ask(house.ada, "PUT", f"/v1/memories/{new['id']}/successor", successor)
    assert await house.found("tea") == ["Ada likes no tea"]
    again = await refusal(house.scout, "POST", "/v1/memories", successor_of(house, old))
    assert again[0] == 409
    listed = await ask(house.ada, "GET", f"/v1/memories?team={house.team}&status=superseded")
    assert [each["id"] for each in listed["items"]] == [new["id"], old["id"]]


def successor_of(house: House, memory: dict[str, Any]) -> dict[str, Any]:
    return {"team_id": house.team, "memory_type": "semantic", "content": "x", "supersedes": memory["id"]}


async def test_links_are_shown_from_where_they_lead(house: House) -> None:
    one, other = await house.keep("tea is hot"), await house.keep("tea is cold")
    path = f"/v1/memories/{one['id']}"
    for _ in range(2):
        await ask(house.ada, "PUT", f"{path}/links/contradicts/{other['id']}", status=204)
    await ask(house.ada, "PUT", f"{path}/links/related_to/{other['id']}", status=204)
    shown = await ask(house.ada, "GET", path)
    assert (shown["contradicts"], shown["related_to"]) == ([other["id"]], [other["id"]])
    await ask(house.ada, "DELETE", f"{path}/links/contradicts/{other['id']}", status=204)
    assert (await refusal(house.ada, "DELETE", f"{path}/links/contradicts/{other['id']}"))[0] == 404
    entries = (await ask(house.ada, "GET", f"{path}/log"))["items"]
    assert [(entry["action"], entry["related_memory_ids"]) for entry in entries] == [
        ("created", []),
        ("linked", [other["id"]]),
        ("linked", [other["id"]]),
        ("linked", [other["id"]]),
    ]


async def test_what_has_expired_is_left_out_at_once(house: House) -> None:
    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    gone = await house.keep("old tea", expires_at=over)
    await house.keep("new tea", expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    told_of = await house.recall("tea")
    assert [result["memory"]["content"] for result in told_of["results"]] == ["new tea"]
    assert told_of["suppressed"] == 1
    active = await ask(house.ada, "GET", f"/v1/memories?team={house.team}&status=active")
    assert [each["content"] for each in active["items"]] == ["new tea"]
    assert (await ask(house.ada, "GET", f"/v1/memories/{gone['id']}"))["content"] == "old tea"


async def test_the_past_is_told_as_it_was_told_then(house: House, database: Connection) -> None:
    before = await now_of(database)
    states = [await house.keep("tea one", tags=["a"])]
    path = f"/v1/memories/{states[0]['id']}"
    moments = [await now_of(database)]
    for values in ({"content": "tea two"}, {"tags": ["b"], "importance": 9}, {"status": "disputed"}):
        states.append(await house.change(states[-1], **values))
        moments.append(await now_of(database))
    answers = [await ask(house.ada, "GET", f"{path}/past?at={at}") for at in moments]
    assert [answer["memory"] for answer in answers] == states
    assert all(answer["is_stable"] for answer in answers)
    page = await ask(house.ada, "GET", f"/v1/memories/past?team={house.team}&at={moments[1]}")
    assert (page["items"], page["is_stable"], page["next"]) == ([states[1]], True, None)
    assert [await house.found("tea", as_of=at) for at in (before, *moments)] == [
        [],
        ["tea one"],
        ["tea two"],
        ["tea two"],
        [],
    ]
    await ask(house.scout, "DELETE", path, status=204)
    after = await now_of(database)
    gone = await ask(house.ada, "GET", f"{path}/past?at={after}")
    assert (gone["memory"], gone["deleted_at"] is None) == (None, False)
    assert (await ask(house.ada, "GET", f"{path}/past?at={moments[0]}"))["memory"] == states[0]
    assert (await ask(house.ada, "GET", f"{path}/log"))["items"][-1]["action"] == "deleted"
    assert (await refusal(house.ada, "GET", path))[0] == 404


async def test_what_was_done_to_a_teams_memories_is_told_in_order(house: House, database: Connection) -> None:
    since = await now_of(database)
    first, second = await house.keep("one"), await house.keep("two")
    await house.keep("mine", memory_type="agent_private", agent_id=house.scout.id)
    until = await now_of(database)
    await house.change(first, importance=9)
    path = f"/v1/memories/log?team={house.team}&since={since}"
    shown = [(entry["memory_id"], entry["action"]) for entry in (await ask(house.ada, "GET", path))["items"]]
    assert shown == [(first["id"], "created"), (second["id"], "created"), (first["id"], "updated")]
    page = await ask(house.scout, "GET", f"{path}&limit=2")
    rest = await ask(house.scout, "GET", f"{path}&cursor={page['next']}")
    assert [len(page["items"]), len(rest["items"]), rest["next"], rest["is_stable"]] == [2, 2, None, True]
    assert len((await ask(house.ada, "GET", f"{path}&until={until}"))["items"]) == 2
    assert (await refusal(house.scout, "GET", f"{path}&until=x"))[::2] == (400, "until")
    assert (await refusal(house.scout, "GET", f"{path}&cursor=WyJ4Il0"))[::2] == (400, "cursor")


async def test_every_recall_counts_however_many_recall_at_once(house: House, memory: MemoryPlugin) -> None:
    kept = [await house.keep(f"tea {number}") for number in range(3)]
    await memory.accesses.settle()
    recalls = [house.recall("tea") for _ in range(20)]
    reads = [ask(house.ada, "GET", f"/v1/memories/{kept[0]['id']}") for _ in range(10)]
    await asyncio.gather(*recalls, *reads)
    await house.recall("tea", as_of="2026-01-01T00:00:00Z")
    await memory.accesses.settle()
    listed = (await ask(house.ada, "GET", f"/v1/memories?team={house.team}"))["items"]
    assert [each["access_count"] for each in listed] == [20, 20, 30]
    assert all(each["last_accessed_at"] for each in listed)
    assert [each["version"] for each in listed] == [1, 1, 1]


async def test_pages_neither_skip_nor_repeat_while_more_is_kept(house: House) -> None:
    conversation = await house.begin()
    drawn = {"source_conversation_id": conversation["id"], "tier": "warm", "agent_id": house.scout.id}
    kept = [await house.keep(f"tea {number}", tags=["t", f"n{number % 2}"], **drawn) for number in range(5)]
    await house.keep("about Ada", by=house.ada, memory_type="user_profile", user_id=house.ada.id, subject="Ada")
    seen: list[str] = []
    cursor = ""
    while True:
        page = await ask(house.ada, "GET", f"/v1/memories?team={house.team}&tier=warm&limit=2{cursor}")
        seen += [each["id"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
        await house.keep("meanwhile", tier="warm")
    assert seen == [each["id"] for each in sorted(kept, key=lambda each: str(each["id"]), reverse=True)]
    for query, count in (
        ("type=user_profile", 1),
        ("tag=T", 5),
        ("tag=t&tag=n1", 2),
        ("tag=none", 0),
        (f"agent={house.scout.id}", 5),
        (f"user={house.ada.id}", 1),
        (f"conversation={conversation['id']}", 5),
        ("subject=aDA", 1),
        ("status=archived", 0),
    ):
        page = await ask(house.ada, "GET", f"/v1/memories?team={house.team}&{query}")
        assert len(page["items"]) == count, query


async def test_thirty_memories_take_as_many_statements_as_one(
    app: Litestar, house: House, memory: MemoryPlugin
) -> None:
    for number in range(30):
        await house.keep(f"tea {number}", tags=["a", "b"])
    engine = app.plugins.get(DatabasePlugin).database.config.get_engine()
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")

    async def taken(method: str, path: str, content: Any, limit: int) -> int:
        await memory.accesses.settle()
        with statements_of(engine) as statements:
            answer = await ask(house.ada, method, path, content)
            assert len(answer.get("items", answer.get("results"))) == limit
            await memory.accesses.settle()
        return len(statements)

    for method, path in (
        ("GET", f"/v1/memories?team={house.team}&limit="),
        ("GET", f"/v1/memories/past?team={house.team}&at={at}&limit="),
        ("POST", "/v1/memories/recall"),
    ):
        counts = []
        for limit in (1, 30):
            asked = {"team_id": house.team, "query": "tea", "limit": limit} if method == "POST" else None
            counts.append(await taken(method, path if asked else f"{path}{limit}", asked, limit))
        assert counts[0] == counts[1] <= 4, path
