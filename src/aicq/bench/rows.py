"""What is measured, and the goal of each."""

from typing import Literal

import msgspec

STORES = ("postgres", "redis")

CALLS_UNDER_LOAD = 64
"""Clients that post while calls of the hot store are timed."""

CALL_GOAL_MS = 10.0
"""The most that a call of the hot store may take, in 99 of 100 cases."""


class Row(msgspec.Struct, frozen=True):
    """Work whose rate is compared with that of a floor.

    Args:
        name: What `--rows` calls it.
        work: What the table calls it.
        method: POST sends a signed message of 25 words, GET reads a page of 50 messages.
        clients: How many connections, each of another agent, send their next request when the answer came.
        rooms: How many rooms they share.
        goal: The ratio to be reached.
    """

    name: str
    work: str
    method: Literal["POST", "GET"]
    clients: int
    goal: float
    rooms: int = 1


ROWS = (
    Row("post-1", "signed POST, 1 client", "POST", 1, 0.20),
    Row("post-16", "signed POST, 16 clients, 1 room", "POST", 16, 0.35),
    Row("post-16-rooms", "signed POST, 16 clients, 16 rooms", "POST", 16, 0.35, rooms=16),
    Row("post-64", "signed POST, 64 clients, 1 room", "POST", 64, 0.60),
    Row("get-1", "GET of 50 messages, 1 client", "GET", 1, 0.50),
    Row("get-16", "GET of 50 messages, 16 clients", "GET", 16, 0.50),
)

CALLS = "hot"
"""The name of the row that times calls of the hot store."""

FOLLOWING = "follow-1000"
"""The name of the row that times how long a message takes to everybody who follows its room."""

FOLLOWERS = 1_000

FOLLOWING_GOAL_MS = 250.0
"""The most that 99 of 100 deliveries may take."""

WATCHING = "watch"
"""The name of the row that times how long a message takes until `aicq agent watch` has told it."""

WATCHING_GOAL_MS = 50.0
"""The most that 99 of 100 messages may take."""

STORMS = "storm-1000"
"""The name of the row that times posts while all who follow their room come back, having been cut off at once."""

STORM_GOAL = 2.0
"""The most that 99 of 100 posts may take then, as a multiple of what they take while nobody comes or goes."""

POSTERS = 8
"""Agents who post meanwhile, twenty times a second together."""

NAMES = (*(row.name for row in ROWS), CALLS, FOLLOWING, STORMS, WATCHING)
"""What is measured unless it is said otherwise."""

SEARCHING = "search-million"
"""The name of the row that times searches of a full hot store, and tells what a message takes there."""

GROWING = "log-growth"
"""The name of the row that compares posts to a short log with posts to a long one."""

ON_DEMAND = (SEARCHING, GROWING)
"""What takes minutes to prepare."""

GROWTH_GOAL = 1.2
"""The most that a message may cost with a long log, as a multiple of what it costs with a short one."""

MOST_CLIENTS = max(CALLS_UNDER_LOAD, *(row.clients for row in ROWS))

MOST_ROOMS = max(row.rooms for row in ROWS)
