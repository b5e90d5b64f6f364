"""Times single calls of the hot store while the product is under load: a process of its own beside the product's.

It makes the calls that requests wait for, through the product's own store and against the same server, and so rarely
that they add little to the load themselves.
"""

import asyncio
import itertools
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import msgspec
import uvloop

from aicq.bench.traffic import sentences, vocabulary
from aicq.clock import now_ms
from aicq.db.engine import connect_pool
from aicq.errors import StartError
from aicq.hot.base import Change, Charge, HotStore, PageQuery, Quota, Run, SearchQuery
from aicq.hot.postgres import PostgresHotStore
from aicq.hot.redis import RedisHotStore
from aicq.ids import new_tail, to_ulid
from aicq.messaging.wire import WireMessage, message_entry, stub

BATCH = 32
"""Items of a call that the product makes for many requests at once: half of the clients, more than usually wait."""

PAUSE = 0.04
"""Seconds between two calls of a kind, give or take a half."""

WARMING = 60
"""Times that all kinds are called at once before: a connection's first calls open it, parse and plan."""

PAGE = 65
"""Entries that the product reads for a page of 50 messages."""

Call = Callable[[], Awaitable[object]]
"""Makes ready what a call is to be given, and begins it when it is awaited."""


class Task(msgspec.Struct, frozen=True):
    """What the run asks of the probe.

    Args:
        kind: Which hot store.
        url: Where it is.
        warm: Seconds of load before the clock runs.
        seconds: How long calls are timed.
    """

    kind: str
    url: str
    warm: float
    seconds: float


Times = dict[str, list[float]]
"""Milliseconds that calls took, by kind."""


async def probe(task: Task, begin: Callable[[], None]) -> Times:
    """Times calls of every kind.

    Args:
        task: What to do.
        begin: Is called when all is ready, and returns when the load has begun.
    """
    async with opened(task) as hot:
        calls = Calls(hot)
        kinds = calls.kinds()
        for _ in range(WARMING):
            await asyncio.gather(*(call() for call in kinds.values()))
        begin()
        await asyncio.sleep(task.warm)
        until = time.perf_counter() + task.seconds
        times = await asyncio.gather(*(_time(call, until) for call in kinds.values()))
        await hot.messages.forget(calls.room_id)
    return dict(zip(kinds, times, strict=True))


@asynccontextmanager
async def opened(task: Task) -> AsyncIterator[HotStore]:
    """The product's hot store, in the epoch that it is in.

    Raises:
        StartError: It is in none.
    """
    pool = None
    if task.kind == "postgres":
        pool = await connect_pool(task.url, name="aicq bench", size=8)
    hot: HotStore = RedisHotStore(task.url) if pool is None else PostgresHotStore(pool, task.url)
    await hot.open()
    try:
        epoch = (await hot.probe()).epoch
        if epoch is None:
            raise StartError("The hot store bears no epoch's mark.")
        hot.epoch = epoch
        yield hot
    finally:
        await hot.close()
        if pool is not None:
            await pool.close()


async def version_of(task: Task) -> str:
    """The server's name and version."""
    async with opened(task) as hot:
        return (await hot.probe()).version


async def _time(call: Call, until: float) -> list[float]:
    times: list[float] = []
    while True:
        await asyncio.sleep(PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 - so that the kinds do not march in step
        if time.perf_counter() > until:
            return times
        ready = call()
        started = time.perf_counter()
        await ready
        times.append((time.perf_counter() - started) * 1000)


class Calls:
    """The calls, on a room and on subjects that the log does not know."""

    def __init__(self, hot: HotStore) -> None:
        self._hot = hot
        self.room_id = uuid4()
        self._author = str(uuid4())
        self._texts = itertools.cycle(sentences())
        self._words = [word for word in vocabulary() if len(word) > 3]  # noqa: PLR2004 - two syllables may be too common
        self._last = 0
        self._target = ""
        self._subjects = [str(uuid4()) for _ in range(BATCH)]

    def kinds(self) -> dict[str, Call]:
        """Every kind of call by its name in the table."""
        return {
            f"append {BATCH}": self._append,
            "revise": self._revise,
            f"pages, {PAGE} entries": self._pages,
            "search, 2 words": self._search,
            f"take {BATCH}": self._take,
            "value set": self._set,
            "value get": self._get,
            "publish": self._publish,
        }

    def _append(self) -> Awaitable[object]:
        entries = [message_entry(message) for message in itertools.islice(self._messages(), BATCH)]
        self._target = entries[0].id
        return self._hot.messages.append([Run(self.room_id, public=True, entries=entries)], now=now_ms())

    def _messages(self) -> Iterator[WireMessage]:
        while True:
            self._last += 1
            now = now_ms()
            ulid = to_ulid(UUID(int=now << 80 | self._last << 40 | new_tail()))
            yield WireMessage(id=ulid, seq=self._last, author=self._author, body=next(self._texts), ts=now)

    def _revise(self) -> Awaitable[object]:
        change = Change(self._target, stub(self._target))
        return self._hot.messages.revise(self.room_id, public=True, changes=[change])

    def _pages(self) -> Awaitable[object]:
        return self._hot.messages.pages([PageQuery(self.room_id, PAGE)], now=now_ms())

    def _search(self) -> Awaitable[object]:
        words = random.sample(self._words, 2)
        return self._hot.messages.search(SearchQuery(words, 20), now=now_ms())

    def _take(self) -> Awaitable[object]:
        charges = [
            Charge(
                [
                    Quota(f"post:{subject}", 10**12, 60_000),
                    Quota(f"bytes:{subject}", 10**12, 60_000, 200),
                ],
                "127.0.0.1",
            )
            for subject in self._subjects
        ]
        return self._hot.limits.take(charges, now=now_ms())

    def _set(self) -> Awaitable[object]:
        return self._hot.values.set(f"cache:{self.room_id}", b"1" * 64, expires=now_ms() + 60_000)

    def _get(self) -> Awaitable[object]:
        return self._hot.values.get(f"cache:{self.room_id}", now=now_ms())

    def _publish(self) -> Awaitable[object]:
        return self._hot.bus.publish([str(self.room_id)])


def main() -> None:
    """Reads the task from stdin, says when it is ready, waits for a line, and writes the times to stdout."""
    task = msgspec.json.decode(sys.stdin.readline(), type=Task)

    def begin() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        times = runner.run(probe(task, begin))
    sys.stdout.write(msgspec.json.encode(times).decode() + "\n")


if __name__ == "__main__":
    main()
