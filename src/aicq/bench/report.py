"""What a run found, as a table for people and as JSON for programs."""

from collections.abc import Sequence
from statistics import median
from typing import Self

import msgspec

from aicq.bench.rows import CALL_GOAL_MS, STORES


class Compared(msgspec.Struct, frozen=True):
    """A row's rates: one figure for every slice.

    Args:
        name: The row.
        work: What was done.
        goal: The ratio to be reached.
        floor: The floor's answers a second.
        rates: The product's, by hot store.
    """

    name: str
    work: str
    goal: float
    floor: list[float]
    rates: dict[str, list[float]]

    def ratio(self, store: str) -> float:
        """The product's median rate as a part of the floor's."""
        return median(self.rates[store]) / median(self.floor)


class Timed(msgspec.Struct, frozen=True):
    """How long something took, in milliseconds.

    Args:
        call: The kind of call, or what else was timed.
        times: All of them, by hot store.
        goals: The most that 99 of 100 may take, by hot store; empty for what others are compared with.
    """

    call: str
    times: dict[str, list[float]]
    goals: dict[str, float]

    @classmethod
    def alike(cls, call: str, times: dict[str, list[float]], goal: float = CALL_GOAL_MS) -> Self:
        """With the same goal on all stores."""
        return cls(call, times, dict.fromkeys(times, goal))

    def has_reached(self, store: str) -> bool:
        """Whether 99 of 100 took less than the goal."""
        return self.percentile(store, 99) < self.goals[store]

    def percentile(self, store: str, percent: int) -> float:
        """What so many percent of the calls did not exceed."""
        times = sorted(self.times[store])
        return times[-(-len(times) * percent // 100) - 1]


class Report(msgspec.Struct, frozen=True):
    """All that a run found.

    Args:
        setting: What it was measured on and how, one line each.
        compared: Rates.
        timed: Times.
        acknowledged: Messages that were acknowledged and found in the log, by hot store.
        notes: What else was seen, one line each.
    """

    setting: list[str]
    compared: list[Compared]
    timed: list[Timed]
    acknowledged: dict[str, int]
    notes: Sequence[str] = ()


def as_json(report: Report) -> str:
    """The figures of the table, with those of every slice."""
    rows = [
        {
            "row": row.name,
            "work": row.work,
            "goal": row.goal,
            "floor": row.floor,
            "rates": row.rates,
            "ratios": {store: round(row.ratio(store), 3) for store in row.rates},
            "reached": {store: row.ratio(store) >= row.goal for store in row.rates},
        }
        for row in report.compared
    ]
    calls = [
        {
            "call": row.call,
            "goal_ms": {store: round(goal, 3) for store, goal in row.goals.items()},
            "count": {store: len(times) for store, times in row.times.items()},
            "p50_ms": {store: round(row.percentile(store, 50), 3) for store in row.times},
            "p99_ms": {store: round(row.percentile(store, 99), 3) for store in row.times},
            "reached": {store: row.has_reached(store) for store in row.goals},
        }
        for row in report.timed
    ]
    document = {
        "setting": report.setting,
        "rows": rows,
        "calls": calls,
        "acknowledged": report.acknowledged,
        "notes": report.notes,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def as_table(report: Report) -> str:
    """The table."""
    parts = ["\n".join(report.setting)]
    if report.compared:
        head = ["work, answers a second", "floor", "Postgres", "ratio", "Redis", "ratio", "goal", "reached"]
        parts.append(_laid_out(head, [_compared(row) for row in report.compared]))
    if report.timed:
        head = ["calls, ms", "Postgres p50", "p99", "Redis p50", "p99", "goal", "reached"]
        parts.append(_laid_out(head, [_timed(row) for row in report.timed]))
    parts += report.notes
    found = ", ".join(f"{count:,} on {store.capitalize()}" for store, count in report.acknowledged.items())
    parts.append(f"Acknowledged messages, each found in the log: {found}.")
    return "\n\n".join(parts)


def _compared(row: Compared) -> list[str]:
    cells = [row.work, f"{median(row.floor):,.0f}"]
    for store in STORES:
        cells += [f"{median(row.rates[store]):,.0f}", f"{row.ratio(store):.2f}"] if store in row.rates else ["–", "–"]  # noqa: RUF001 - a dash for what was not measured
    return [*cells, f"{row.goal:.2f}", _reached([row.ratio(store) >= row.goal for store in row.rates])]


def _timed(row: Timed) -> list[str]:
    cells = [row.call]
    for store in STORES:
        cells += [f"{row.percentile(store, percent):.1f}" if store in row.times else "–" for percent in (50, 99)]  # noqa: RUF001 - likewise
    goals = dict.fromkeys(f"{goal:.0f}" for goal in row.goals.values())
    return [*cells, " ".join(goals) or "–", _reached([row.has_reached(store) for store in row.goals])]  # noqa: RUF001 - likewise


def _reached(stores: Sequence[bool]) -> str:
    return " ".join("yes" if reached else "no" for reached in stores) or "–"  # noqa: RUF001 - likewise


def _laid_out(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be: the first to the left, figures to the right."""
    widths = [max(len(line[at]) for line in (head, *rows)) for at in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )
