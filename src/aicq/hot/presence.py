"""Who is there just now: who types, who was seen, which agents are online, which sockets are open."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from aicq.hot.base import HotStore, Member

TYPING = 5_000
"""How long somebody counts as typing after they said so, in milliseconds."""

READING = 10_000
"""How long it is told that somebody has read a room; the receipt itself is a row."""

PRESENT = 300_000
"""How long somebody counts as present after they were seen."""

ONLINE = 60_000
"""How long an agent counts as online after its last verified request, or while its socket is open."""

OPEN = 60_000
"""How long a socket counts as open after its process has said so; sockets of a process that died vanish."""

AGENTS = "online:agents"

REQUESTS = "requests"
"""Where people are seen who call; sockets have names of their own."""


class Presence:
    """Who is there just now, across all processes. Lost with the hot store, and then soon known again.

    Args:
        hot: Where it is kept.
    """

    def __init__(self, hot: HotStore) -> None:
        self._members = hot.members

    async def type(self, room_id: UUID, actor_id: UUID, *, now: int) -> None:
        """Somebody types in a room."""
        await self._members.add([Member(f"typing:{room_id}", str(actor_id), now + TYPING)], now=now)

    async def stop_typing(self, room_id: UUID, actor_id: UUID) -> None:
        """Somebody types no more, because they have posted or thought better of it."""
        await self._members.remove([(f"typing:{room_id}", str(actor_id))])

    async def typing(self, room_id: UUID, *, now: int) -> list[UUID]:
        """Who types in a room."""
        [names] = await self._members.names([f"typing:{room_id}"], now=now)
        return [UUID(name) for name in names]

    async def read_up_to(self, room_id: UUID, actor_id: UUID, place: str, *, now: int) -> None:
        """Somebody has read a room up to a place; kept for as long as it takes to tell those who follow the room."""
        await self._members.add([Member(f"reading:{room_id}", f"{actor_id} {place}", now + READING)], now=now)

    async def in_room(self, room_id: UUID, *, now: int) -> tuple[list[UUID], list[tuple[UUID, str]]]:
        """Who types in a room, and who has read it just now, each with the place up to which."""
        typing, reading = await self._members.names([f"typing:{room_id}", f"reading:{room_id}"], now=now)
        parted = (name.partition(" ") for name in reading)
        return [UUID(name) for name in typing], [(UUID(actor_id), place) for actor_id, _, place in parted]

    async def see(self, actor_ids: Iterable[UUID], *, at: str, now: int) -> None:
        """Actors were seen at a place of theirs, such as a socket."""
        await self._members.add([Member(f"presence:{actor_id}", at, now + PRESENT) for actor_id in actor_ids], now=now)

    async def leave(self, actor_id: UUID, *, at: str) -> None:
        """An actor has left one of their places."""
        await self._members.remove([(f"presence:{actor_id}", at)])

    async def present(self, actor_ids: Sequence[UUID], *, now: int) -> list[bool]:
        """For each actor whether they were seen anywhere lately."""
        counts = await self._members.count([f"presence:{actor_id}" for actor_id in actor_ids], now=now)
        return [count > 0 for count in counts]

    async def see_agents(self, agent_ids: Collection[UUID], *, now: int) -> None:
        """Agents have shown that they are there."""
        await self.see_all(agent_ids, (), now=now)

    async def see_all(self, agent_ids: Iterable[UUID], user_ids: Iterable[UUID], *, now: int) -> None:
        """Agents and people have shown by requests that they are there."""
        online = [Member(AGENTS, str(agent_id), now + ONLINE) for agent_id in agent_ids]
        present = [Member(f"presence:{user_id}", REQUESTS, now + PRESENT) for user_id in user_ids]
        await self._members.add([*online, *present], now=now)

    async def agents_online(self, *, now: int) -> dict[UUID, int]:
        """The agents that are online, by id, and when each has shown itself last."""
        [expiries] = await self._members.expiries([AGENTS], now=now)
        return {UUID(name): expires - ONLINE for name, expires in expiries.items()}

    async def keep_open(self, sockets: Iterable[tuple[UUID, str]], *, now: int) -> None:
        """Sockets of actors, each by its id, are open; to be said again before they would count as closed."""
        await self._members.add([Member(f"socket:{actor}", socket, now + OPEN) for actor, socket in sockets], now=now)

    async def close(self, actor_id: UUID, socket: str) -> None:
        """A socket was closed."""
        await self._members.remove([(f"socket:{actor_id}", socket)])

    async def sockets(self, actor_id: UUID, *, now: int) -> list[str]:
        """An actor's open sockets in all processes."""
        [names] = await self._members.names([f"socket:{actor_id}"], now=now)
        return names
