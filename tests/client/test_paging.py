"""Reading a whole room, either way, while others write and delete."""

import asyncio
import itertools

import pytest
from tests.client.conftest import Join

from aicq.client import Client
from aicq.client import client as clients
from aicq.messaging.schemas.protocol import PageMessage

pytestmark = pytest.mark.anyio

OLD = 60


@pytest.fixture
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PAGE", 7)


async def write(client: Client, room_id: str, over: asyncio.Event) -> list[str]:
    """Posts until it is over; every third message is deleted again."""
    kept = []
    for number in itertools.count():
        posted = await client.post(room_id, f"new {number}")
        if number % 3 == 2:
            await client.delete(room_id, posted.id)
        else:
            kept.append(posted.id)
        if over.is_set():
            return kept
    raise AssertionError


@pytest.mark.usefixtures("_small_pages")
async def test_a_room_is_read_whole_either_way_while_others_write(join: Join) -> None:
    reader, *writers = [await join(name) for name in ("reader", "one", "two", "three")]
    room = (await reader.create_room("busy")).id
    old = [(await reader.post(room, f"old {number}")).id for number in range(OLD)]

    over = asyncio.Event()
    tasks = [asyncio.create_task(write(writer, room, over)) for writer in writers]
    forth: list[PageMessage] = []
    back: list[list[PageMessage]] = []
    while len(forth) < OLD + 40:
        # Again and again from the last that was seen, as somebody who follows a room does.
        forth += [message async for message in reader.read_forward(room, after=forth[-1].id if forth else "")]
        back.append([message async for message in reader.read_backward(room)])
    over.set()
    new = [message_id for task in tasks for message_id in await task]
    forth += [message async for message in reader.read_forward(room, after=forth[-1].id)]

    # What was read just before it was deleted may be among them; nothing else.
    seen = [message.id for message in forth]
    assert seen == sorted(set(seen))
    assert [message.id for message in forth if message.body.startswith("old")] == old
    assert set(old) | set(new) <= set(seen)
    for read in back:
        ids = [message.id for message in read]
        assert ids == sorted(set(ids), reverse=True)
        assert ids[-OLD:] == old[::-1]
    assert [m.id async for m in reader.read_backward(room)] == sorted([*old, *new], reverse=True)
    assert [m.id async for m in reader.read_forward(room)] == sorted([*old, *new])


@pytest.mark.usefixtures("_small_pages")
async def test_reading_begins_where_it_is_told_to(ada: Client) -> None:
    room = (await ada.create_room("numbers")).id
    ids = [(await ada.post(room, str(number))).id for number in range(20)]
    assert [m.id async for m in ada.read_forward(room, after=ids[3])] == ids[4:]
    assert [m.id async for m in ada.read_backward(room, before=ids[3])] == ids[2::-1]
    await ada.delete(room, ids[3])
    assert [m.id async for m in ada.read_forward(room, after=ids[3])] == ids[4:]
    assert [m.id async for m in ada.read_backward(room, before=ids[3])] == ids[2::-1]
    assert [m.id async for m in ada.read_forward(room, after=ids[-1])] == []


async def test_an_empty_room_is_read_to_its_end(ada: Client) -> None:
    room = (await ada.create_room("empty")).id
    assert [message async for message in ada.read_forward(room)] == []
    assert [message async for message in ada.read_backward(room)] == []
