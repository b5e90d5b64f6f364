"""What an agent does with the client, against the app over each hot store."""

import subprocess
import sys
import uuid

import httpx
import pytest
from tests.client.conftest import Join, Line

from aicq import errors
from aicq.client import GLOBAL_ROOM_ID, AgentKey, Client, NotAICQ, OpenedMessage
from aicq.client.direct import MAX_TEXT
from aicq.messaging.verification import Verdict

pytestmark = pytest.mark.anyio

ROOM_KEY = "sixteen letters, ümlauts"


async def test_registering_again_finds_the_same_agent(join: Join) -> None:
    key = AgentKey.generate()
    one = await join("ada", key=key)
    again = await join("", key=key)
    assert (await again.register("somebody else")).id == one.agent_id == again.agent_id
    profile = await again.who(one.agent_id)
    assert (profile.name, profile.public_key) == ("ada", key.public_key)


async def test_what_needs_an_agent_says_so(join: Join) -> None:
    nobody = Client("http://test")
    with pytest.raises(errors.NotAuthenticated, match="this needs an agent's key"):
        await nobody.post(GLOBAL_ROOM_ID, "hello")
    unregistered = await join("")
    with pytest.raises(errors.NotAuthenticated, match="the agent is not registered yet"):
        await unregistered.post(GLOBAL_ROOM_ID, "hello")


async def test_a_message_is_posted_read_found_and_deleted(ada: Client) -> None:
    posted = await ada.post(GLOBAL_ROOM_ID, "hello from ada")
    answer = await ada.post(str(GLOBAL_ROOM_ID).upper(), "hello to herself", parent=posted.id.lower())
    page = await ada.read_page(GLOBAL_ROOM_ID, limit=10)
    assert [(m.id, m.seq, m.author, m.body, m.pid, m.ts) for m in page.messages] == [
        (answer.id, 2, ada.agent_id, "hello to herself", posted.id, answer.ts),
        (posted.id, 1, ada.agent_id, "hello from ada", "", posted.ts),
    ]
    assert [result.id for result in (await ada.search("FROM hello")).results] == [posted.id]
    await ada.delete(GLOBAL_ROOM_ID, posted.id)
    assert [m.id for m in (await ada.read_page(GLOBAL_ROOM_ID)).messages] == [answer.id]
    assert (await ada.search("from")).results == []


async def test_an_edited_message_is_proven_to_be_its_agents_still(ada: Client, bob: Client) -> None:
    question = await bob.post(GLOBAL_ROOM_ID, "A question?")
    posted = await ada.post(GLOBAL_ROOM_ID, "An anwser.", parent=question.id)
    edited = await ada.edit(GLOBAL_ROOM_ID, posted.id.lower(), "An answer.")
    assert edited.id == posted.id < edited.entry_id
    page = await bob.read_page(GLOBAL_ROOM_ID)
    message = page.messages[0]
    assert (message.id, message.body, message.pid, message.edited_at) == (
        posted.id,
        "An answer.",
        question.id,
        edited.edited_at,
    )
    assert [finding.verdict for finding in await bob.verify(page)] == [Verdict.HOLDS, Verdict.HOLDS]
    with pytest.raises(errors.Forbidden):
        await bob.edit(GLOBAL_ROOM_ID, posted.id, "Not mine.")
    with pytest.raises(errors.NotFound):
        await ada.edit(GLOBAL_ROOM_ID, "0" * 26, "Nothing.")


async def test_an_edit_whose_answer_was_lost_is_made_once(ada: Client, line: Line) -> None:
    posted = await ada.post(GLOBAL_ROOM_ID, "before")
    line.after = [httpx.ReadError]
    edited = await ada.edit(GLOBAL_ROOM_ID, posted.id, "after", sign=False)
    assert (edited.id, edited.entry_id) == (posted.id, "")
    assert (await ada.read_page(GLOBAL_ROOM_ID, limit=1)).messages[0].body == "after"


async def test_what_a_client_posts_is_proven_to_be_its_agents(ada: Client, bob: Client) -> None:
    posted = await ada.post(GLOBAL_ROOM_ID, "né en 1985")
    await bob.post(GLOBAL_ROOM_ID, "an answer", parent=posted.id)
    await bob.post(GLOBAL_ROOM_ID, "unsigned", sign=False)
    page = await ada.read_page(GLOBAL_ROOM_ID)
    assert [finding.verdict for finding in await ada.verify(page)] == [Verdict.UNSIGNED, Verdict.HOLDS, Verdict.HOLDS]
    page.messages[1].body = "another answer"
    page.messages[2].author = str(uuid.uuid4())
    assert [finding.verdict for finding in await ada.verify(page)] == [
        Verdict.UNSIGNED,
        Verdict.FAILS,
        Verdict.UNKNOWN,
    ]


async def test_a_private_room_opens_with_its_key(ada: Client, bob: Client) -> None:
    room = await ada.create_room("den", room_key=ROOM_KEY)
    assert room.is_private
    posted = await bob.post(room.id, "psst", room_key=ROOM_KEY)
    assert [m.id for m in (await bob.read_page(room.id, room_key=ROOM_KEY)).messages] == [posted.id]
    assert [m.id async for m in bob.read_forward(room.id, room_key=ROOM_KEY)] == [posted.id]
    assert [m.id async for m in bob.read_backward(room.id, room_key=ROOM_KEY)] == [posted.id]
    assert [r.id for r in (await bob.search("psst", room_id=room.id, room_key=ROOM_KEY)).results] == [posted.id]
    assert (await bob.search("psst")).results == []
    for call in (
        bob.read_page(room.id),
        bob.post(room.id, "x", room_key="wrong" * 4),
        bob.search("x", room_id=room.id),
    ):
        with pytest.raises(errors.Forbidden):
            await call


async def test_a_room_key_that_no_header_holds_is_refused_and_not_repeated(ada: Client) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        await ada.post(GLOBAL_ROOM_ID, "x", room_key="secret\r\nX-Other: 1")
    assert "secret" not in str(refused.value)
    assert refused.value.field == "X-AICQ-Room-Key"


async def test_public_rooms_are_listed_and_private_ones_are_not(ada: Client) -> None:
    await ada.create_room("den", room_key=ROOM_KEY)
    attic = await ada.create_room("attic")
    found = await ada.channels(limit=1)
    assert ([channel.id for channel in found.channels], found.total) == ([attic.id], 2)
    assert [channel.name for channel in (await ada.channels(offset=1)).channels] == ["global"]


async def test_a_direct_message_is_read_by_its_recipient_alone(
    ada: Client, bob: Client, http: httpx.AsyncClient
) -> None:
    sent = await ada.send_direct(bob.agent_id, "méet me at noon")
    assert await ada.read_direct() == []
    [read] = await bob.read_direct()
    assert read == OpenedMessage(sent.id, ada.agent_id, "méet me at noon", read.body, sent.ts)
    assert "noon" not in read.body
    assert (await http.get("/find", params={"q": "noon"})).json()["results"] == []


async def test_as_long_a_direct_message_as_can_be_sealed_is_sent(ada: Client) -> None:
    await ada.send_direct(ada.agent_id, "x" * MAX_TEXT)
    assert [message.text for message in await ada.read_direct()] == ["x" * MAX_TEXT]


async def test_a_direct_message_that_cannot_be_opened_is_shown_as_it_is(ada: Client, line: Line) -> None:
    async with httpx.AsyncClient(transport=line, base_url="http://test") as http:
        body = b'{"body":"hello in the clear"}'
        headers = ada.key.sign_request(ada.agent_id, body) | {"Content-Type": "application/json"}
        assert (await http.post(f"/dm/{ada.agent_id}", content=body, headers=headers)).status_code == 201
        [message] = await ada.read_direct()
        assert (message.text, message.body) == (None, "hello in the clear")


async def test_refusals_are_raised_by_their_names_with_sentence_status_and_field(ada: Client) -> None:
    nowhere = uuid.uuid4()
    for call, kind, status, sentence, field in (
        (ada.post(GLOBAL_ROOM_ID, "x" * 4097), errors.Unprocessable, 422, "body too long (max 4096 bytes)", "body"),
        (ada.post(GLOBAL_ROOM_ID, ""), errors.InvalidRequest, 400, "body is required", "body"),
        (ada.post(GLOBAL_ROOM_ID, "x" * 9000), errors.TooLarge, 413, "request body too large", None),
        (ada.post(nowhere, "x"), errors.NotFound, 404, "room not found", None),
        (ada.post("global", "x"), errors.InvalidId, 400, "invalid room ID format", None),
        (ada.read_page("../who/x"), errors.InvalidId, 400, "invalid room ID format", None),
        (ada.who("x/../../stats"), errors.InvalidId, 400, "invalid agent ID format", None),
        (ada.read_page(GLOBAL_ROOM_ID, before="soon"), errors.InvalidRequest, 400, None, "before"),
        (ada.who(nowhere), errors.NotFound, 404, "agent not found", None),
        (ada.send_direct(nowhere, "x"), errors.NotFound, 404, "agent not found", None),
        (ada.delete(GLOBAL_ROOM_ID, "1"), errors.InvalidId, 400, "invalid message ID format", None),
        (ada.delete(GLOBAL_ROOM_ID, "0" * 26), errors.NotFound, 404, "message not found", None),
        (ada.search(" "), errors.InvalidRequest, 400, "query parameter 'q' is required", "q"),
        (ada.create_room("no spaces"), errors.InvalidRequest, 400, None, "name"),
        (ada.register(email="nowhere"), errors.InvalidRequest, 400, "invalid email format", "email"),
    ):
        with pytest.raises(errors.AICQError) as refused:
            await call
        assert type(refused.value) is kind, refused.value
        assert refused.value.status == status
        assert sentence in {None, refused.value.sentence}
        assert refused.value.field == field


async def test_a_text_that_is_no_unicode_is_refused(ada: Client) -> None:
    for call in (ada.post(GLOBAL_ROOM_ID, "\ud800"), ada.send_direct(ada.agent_id, "\ud800")):
        with pytest.raises(errors.InvalidRequest, match="the text is not valid Unicode"):
            await call


class TestLimits:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"RATE_LIMITS": "post=2/60,room_read=2/1"}

    async def test_a_limit_that_is_used_up_says_when_to_come_back(self, ada: Client, line: Line) -> None:
        await ada.post(GLOBAL_ROOM_ID, "one")
        await ada.post(GLOBAL_ROOM_ID, "two")
        before = len(line.requests)
        with pytest.raises(errors.RateLimited) as refused:
            await ada.post(GLOBAL_ROOM_ID, "three")
        assert refused.value.retry_after is not None
        assert 50 < refused.value.retry_after <= 60
        assert len(line.requests) == before + 1

    async def test_reading_a_whole_room_waits_for_its_limit(self, ada: Client) -> None:
        await ada.post(GLOBAL_ROOM_ID, "one")
        for _ in range(3):
            assert [message.body async for message in ada.read_forward(GLOBAL_ROOM_ID)] == ["one"]


@pytest.mark.parametrize(
    ("status", "content", "kind", "told"),
    [
        (200, b"<html>hello</html>", NotAICQ, "What answers at http://elsewhere:99 with 200 is not AICQ"),
        (200, b"\xff", NotAICQ, "What answers at http://elsewhere:99 with 200 is not AICQ"),
        (200, b'{"channels":3}', NotAICQ, "What answers at http://elsewhere:99 with 200 is not AICQ"),
        (301, b"", NotAICQ, "What answers at http://elsewhere:99 with 301 is not AICQ"),
        (404, b"<html>no such page</html>", NotAICQ, "What answers at http://elsewhere:99 with 404 is not AICQ"),
        (502, b"<html>bad gateway</html>", errors.Unavailable, "A gateway before AICQ answered 502"),
        (418, b'{"error":"short and stout"}', errors.InvalidRequest, "short and stout"),
        (507, b'{"error":"disk full"}', errors.AICQError, "disk full"),
        (401, b'{"error":"nonce already used"}', errors.ReplayedRequest, "nonce already used"),
        (403, b'{"error":"temporarily blocked"}', errors.Blocked, "temporarily blocked"),
        (503, b'{"error":"so so","outcome":"unknown"}', errors.OutcomeUnknown, "so so"),
    ],
)
async def test_whatever_answers_is_one_of_our_errors(
    status: int, content: bytes, kind: type[errors.AICQError], told: str
) -> None:
    answers = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    async with Client("http://me:secret@elsewhere:99/", transport=answers, patience=0) as client:
        with pytest.raises(kind) as raised:
            await client.channels()
        assert str(raised.value) == told
        assert client.url == "http://elsewhere:99"


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://localhost", "http://", "http://localhost:port", "/room"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="AICQ's address must begin with http:// or https://"):
        Client(url)


def test_the_client_is_imported_without_the_server() -> None:
    words = [sys.executable, "-X", "importtime", "-c", "import aicq.client"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert {"aicq.client.client", "httpx", "nacl"} <= imported
    servers = {"litestar", "sqlalchemy", "advanced_alchemy", "asyncpg", "redis", "granian", "structlog", "uvloop"}
    assert {name for name in imported if name.partition(".")[0] in servers} == set()
