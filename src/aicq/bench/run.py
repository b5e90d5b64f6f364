"""One run: what is measured, in which order.

Slices of load alternate between the floor and the product on each store, and their order turns from round to round,
so that whatever else the machine does hits all of them alike. Only one server is under load at a time.
"""

import asyncio
import itertools
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import msgspec
import uvloop

from aicq import __version__
from aicq.bench import servers
from aicq.bench.followers import follow
from aicq.bench.large import KINDS, load_log, search_many
from aicq.bench.load import Measured, run_slice
from aicq.bench.report import Compared, Report, Timed
from aicq.bench.rows import (
    CALLS,
    CALLS_UNDER_LOAD,
    FOLLOWERS,
    FOLLOWING,
    FOLLOWING_GOAL_MS,
    GROWING,
    GROWTH_GOAL,
    NAMES,
    ON_DEMAND,
    POSTERS,
    ROWS,
    SEARCHING,
    STORES,
    STORM_GOAL,
    STORMS,
    WATCHING,
    WATCHING_GOAL_MS,
    Row,
)
from aicq.bench.servers import Target
from aicq.bench.stores import Store, version_of
from aicq.bench.storms import weather
from aicq.bench.traffic import posts, read
from aicq.bench.visits import Times, prepare, times_between, visit
from aicq.bench.watching import watch
from aicq.errors import StartError

PAGE_FILL = 64
"""Messages in the room that is read: more than a page of 50."""

GUESS = 5_000
"""Answers a second that are prepared for before anything is known."""

SPARE = 1.4
"""Times as many requests are prepared as the last slice needed."""

FEWEST_CALLS = 40
"""Calls of a kind in a run that are worth a line."""

Tell = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True):
    """What to measure.

    Args:
        rows: Names of rows.
        stores: Hot stores.
        seconds: How long each slice is.
        warm: How long the same load runs before each slice.
        rounds: How many slices of each row there are for each server.
        hot_messages: How many messages a full hot store holds.
        log_lengths: How many messages a short log holds, and a long one.
        database_url: A Postgres to make databases in; None for an embedded one.
    """

    rows: Sequence[str] = NAMES
    stores: Sequence[str] = STORES
    seconds: float = 2.0
    warm: float = 0.4
    rounds: int = 5
    hot_messages: int = 1_000_000
    log_lengths: tuple[int, int] = (10_000, 10_000_000)
    database_url: str | None = None


def once(plan: Plan) -> Plan:
    """The same with one short slice of everything: shows that it works, not how fast."""
    return msgspec.structs.replace(
        plan, seconds=0.3, warm=0.1, rounds=1, hot_messages=2_000, log_lengths=(1_000, 5_000)
    )


def measure(plan: Plan, tell: Tell) -> Report:
    """Starts everything, measures, and ends everything.

    Args:
        plan: What to measure.
        tell: Gets a line now and then about how far it is.

    Raises:
        StartError: Something did not work; the figures would mean nothing.
    """
    if unknown := set(plan.rows) - {*NAMES, *ON_DEMAND}:
        known = ", ".join([*NAMES, *ON_DEMAND])
        raise StartError(f"There are no rows {', '.join(sorted(unknown))}; there are {known}.")
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aicq-bench-")))
        tell("starting")
        urls = {
            store: stack.enter_context(servers.redis(directory)) if store == "redis" else "" for store in plan.stores
        }
        products = stack.enter_context(servers.products(directory, urls, plan.database_url))
        bench = Bench(plan, products, runner, tell)
        bench.floor = stack.enter_context(servers.bare(directory, bench.fill_page()))
        return bench.run()


class Bench:
    """A run under way.

    Args:
        plan: What to measure.
        products: The product, on each store.
        runner: Where the load is made.
        tell: Gets a line now and then.
    """

    floor: Target

    def __init__(self, plan: Plan, products: Sequence[Target], runner: asyncio.Runner, tell: Tell) -> None:
        self._plan = plan
        self._products = products
        self._runner = runner
        self._tell = tell
        self._pace: dict[tuple[str, str], float] = {}
        self._notes: list[str] = []

    def fill_page(self) -> bytes:
        """Fills the room that is read and returns the page, as the last product sends it."""
        page = b""
        for product in self._products:
            requests = [iter(posts(product.agents[0], product.read_room, PAGE_FILL))]
            self._load(product, requests, status=201, warm=0, seconds=servers.READY_WITHIN)
            _, page = servers.ask(product.port, "GET", f"/room/{product.read_room}")
        return page

    def run(self) -> Report:
        """Measures all rows and compares what was acknowledged with what the logs hold."""
        compared = [self._compare(row) for row in ROWS if row.name in self._plan.rows]
        timed = self._time_calls() if CALLS in self._plan.rows else []
        timed += [self._time_following()] if FOLLOWING in self._plan.rows else []
        timed += self._time_storms() if STORMS in self._plan.rows else []
        timed += [self._time_watching()] if WATCHING in self._plan.rows else []
        timed += self._time_searches() if SEARCHING in self._plan.rows else []
        compared += self._compare_lengths() if GROWING in self._plan.rows else []
        self._tell("comparing the logs with what was acknowledged")
        for product in self._products:
            servers.check_log(product)
        acknowledged = {product.name: product.acknowledged for product in self._products}
        return Report(self._setting(), compared, timed, acknowledged, self._notes)

    def _compare(self, row: Row) -> Compared:
        targets = [self.floor, *self._products]
        rates: dict[str, list[float]] = {target.name: [] for target in targets}
        if self._plan.rounds > 1:
            for target in targets:
                self._slice(target, row, warm=0, seconds=self._plan.warm)  # tells how many requests are needed
        for number in range(self._plan.rounds):
            self._tell(f"{row.name}: round {number + 1} of {self._plan.rounds}")
            turn = number % len(targets)
            for target in targets[turn:] + targets[:turn]:
                measured = self._slice(target, row, warm=self._plan.warm, seconds=self._plan.seconds)
                rates[target.name].append(measured.rate)
        return Compared(row.name, row.work, row.goal, rates.pop(self.floor.name), rates)

    def _slice(self, target: Target, row: Row, *, warm: float, seconds: float) -> Measured:
        pace = self._pace.get((target.name, row.name), GUESS)
        requests = self._requests(target, row, int(pace * SPARE * (warm + seconds)))
        measured = self._load(target, requests, status=201 if row.method == "POST" else 200, warm=warm, seconds=seconds)
        self._pace[target.name, row.name] = measured.rate
        return measured

    def _requests(self, target: Target, row: Row, count: int) -> list[Iterator[bytes]]:
        agents, rooms = target.agents[: row.clients], itertools.cycle(target.rooms[: row.rooms])
        if row.method == "GET":
            return [itertools.repeat(read(f"/room/{target.read_room}")) for _ in agents]
        each = count // row.clients + 10
        return [iter(posts(agent, next(rooms), each)) for agent in agents]

    def _load(
        self, target: Target, requests: Sequence[Iterator[bytes]], *, status: int, warm: float, seconds: float
    ) -> Measured:
        measured = self._runner.run(run_slice(target.port, requests, status=status, warm=warm, seconds=seconds))
        if status == 201:  # noqa: PLR2004 - a message was posted
            target.acknowledged += measured.answered
        return measured

    def _rounds(self, row: str) -> Iterator[Target]:
        """The products, each once a round."""
        for number in range(self._plan.rounds):
            self._tell(f"{row}: round {number + 1} of {self._plan.rounds}")
            yield from self._products

    def _time_calls(self) -> list[Timed]:
        """Times the product's own calls of its hot store while clients post and a visitor looks around."""
        times: dict[str, Times] = {}
        for product in self._products:
            self._runner.run(prepare(product))
        for product in self._rounds(CALLS):
            for call, taken in self._calls_under_load(product).items():
                times.setdefault(call, {}).setdefault(product.name, []).extend(taken)
        # What is called now and then by itself, for `/health` and by the keeper, was called too seldom to be told.
        return [
            Timed.alike(call, taken)
            for call, taken in sorted(times.items())
            if min(map(len, taken.values())) >= FEWEST_CALLS
        ]

    def _calls_under_load(self, product: Target) -> Times:
        row = next(row for row in ROWS if row.method == "POST" and row.clients == CALLS_UNDER_LOAD)
        seconds = 2 * self._plan.seconds

        async def load(requests: Sequence[Iterator[bytes]]) -> tuple[Measured, int]:
            visits = asyncio.create_task(visit(product, seconds))
            return await run_slice(product.port, requests, status=201, warm=0, seconds=seconds), await visits

        while True:
            pace = self._pace.get((product.name, row.name), GUESS)
            requests = self._requests(product, row, int(pace * SPARE * (seconds + 1)))
            before = servers.hot_calls(product)
            measured, added = self._runner.run(load(requests))
            product.acknowledged += measured.answered + added
            self._pace[product.name, row.name] = 2 * pace if measured.ran_dry else measured.rate
            # Clients who have nothing left to send leave an idle store to be timed: then it is done again, with more.
            if not measured.ran_dry:
                return times_between(before, servers.hot_calls(product))

    def _time_following(self) -> Timed:
        """Times deliveries; one agent posts four times a second."""
        times: dict[str, list[float]] = {product.name: [] for product in self._products}
        for product in self._rounds(FOLLOWING):
            seconds = 2 * self._plan.seconds
            followed = follow(product.port, product.agents[0], product.rooms[0], followers=FOLLOWERS, seconds=seconds)
            arrived = self._runner.run(followed)
            product.acknowledged += len(arrived) // FOLLOWERS
            times[product.name] += arrived
        return Timed.alike(f"a post to each of {FOLLOWERS:,} followers", times, FOLLOWING_GOAL_MS)

    def _time_storms(self) -> list[Timed]:
        """Times posts to a room that many follow, before all of them are cut off and while they come back."""
        quiet: dict[str, list[float]] = {product.name: [] for product in self._products}
        amid: dict[str, list[float]] = {product.name: [] for product in self._products}
        back: dict[str, list[str]] = {product.name: [] for product in self._products}
        for product in self._rounds(STORMS):
            agents, seconds = product.agents[:POSTERS], 2 * self._plan.seconds
            storm = self._runner.run(
                weather(product.port, agents, product.rooms[0], followers=FOLLOWERS, seconds=seconds)
            )
            product.acknowledged += storm.posted
            quiet[product.name] += storm.quiet
            amid[product.name] += storm.amid
            back[product.name].append(f"{storm.seconds:.1f}")
        self._notes += [
            f"{FOLLOWERS:,} followers on {store.capitalize()} were back after {', '.join(each)} s."
            for store, each in back.items()
        ]
        before = Timed(f"a post with {FOLLOWERS:,} followers", quiet, {})
        goals = {store: STORM_GOAL * before.percentile(store, 99) for store in quiet}
        return [before, Timed(f"a post while {FOLLOWERS:,} come back", amid, goals)]

    def _time_watching(self) -> Timed:
        """Times what a person sees who watches a room; one agent posts four times a second at most."""
        times: dict[str, list[float]] = {product.name: [] for product in self._products}
        for product in self._rounds(WATCHING):
            room, seconds = product.rooms[0], 2 * self._plan.seconds
            newest = servers.newest(product.port, room)
            told = self._runner.run(watch(product.port, product.agents[0], room, after=newest, seconds=seconds))
            product.acknowledged += len(told) + 1
            times[product.name] += told
        return Timed.alike("a post told by aicq agent watch", times, WATCHING_GOAL_MS)

    def _time_searches(self) -> list[Timed]:
        """Times searches of a full hot store, one after the other."""
        count = self._plan.hot_messages
        searched = {}
        for product in self._products:
            self._tell(f"{SEARCHING}: filling {product.name} with {count:,} messages")
            store = Store(product.name, product.hot_url)
            searched[product.name] = self._runner.run(search_many(store, count))
        sizes = [f"{found.bytes_each:,.0f} bytes on {name.capitalize()}" for name, found in searched.items()]
        self._notes.append(f"A hot message of 25 words takes {', '.join(sizes)}, of {count:,}.")
        return [
            Timed.alike(f"search of {count:,}, {kind}", {name: found.times[kind] for name, found in searched.items()})
            for kind in KINDS
        ]

    def _compare_lengths(self) -> list[Compared]:
        """Compares posts with a short log and with a long one, each with the floor of its own minutes.

        The goal of the long one is what the short one has reached, less what a message may cost more.
        """
        short, long = (self._compare_at(length) for length in self._plan.log_lengths)
        goal = min(short.ratio(product.name) for product in self._products) / GROWTH_GOAL
        return [short, msgspec.structs.replace(long, goal=round(goal, 3))]

    def _compare_at(self, length: int) -> Compared:
        for product in self._products:

            def tell(loaded: int, product: Target = product) -> None:
                self._tell(f"{GROWING}: {loaded:,} messages in the log of {product.name}")

            author = UUID(product.agents[0].id)
            room_id = self._runner.run(load_log(product.database_url, author, length, tell))
            product.rooms.insert(0, str(room_id))
            product.acknowledged += length
        work = f"signed POST, 64 clients, log of {length:,}"
        return self._compare(Row(GROWING, work, "POST", CALLS_UNDER_LOAD, 0.0))

    def _setting(self) -> list[str]:
        plan = self._plan
        versions = [self._runner.run(version_of(Store(each.name, each.hot_url))) for each in self._products]
        return [
            f"AICQ {__version__}, one worker, Python {platform.python_version()}, hot store on {', '.join(versions)}.",
            f"{os.cpu_count()} cores, shared with the databases and the clients. Postgres with fsync.",
            f"Medians of {plan.rounds} slices of {plan.seconds:g} s. The floor is a bare route on the same server.",
        ]
