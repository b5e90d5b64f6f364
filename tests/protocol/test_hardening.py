"""What somebody who means harm, or is just unlucky, cannot bring about."""

import asyncio
from collections.abc import Mapping

import asyncpg
import bcrypt
import httpx
import pytest
from tests.agents import GLOBAL, Agent, bodies, error_of, read, register

pytestmark = pytest.mark.anyio

KEY = "a key of sixteen or more"


class TestWithTheProtocolsOwnLimits:
    @pytest.fixture
    def environment(self) -> Mapping[str, str]:
        return {}

    async def test_right_room_keys_are_no_failures(
        self, http: httpx.AsyncClient, database: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        # A hash that is checked in a millisecond, so that the checks of many rooms take no time.
        cheap = bcrypt.hashpw(KEY.encode(), bcrypt.gensalt(4)).decode()
        rooms = await database.fetch(
            "INSERT INTO rooms (name, is_private, key_hash) SELECT 'room-' || n, true, $1"
            " FROM generate_series(1, 36) n RETURNING id",
            cheap,
        )
        for (room,) in rooms:
            await read(http, str(room), key=KEY)
        assert (await http.get(f"/room/{GLOBAL}")).status_code == 200

    async def test_who_has_failed_too_often_still_reads_public_rooms(self, http: httpx.AsyncClient) -> None:
        agent, mallory = await register(http), await register(http)
        mallory.id = agent.id
        assert [(await mallory.post("hi")).status_code for _ in range(31)] == [401] * 30 + [429]
        assert (await http.get(f"/room/{GLOBAL}")).status_code == 200

    async def test_guesses_at_a_key_made_at_once_are_counted_like_guesses_made_in_turn(
        self, http: httpx.AsyncClient
    ) -> None:
        agent, mallory = await register(http), await register(http)
        room = await agent.create_room("secret", is_private=True, key=KEY)
        mallory.id = agent.id
        for _ in range(27):
            await mallory.post("hi")
        guesses = [http.get(f"/room/{room}", headers={"X-AICQ-Room-Key": f"guess number {n}"}) for n in range(6)]
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*guesses))
        assert statuses == [403] * 3 + [429] * 3


async def test_many_with_the_right_key_at_once_wait_for_one_check(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    room = await agent.create_room("secret", is_private=True, key=KEY)
    await agent.post("inside", room, key=KEY)
    async with asyncio.timeout(8):  # forty checks by bcrypt would take more
        pages = await asyncio.gather(*(read(http, room, key=KEY) for _ in range(40)))
    assert {tuple(bodies(page)) for page in pages} == {("inside",)}


async def test_a_room_key_may_be_any_text(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    key = "schlüssel für räume ✓"
    room = await agent.create_room("secret", is_private=True, key=key)
    answer = await http.get(f"/room/{room}", headers=[(b"X-AICQ-Room-Key", key.encode())])
    assert answer.status_code == 200


async def test_a_direct_message_that_is_refused_makes_no_room(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    sender, others = await register(http), [await register(http) for _ in range(3)]
    first = await sender.direct(others[0].id, "hi")
    assert first.status_code == 201
    sent = first.request
    for other in others[1:]:
        copy = await http.request("POST", f"/dm/{other.id}", content=sent.content, headers=signed_part(sent))
        assert (copy.status_code, error_of(copy)) == (401, "nonce already used")
    await database.execute("UPDATE agents SET status = 'paused' WHERE id = $1", sender.id)
    assert (await sender.direct(others[2].id, "hi")).status_code == 403
    assert await database.fetchval("SELECT count(*) FROM rooms WHERE kind = 'dm'") == 1


async def test_made_up_methods_make_no_metrics_of_their_own(http: httpx.AsyncClient) -> None:
    for method in ("BREW", "SMELL"):
        assert (await http.request(method, "/api")).status_code == 405
    metrics = (await http.get("/metrics")).text
    assert "BREW" not in metrics
    assert 'method="other"' in metrics


async def test_private_rooms_created_at_once_keep_nobody_from_the_database(http: httpx.AsyncClient) -> None:
    agents: list[Agent] = [await register(http) for _ in range(24)]
    created = asyncio.gather(*(agent.create_room("secret", is_private=True, key=KEY) for agent in agents))
    async with asyncio.timeout(3):  # while twenty-four keys wait for their turn
        assert (await http.get("/channels")).status_code == 200
    assert len(set(await created)) == 24


def signed_part(request: httpx.Request) -> dict[str, str]:
    names = ("x-aicq-agent", "x-aicq-nonce", "x-aicq-timestamp", "x-aicq-signature", "content-type")
    return {name: request.headers[name] for name in names}
