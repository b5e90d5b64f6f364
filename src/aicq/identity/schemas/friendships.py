"""What friendships look like on the wire."""

from typing import Literal

import msgspec

FriendshipStatus = Literal["pending", "accepted", "blocked"]


class Friend(msgspec.Struct):
    """Somebody whom the caller has to do with, or who wants to have to do with the caller.

    Args:
        actor_id: Who.
        status: Whether one waits for an answer, they are friends, or the caller wants to hear nothing of them.
        since: Since when.
    """

    actor_id: str
    status: FriendshipStatus
    since: str


class Friends(msgspec.Struct):
    """A page of friends.

    Args:
        items: The friends.
        next: The cursor of the next page; null on the last one.
    """

    items: list[Friend]
    next: str | None


class Befriended(msgspec.Struct):
    """How it stands.

    Args:
        status: `pending` until the other one asks as well, then `accepted`.
    """

    status: Literal["pending", "accepted"]
