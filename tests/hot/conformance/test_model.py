"""Spans and pages against a plain model, by operations in any order."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from aicq.hot.base import HOT_WINDOW, HotStore, Page, PageQuery
from tests.hot.logged import HOUR, NOW, LoggedRoom, message_id, read

LENGTH = 24
TIMES = [NOW + HOUR * (number // 3) for number in range(LENGTH)]


class Model:
    """What a span is: which of a log's positions are held, and since when they are no longer seen."""

    def __init__(self, room: LoggedRoom) -> None:
        self.ids = [entry.id for entry in room.entries]
        self.wires = room.wires()
        self.low = self.last = 0

    def first(self, now: int) -> int:
        alive = (seq for seq in range(self.low, self.last + 1) if now < TIMES[seq - 1] + HOT_WINDOW)
        return next(alive, self.last + 1)

    def append(self, first: int, last: int) -> int:
        if not self.last:
            self.low, self.last = first, last
        elif first <= self.last + 1:
            self.last = max(self.last, last)
        return self.last

    def prepend(self, first: int, last: int, now: int) -> bool:
        if now >= TIMES[first - 1] + HOT_WINDOW or (self.last and last != self.first(now) - 1):
            return False
        self.low, self.last = first, self.last or last
        return True

    def page(self, query: PageQuery, now: int) -> Page | None:
        if not self.last:
            return None
        first = self.first(now)
        held = range(first, self.last + 1)
        if query.after is not None:
            seqs = [seq for seq in held if seq > bisect_right(self.ids, query.after)][: query.limit]
        else:
            end = bisect_left(self.ids, query.before) if query.before else LENGTH
            seqs = [seq for seq in held if seq <= end][::-1][: query.limit]
        return Page(first, self.last, [self.wires[seq - 1] for seq in seqs])


positions = st.tuples(st.integers(1, LENGTH), st.integers(1, LENGTH)).map(sorted)
limits = st.integers(1, 8) | st.just(LENGTH)
bounds = st.integers(0, LENGTH - 1) | st.sampled_from(["0" * 26, "7" + "Z" * 25, *(message_id(at, 9) for at in TIMES)])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), positions),
        st.tuples(st.just("append next"), st.integers(1, 6)),
        st.tuples(st.just("prepend"), positions),
        st.tuples(st.just("prepend next"), st.integers(1, 6)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, HOUR, 7 * HOUR, 25 * HOUR])),
        st.tuples(st.just("forget"), st.none()),
    ),
    max_size=14,
)
queries = st.lists(st.tuples(st.sampled_from(["newest", "before", "after"]), bounds, limits), min_size=1, max_size=6)


def query_of(room: LoggedRoom, direction: str, bound: int | str, limit: int) -> PageQuery:
    ulid = bound if isinstance(bound, str) else room.entries[bound].id
    make: dict[str, Callable[[], PageQuery]] = {
        "newest": lambda: PageQuery(room.id, limit),
        "before": lambda: PageQuery(room.id, limit, before=ulid),
        "after": lambda: PageQuery(room.id, limit, after=ulid),
    }
    return make[direction]()


@settings(max_examples=200)
@given(steps, queries)
async def test_whatever_happens_the_pages_are_the_models(
    hot_store: HotStore, steps: list[tuple[str, object]], queries: list[tuple[str, int | str, int]]
) -> None:
    room = LoggedRoom()
    for at in TIMES:
        room.post("a message", at=at)
    model, now = Model(room), NOW + 8 * HOUR
    asked = [query_of(room, *query) for query in queries]
    for verb, argument in steps:
        first, last = argument if isinstance(argument, list) else (1, 1)
        if isinstance(argument, int) and verb == "append next":
            first, last = min(model.last + 1, LENGTH), min(model.last + argument, LENGTH)
        if isinstance(argument, int) and verb == "prepend next":
            last = max(model.first(now) - 1, 1)
            first = max(last - argument + 1, 1)
        if verb == "wait" and isinstance(argument, int):
            now += argument
        elif verb == "forget":
            await hot_store.messages.forget(room.id)
            model.low = model.last = 0
        elif verb.startswith("append"):
            last_held = await hot_store.messages.append([room.run(first, last)], now=now)
            assert last_held == [model.append(first, last)]
        elif verb.startswith("prepend"):
            assert await hot_store.messages.prepend(room.run(first, last), now=now) == model.prepend(first, last, now)
        assert await read(hot_store, *asked, now=now) == [model.page(query, now) for query in asked]
