"""What operators see and do beside the tables: the overview, limits, the hot store."""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import httpx
import pytest
import redis
from litestar import Litestar

from aicq import __version__
from aicq.hot.keeper import KEEPER_LOCK
from aicq.hot.plugin import HotStorePlugin
from aicq.settings import DEFAULT_RATES, Settings
from tests.admin.conftest import TOKEN
from tests.admin.test_all import assert_told
from tests.agents import GLOBAL, bodies, error_of, find, read, register
from tests.conftest import RAISED_LIMITS

pytestmark = pytest.mark.anyio

NOBODY = "019aa8f0-0000-7000-8000-000000000000"


async def ask(admin: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    answer = await admin.get(f"/admin/{path}", params=query)
    assert answer.status_code == 200, answer.text
    assert_told(answer, f"/admin/{path}")
    assert answer.headers["cache-control"] == "no-store"
    told: dict[str, Any] = answer.json()
    return told


async def until_complete(admin: httpx.AsyncClient, epoch: int) -> None:
    async with asyncio.timeout(20):
        while True:
            store = (await ask(admin, "hot"))["store"]
            if store["state"] == "complete" and store["epoch"] >= epoch:
                return
            await asyncio.sleep(0.01)


async def empty(settings: Settings) -> None:
    """Has the hot store lose what it holds of messages, mark and all."""
    if settings.redis_url:
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushall()
    else:
        database = await asyncpg.connect(settings.database_url)
        await database.execute("TRUNCATE hot_mark, hot_spans, hot_messages")
        await database.close()


async def told_of(database: asyncpg.Connection, action: str) -> list[tuple[str, str]]:
    told = "SELECT resource_type, resource_id FROM audit_logs WHERE action = $1 AND acted_as = 'admin' ORDER BY seq"
    return [(row["resource_type"], row["resource_id"]) for row in await database.fetch(told, action)]


class TestOverview:
    async def test_it_tells_versions_store_positions_and_counts(
        self, admin: httpx.AsyncClient, http: httpx.AsyncClient, hot_kind: str
    ) -> None:
        ada, bob = await register(http), await register(http)
        room = await ada.create_room("secret", is_private=True, key="a key of sixteen or more")
        for number in range(3):
            await ada.post(f"message {number}")
        await bob.direct(ada.id, "hi")
        told = await ask(admin, "overview")
        assert (told["version"], told["workers"]) == (__version__, 1)
        assert int(told["postgres"]["version"].split(".")[0]) >= 15
        assert told["postgres"]["size_bytes"] > 1_000_000
        assert told["postgres"]["migration"] == told["postgres"]["newest_migration"]
        store = told["hot_store"]
        assert (store["kind"], store["state"]) == (hot_kind, "complete")
        assert store["version"].split()[0] in {hot_kind, "valkey"}
        assert store["epoch"] == store["epoch_of_worker"] == store["epoch_of_store"] >= 1
        assert store["why"] == ("REDIS_URL is set." if hot_kind == "redis" else "REDIS_URL is not set.")
        positions = told["positions"]
        assert positions.pop("newest_entry") <= told["now"]
        assert positions == {"rooms": 2, "log": 4, "hot": 4, "lag": 0, "rooms_behind": 0}
        counts = told["counts"]
        assert {name: counts[name]["value"] for name in ("agents", "rooms", "messages", "users", "blocks")} == {
            "agents": 2,
            "rooms": 3,
            "messages": 4,
            "users": 0,
            "blocks": 0,
        }
        assert all(count["exact"] for count in counts.values())
        assert "hot_messages" not in counts
        assert room

    async def test_what_is_too_much_to_count_is_estimated_and_called_so(
        self, admin: httpx.AsyncClient, database: asyncpg.Connection
    ) -> None:
        await database.execute("INSERT INTO agents (name) SELECT 'agent' FROM generate_series(1, 12000)")
        before = (await ask(admin, "overview"))["counts"]["agents"]
        assert before == {"value": 10_001, "exact": False}
        await database.execute("VACUUM ANALYZE agents")
        assert (await ask(admin, "overview"))["counts"]["agents"] == {"value": 12_000, "exact": False}

    async def test_it_tells_how_far_the_store_is_behind_the_log(
        self, admin: httpx.AsyncClient, http: httpx.AsyncClient, app: Litestar, settings: Settings
    ) -> None:
        ada = await register(http)
        rooms = [GLOBAL, await ada.create_room("talk"), await ada.create_room("quiet")]
        for room in rooms[:2]:
            for _ in range(2):
                await ada.post("hi", room)
        # What another worker has committed and not brought to the store yet.
        database = await asyncpg.connect(settings.database_url)
        await database.execute(
            "SELECT message_log_append(true, ARRAY[$1::uuid, $1], ARRAY[$2::uuid, $2], ARRAY['message', 'message'],"
            " ARRAY['a', 'b'], ARRAY['text', 'text'], ARRAY[null, null]::uuid[], ARRAY[null, null]::uuid[],"
            " ARRAY[null, null], ARRAY[null, null], ARRAY[false, false], ARRAY[false, false], ARRAY[null, null],"
            " ARRAY[0, 0], ARRAY[1, 2])",
            GLOBAL,
            ada.id,
        )
        await database.close()
        told = (await ask(admin, "hot"))["positions"]
        assert (told["rooms"], told["log"], told["hot"], told["lag"], told["rooms_behind"]) == (2, 6, 4, 2, 1)
        spans = (await ask(admin, "hot/spans"))["items"]
        ends = {each["room_id"]: (each["first"], each["last"], each["log_first"], each["log_last"]) for each in spans}
        assert ends == {GLOBAL: (1, 2, 1, 4), rooms[1]: (1, 2, 1, 2)}
        assert all(span["public"] for span in spans)
        assert app.plugins.get(HotStorePlugin).keeper.complete

    async def test_it_answers_while_the_hot_store_was_emptied(
        self, admin: httpx.AsyncClient, http: httpx.AsyncClient, settings: Settings, database: asyncpg.Connection
    ) -> None:
        await (await register(http)).post("hi")
        epoch = (await ask(admin, "overview"))["hot_store"]["epoch"]
        async with database.transaction():
            await database.execute("SELECT pg_advisory_xact_lock($1)", KEEPER_LOCK)  # the keeper has to wait
            await empty(settings)
            told = await ask(admin, "overview")
            assert told["hot_store"]["state"] == "filling"
            assert told["hot_store"]["epoch_of_store"] is None
            assert told["positions"]["hot"] is None
            refused = await admin.get("/admin/hot/spans")
            assert refused.status_code == 503
            assert_told(refused, "/admin/hot/spans")
        await until_complete(admin, epoch + 1)
        assert (await ask(admin, "hot"))["positions"]["lag"] == 0


class TestHotStore:
    async def test_a_refill_empties_the_store_and_fills_it_from_the_log_on_every_worker(
        self,
        admin: httpx.AsyncClient,
        http: httpx.AsyncClient,
        another_worker: httpx.AsyncClient,
        database: asyncpg.Connection,
    ) -> None:
        ada = await register(http)
        for number in range(5):
            await ada.post(f"needle {number}")
        before = (await ask(admin, "hot"))["store"]["epoch"]
        begun = await admin.post("/admin/hot/refill")
        assert (begun.status_code, begun.json()) == (202, {"epoch": before + 1})
        assert_told(begun, "/admin/hot/refill")
        for worker in (http, another_worker):
            assert len((await read(worker))["messages"]) == 5
        await until_complete(admin, before + 1)
        assert len((await find(http, "needle"))["results"]) == 5
        async with asyncio.timeout(20):
            while not (found := await find(another_worker, "needle"))["complete"]:  # noqa: ASYNC110 - asked from outside, like any client
                await asyncio.sleep(0.01)
        assert len(found["results"]) == 5
        assert (await ada.post("and on")).status_code == 201
        assert bodies(await read(another_worker))[0] == "and on"
        kind = (await ask(admin, "hot"))["store"]["kind"]
        assert await told_of(database, "hot_store.refill") == [("hot_store", kind)]

    async def test_a_refill_puts_blocks_back_as_well(
        self, admin: httpx.AsyncClient, http: httpx.AsyncClient, settings: Settings, database: asyncpg.Connection
    ) -> None:
        blocked = await admin.post("/admin/blocks", json={"address": "127.0.0.1", "reason": "test"})
        assert blocked.status_code == 201
        if settings.redis_url:
            with redis.Redis.from_url(settings.redis_url) as client:
                client.delete("ratelimit:block:127.0.0.1")
        else:
            await database.execute("TRUNCATE hot_blocks")
        assert (await http.get("/channels")).status_code == 200
        epoch = (await admin.post("/admin/hot/refill")).json()["epoch"]
        await until_complete(admin, epoch)
        assert (await http.get("/channels")).status_code == 403

    async def test_a_refill_does_not_begin_while_another_is_under_way(
        self,
        admin: httpx.AsyncClient,
        database: asyncpg.Connection,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("aicq.hot.keeper.PATIENCE", 0.2)
        async with database.transaction():
            await database.execute("SELECT pg_advisory_xact_lock($1)", KEEPER_LOCK)
            refused = await admin.post("/admin/hot/refill")
        assert (refused.status_code, error_of(refused)) == (503, "the hot store is being filled just now; try again")
        assert await told_of(database, "hot_store.refill") == []
        assert (await admin.post("/admin/hot/refill")).status_code == 202

    async def test_spans_are_paged(self, admin: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
        ada = await register(http)
        rooms = [GLOBAL, *[await ada.create_room(f"room-{n}") for n in range(6)]]
        for room in rooms:
            await ada.post("hi", room)
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            told = await ask(admin, "hot/spans", limit=3, **cursor)
            found += [span["room_id"] for span in told["items"]]
            if told["next"] is None:
                break
            cursor = {"cursor": told["next"]}
        assert found == sorted(rooms)

    @pytest.mark.parametrize(
        ("query", "field"), [({"limit": "0"}, "limit"), ({"cursor": "WyJ4Il0"}, "cursor"), ({"room": "x"}, "room")]
    )
    async def test_what_cannot_be_asked_is_told_with_its_field(
        self, admin: httpx.AsyncClient, query: dict[str, str], field: str
    ) -> None:
        answer = await admin.get("/admin/hot/spans", params=query)
        assert (answer.status_code, answer.json()["field"]) == (400, field)
        assert_told(answer, "/admin/hot/spans")


class TestLimits:
    @pytest.fixture
    def environment(self) -> Mapping[str, str]:
        limits = {"RATE_LIMITS": f"{RAISED_LIMITS['RATE_LIMITS']},post=3/3600,channels=2/60"}
        return {**limits, "AICQ_ADMIN_TOKEN": TOKEN}

    async def test_what_an_agent_has_used_is_told_and_nothing_is_taken(
        self, admin: httpx.AsyncClient, http: httpx.AsyncClient
    ) -> None:
        ada = await register(http)
        for _ in range(2):
            await ada.post("four" * 4)
        for _ in range(3):
            told = await ask(admin, "limits", subject=ada.id.upper())
        assert (told["subject"], told["blocked"]) == (ada.id, False)
        levels = {level.pop("rule"): level for level in told["levels"]}
        assert set(levels) == {*DEFAULT_RATES, "refusals"}
        post = levels["post"]
        assert post.pop("reset") - asyncio.get_running_loop().time() >= 3500 or post
        assert post == {"limit": 3, "window_seconds": 3600, "used": 2, "remaining": 1}
        assert levels["bytes"]["used"] == 32
        assert {name for name, level in levels.items() if level["used"]} == {"post", "bytes"}
        (only,) = (await ask(admin, "limits", subject=ada.id, rule="post"))["levels"]
        assert (only["rule"], only["used"]) == ("post", 2)

    async def test_a_limit_that_is_reset_begins_anew_on_every_worker(
        self,
        admin: httpx.AsyncClient,
        http: httpx.AsyncClient,
        another_worker: httpx.AsyncClient,
        database: asyncpg.Connection,
    ) -> None:
        ada = await register(http)
        assert [(await ada.post("hi")).status_code for _ in range(4)] == [201] * 3 + [429]
        reset = await admin.delete("/admin/limits", params={"subject": ada.id, "rule": "find"})
        assert (reset.status_code, (await ada.post("hi")).status_code) == (204, 429)
        reset = await admin.delete("/admin/limits", params={"subject": ada.id, "rule": "post"})
        assert_told(reset, "/admin/limits")
        ada.http = another_worker
        assert [(await ada.post("hi")).status_code for _ in range(4)] == [201] * 3 + [429]
        assert (await admin.delete("/admin/limits", params={"subject": ada.id})).status_code == 204
        assert (await ada.post("hi")).status_code == 201
        told = [("limits", f"{rule}/{ada.id}") for rule in ("find", "post", "*")]
        assert await told_of(database, "limits.reset") == told

    async def test_an_address_is_spelled_as_it_is_counted(
        self, admin: httpx.AsyncClient, http: httpx.AsyncClient
    ) -> None:
        assert [(await http.get("/channels")).status_code for _ in range(3)] == [200, 200, 429]
        for spelling in ("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1/32"):
            told = await ask(admin, "limits", subject=spelling, rule="channels")
            assert (told["subject"], told["levels"][0]["remaining"]) == ("127.0.0.1", 0)
        assert (await ask(admin, "limits", subject="2001:DB8::1"))["subject"] == "2001:db8::/64"
        await admin.post("/admin/blocks", json={"address": "127.0.0.1", "reason": "test"})
        assert (await ask(admin, "limits", subject="127.0.0.1"))["blocked"] is True
        assert (await admin.delete("/admin/limits", params={"subject": "127.0.0.1"})).status_code == 204
        assert (await http.get("/channels")).status_code == 403
        await admin.delete("/admin/blocks/127.0.0.1")
        assert (await http.get("/channels")).status_code == 200

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    @pytest.mark.parametrize(
        ("query", "status", "field"),
        [
            ({}, 400, "subject"),
            ({"subject": ""}, 400, "subject"),
            ({"subject": "ada"}, 400, "subject"),
            ({"subject": "10.0.0.0/8"}, 400, "subject"),
            ({"subject": "2001:db8::/48"}, 400, "subject"),
            ({"subject": NOBODY, "rules": "post"}, 400, "rules"),
            ({"subject": NOBODY, "rule": "posts"}, 404, None),
        ],
    )
    async def test_what_cannot_be_asked_is_told_with_its_field(
        self, admin: httpx.AsyncClient, method: str, query: dict[str, str], status: int, field: str | None
    ) -> None:
        answer = await admin.request(method, "/admin/limits", params=query)
        assert (answer.status_code, answer.json().get("field")) == (status, field)
        assert_told(answer, "/admin/limits")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/overview"),
        ("GET", "/admin/limits"),
        ("DELETE", "/admin/limits"),
        ("GET", "/admin/hot"),
        ("GET", "/admin/hot/spans"),
        ("POST", "/admin/hot/refill"),
        ("GET", "/admin/messages"),
        ("GET", f"/admin/messages/{GLOBAL}/01M80XSHB500000001C7YKEA0Y"),
        ("DELETE", f"/admin/messages/{GLOBAL}/01M80XSHB500000001C7YKEA0Y"),
    ],
)
async def test_all_of_it_is_for_admins(http: httpx.AsyncClient, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}):
        assert (await http.request(method, path, headers=headers)).status_code == 401
