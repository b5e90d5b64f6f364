"""States that are handed out once and taken once: what begins a log-in elsewhere must end it here, and only once."""

from typing import TypeVar

import msgspec

from aicq.hot.base import HotStore

State = TypeVar("State")

LIFETIME = 600_000
"""How long a state waits to be taken, in milliseconds."""


class States:
    """One-time states, under `oidc:state:`.

    Args:
        hot: Where they are kept.
    """

    def __init__(self, hot: HotStore) -> None:
        self._values = hot.values

    async def put(self, state_id: str, state: object, *, now: int) -> bool:
        """Keeps a state; False if there is one with that id already."""
        value = msgspec.json.encode(state)
        return await self._values.add(f"oidc:state:{state_id}", value, expires=now + LIFETIME, now=now)

    async def take(self, state_id: str, kind: type[State], *, now: int) -> State | None:
        """The state, which is gone then: of many who ask, one gets it."""
        held = await self._values.take(f"oidc:state:{state_id}", now=now)
        return None if held is None else msgspec.json.decode(held, type=kind)
