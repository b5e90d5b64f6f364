"""Pages equal a plain model of the log, whatever the hot store holds, lacks or has lost."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aicq.hot.base import HotStore, HotStoreStale
from aicq.ids import first_id_at, milliseconds, to_ulid
from aicq.messaging import pages as pages_module
from aicq.messaging.history import History
from aicq.messaging.log import MessageLog, Stored
from aicq.messaging.pages import MessagePage, Pages
from tests.messaging.conftest import (
    Connection,
    Outbox,
    Process,
    World,
    a_draft,
    add_agent,
    add_room,
)

pytestmark = pytest.mark.anyio

Step = tuple[str, int]

Read = tuple[str, str, int]
"""A message as a reader gets it: its id, its text, and when it was last edited."""

STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.integers(1, 6)),
        st.tuples(st.just("post unseen"), st.integers(1, 4)),
        st.tuples(st.just("delete"), st.integers(0, 30)),
        st.tuples(st.just("delete unseen"), st.integers(0, 30)),
        st.tuples(st.just("delete many"), st.integers(2, 12)),
        st.tuples(st.sampled_from(["edit", "edit unseen"]), st.integers(0, 30)),
        st.tuples(st.sampled_from(["tell late", "forget", "new epoch", "stale", "fill", "same time"]), st.just(0)),
    ),
    min_size=1,
    max_size=12,
)
"""What happens to a room and to the hot store."""


AHEAD = """
UPDATE rooms SET last_active_at = greatest(last_active_at, date_trunc('minute', now())) + interval '1 minute'
WHERE id = $1
"""


class Query(msgspec.Struct, frozen=True):
    """A page that is asked for; `at` chooses the message that it is bounded by."""

    direction: Literal["newest", "before", "before time", "after"]
    at: int
    limit: int


QUERIES = st.lists(
    st.builds(
        Query,
        direction=st.sampled_from(["newest", "before", "before time", "after"]),
        at=st.integers(-1, 40),
        limit=st.integers(1, 9),
    ),
    min_size=1,
    max_size=8,
)


class Model:
    """A room's log as a plain list."""

    def __init__(self) -> None:
        self.entries: list[Stored] = []
        self.deleted: set[UUID] = set()
        self.edited: dict[UUID, Stored] = {}

    @property
    def last_seq(self) -> int:
        return len(self.entries)

    def messages(self) -> list[Stored]:
        """What can be read, oldest first."""
        return [stored for stored in self.entries if stored.draft.entry == "message" and stored.id not in self.deleted]

    def bound(self, at: int) -> UUID:
        """The id of an entry, whatever it is, or one below or above them all."""
        if at < 0:
            return UUID(int=0)
        return self.entries[at].id if at < len(self.entries) else UUID(int=(1 << 128) - 1)

    def read(self, stored: Stored) -> Read:
        """A message as readers get it."""
        edit = self.edited.get(stored.id)
        return (stored.ulid, edit.draft.body, edit.ts) if edit else (stored.ulid, stored.draft.body, 0)

    def page(self, query: Query) -> tuple[list[Read], bool]:
        bound = self.bound(query.at)
        if query.direction == "after":
            found = [stored for stored in self.messages() if stored.id > bound]
            return [self.read(stored) for stored in found[: query.limit]][::-1], len(found) > query.limit
        if query.direction == "newest":
            bound = UUID(int=(1 << 128) - 1)
        elif query.direction == "before time":
            bound = first_id_at(milliseconds(bound))
        found = [stored for stored in self.messages() if stored.id < bound][::-1]
        end = query.limit
        if query.direction != "before":
            while end < len(found) and found[end].ts == found[query.limit - 1].ts:
                end += 1
        return [self.read(stored) for stored in found[:end]], len(found) > end


class Room:
    """A room that things happen to, with its model beside it.

    Args:
        process: The process that reads.
        room_id: The room.
        author_id: Who writes.
    """

    def __init__(self, process: Process, room_id: UUID, author_id: UUID) -> None:
        self.model = Model()
        self._process = process
        self._room_id = room_id
        self._author_id = author_id
        self._outbox = Outbox()
        self._log = MessageLog(process.pool, self._outbox.publish)

    async def take(self, step: Step) -> None:
        """Has one thing happen."""
        kind, number = step
        hot = self._process.hot
        match kind:
            case "post" | "post unseen":
                await self._append(["message"] * number, seen=kind == "post")
            case "delete" | "delete unseen":
                await self._delete(self.model.messages()[number : number + 1], seen=kind == "delete")
            case "delete many":
                await self._delete(self.model.messages()[-number:], seen=True)
            case "edit" | "edit unseen":
                await self._edit(self.model.messages()[number : number + 1], seen=kind == "edit")
            case "tell late":
                await self._tell()
            case "forget":
                with suppress(HotStoreStale):
                    await hot.messages.forget(self._room_id)
            case "new epoch":
                await begin(hot)
            case "stale":
                await hot.begin(hot.epoch + 1_000_000)
            case "same time":
                # What follows cannot be older, and so shares a millisecond.
                await self._process.pool.execute(AHEAD, self._room_id)
            case _:
                await begin(hot)
                await self._process.keeper.fill_below(self._room_id, public=True)

    async def read(self, query: Query) -> MessagePage:
        bound = self.model.bound(query.at)
        pages, last_seq = self._process.pages, self.model.last_seq
        if query.direction == "after":
            return await pages.after(self._room_id, bound, last_seq=last_seq, limit=query.limit)
        below = {"newest": None, "before": bound, "before time": first_id_at(milliseconds(bound))}[query.direction]
        whole = query.direction != "before"
        return await pages.before(self._room_id, below, last_seq=last_seq, limit=query.limit, whole_millisecond=whole)

    async def _delete(self, messages: Sequence[Stored], *, seen: bool) -> None:
        self.model.deleted.update(stored.id for stored in messages)
        await self._append([stored.id for stored in messages], seen=seen)

    async def _edit(self, messages: Sequence[Stored], *, seen: bool) -> None:
        for stored in messages:
            body = f"edited {self.model.last_seq + 1}"
            draft = a_draft(self._room_id, self._author_id, body, entry="edit", target_id=stored.id)
            edit = await self._log.append(draft)
            self.model.entries.append(edit)
            self.model.edited[stored.id] = edit
            if seen:
                await self._tell(1)

    async def _append(self, entries: Sequence[UUID | str], *, seen: bool) -> None:
        """Adds messages, or deletes of messages; the hot store is told now, or later if at all."""
        for entry in entries:
            change = {} if isinstance(entry, str) else {"entry": "delete", "target_id": entry}
            body = f"message {self.model.last_seq + 1}" if isinstance(entry, str) else ""
            self.model.entries.append(await self._log.append(a_draft(self._room_id, self._author_id, body, **change)))
        if seen:
            await self._tell(len(entries))

    async def _tell(self, newest: int = 0) -> None:
        untold = self._outbox.published
        told, self._outbox.published = untold[-newest:], untold[: len(untold) - newest] if newest else []
        if told:
            await self._process.publisher.publish(told)


async def begin(hot: HotStore) -> None:
    """A new epoch, as a keeper begins it."""
    await hot.begin(hot.epoch + 1)
    hot.epoch += 1


def read_of(page: MessagePage) -> list[Read]:
    messages = [msgspec.json.decode(message) for message in page.messages]
    return [(message["id"], message["body"], message.get("edited_at", 0)) for message in messages]


def ids_of(page: MessagePage) -> list[str]:
    return [message_id for message_id, _, _ in read_of(page)]


@given(steps=STEPS, queries=QUERIES)
@example(
    steps=[("post", 6), ("delete many", 5), ("post unseen", 3), ("post", 6), ("delete many", 12), ("post", 1)],
    queries=[Query("newest", 0, 4), Query("before", 14, 2), Query("after", -1, 3), Query("after", 3, 9)],
)
@example(
    steps=[("post", 4), ("edit", 1), ("edit unseen", 2), ("edit", 1), ("delete", 1)],
    queries=[Query("newest", 0, 4), Query("before", 3, 2), Query("after", -1, 3)],
)
@example(steps=[("post", 3), ("delete unseen", 1)], queries=[Query("newest", 0, 2), Query("after", 0, 1)])
@example(
    steps=[("post", 5), ("new epoch", 0), ("post", 3), ("delete", 1)],
    queries=[Query("newest", 0, 9), Query("before", 6, 3), Query("after", 0, 2), Query("after", 5, 2)],
)
async def test_a_page_is_what_the_log_says(
    world: World, database: Connection, monkeypatch: pytest.MonkeyPatch, steps: list[Step], queries: list[Query]
) -> None:
    monkeypatch.setattr(pages_module, "SPARE", 1)
    process = await world.single()
    await begin(process.hot)
    room = Room(process, await add_room(database), await add_agent(database))
    for step in steps:
        await room.take(step)
        for query in queries:
            page = await room.read(query)
            assert (read_of(page), page.has_more) == room.model.page(query), (step, query)


@given(steps=STEPS, limit=st.integers(1, 5))
async def test_paging_through_a_room_either_way_gives_each_message_once(
    world: World, database: Connection, steps: list[Step], limit: int
) -> None:
    process = await world.single()
    await begin(process.hot)
    room = Room(process, await add_room(database), await add_agent(database))
    for step in [*steps, ("post", 3)]:
        await room.take(step)
    wanted = [stored.ulid for stored in room.model.messages()]
    assert await read_through(room, limit, "before") == wanted[::-1]
    assert await read_through(room, limit, "after") == wanted


async def read_through(room: Room, limit: int, direction: Literal["before", "after"]) -> list[str]:
    """All ids of a room, page by page, in the order they were read."""
    positions = {stored.ulid: at for at, stored in enumerate(room.model.entries)}
    at, read = (len(positions) if direction == "before" else -1), list[str]()
    while True:
        page = await room.read(Query(direction, at, limit))
        ids = ids_of(page) if direction == "before" else ids_of(page)[::-1]
        read += ids
        if not page.has_more:
            return read
        at = positions[ids[-1]]


class Unread(History):
    """A log that nobody may read."""

    async def page_before(self, *_: object, **__: object) -> list[bytes]:
        raise AssertionError

    page_after = page_before


async def test_what_the_hot_store_holds_is_not_asked_of_the_log(world: World, room: UUID, author: UUID) -> None:
    process = await world.running()
    stored = [await process.post(room, author) for _ in range(30)]
    pages = Pages(process.hot, process.keeper, Unread(process.pool))
    page = await pages.before(room, None, last_seq=30, limit=10, whole_millisecond=False)
    assert ids_of(page) == [each.ulid for each in stored[:-11:-1]]
    page = await pages.after(room, stored[4].id, last_seq=30, limit=10)
    assert ids_of(page) == [to_ulid(each.id) for each in stored[14:4:-1]]
