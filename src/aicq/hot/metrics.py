"""What `/metrics` tells of the hot store."""

from functools import lru_cache

from prometheus_client import Counter, Histogram

CALLS = Histogram(
    "aicq_hot_call_seconds",
    "Time of a call to the hot store, by what was called",
    ["store", "call"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1),
)
UNANSWERED = Counter("aicq_hot_call_failures_total", "Calls that the hot store did not answer", ["store"])
EPOCHS = Counter("aicq_hot_epochs_total", "Times that the hot store was emptied, because it had lost what it held")
REFILLED = Counter("aicq_hot_refilled_entries_total", "Entries that the hot store got from the log afterwards")


@lru_cache(maxsize=256)
def timer(store: str, call: str) -> Histogram:
    """The times of one kind of call; finding them by their labels costs more than noting one."""
    return CALLS.labels(store, call)
