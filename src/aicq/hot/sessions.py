"""Sessions by id, each of an actor, with a list of each actor's own."""

from uuid import UUID

import msgspec

from aicq.hot.base import HotStore, Member

LIFETIME = 86_400_000
"""How long a session lasts unless it is refreshed, in milliseconds."""


class Session(msgspec.Struct, frozen=True):
    """A session.

    Args:
        id: Long and random; who has it is in.
        actor_id: Whose it is.
        created: When it began, in Unix milliseconds.
        data: What is remembered in it.
    """

    id: str
    actor_id: UUID
    created: int
    data: dict[str, str] = {}


class Sessions:
    """Sessions, under `session:`; lost with the hot store, and then everybody logs in again.

    Args:
        hot: Where they are kept.
    """

    def __init__(self, hot: HotStore) -> None:
        self._values = hot.values
        self._members = hot.members

    async def create(self, session: Session, *, now: int, ttl: int = LIFETIME) -> None:
        """Begins a session. It is in its actor's list first, so that no session lives that cannot be revoked."""
        await self._members.add([Member(_list_of(session.actor_id), session.id, now + ttl)], now=now)
        await self._values.set(f"session:{session.id}", msgspec.json.encode(session), expires=now + ttl)

    async def get(self, session_id: str, *, now: int) -> Session | None:
        """The session, or None if there is none, or none any more."""
        held = await self._values.get(f"session:{session_id}", now=now)
        return None if held is None else msgspec.json.decode(held, type=Session)

    async def refresh(self, session_id: str, *, now: int, ttl: int = LIFETIME) -> bool:
        """Has a session last `ttl` from now; False if it has ended."""
        session = await self.get(session_id, now=now)
        if session is None:
            return False
        await self._members.add([Member(_list_of(session.actor_id), session.id, now + ttl)], now=now)
        return await self._values.refresh(f"session:{session_id}", expires=now + ttl, now=now)

    async def delete(self, session: Session) -> None:
        """Ends a session."""
        await self._values.delete([f"session:{session.id}"])
        await self._members.remove([(_list_of(session.actor_id), session.id)])

    async def sessions_of(self, actor_id: UUID, *, now: int) -> list[Session]:
        """An actor's sessions."""
        [ids] = await self._members.names([_list_of(actor_id)], now=now)
        found = [await self.get(session_id, now=now) for session_id in ids]
        return [session for session in found if session is not None]

    async def revoke(self, actor_id: UUID, *, now: int) -> int:
        """Ends all sessions of an actor, at once in every process, and returns how many there were."""
        [ids] = await self._members.names([_list_of(actor_id)], now=now)
        count = await self._values.delete([f"session:{session_id}" for session_id in ids])
        await self._members.remove([(_list_of(actor_id), session_id) for session_id in ids])
        return count


def _list_of(actor_id: UUID) -> str:
    return f"sessions:{actor_id}"
