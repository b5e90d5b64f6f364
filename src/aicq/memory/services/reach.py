"""What an actor reaches of memory: what belongs to their teams. All else is not there for them."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.errors import Forbidden, NotFound
from aicq.memory.repositories import ReachRepository


class Reach:
    """What an actor reaches, and may change.

    A team's viewers read; its members, and the agents that are its own, change as well. What an agent keeps for itself,
    nobody else reaches, whatever they are in the team.

    Args:
        session: The transaction.
        actor_id: Who.
    """

    def __init__(self, session: AsyncSession, actor_id: UUID) -> None:
        self._places = ReachRepository(session, actor_id)

    async def team(self, team_id: UUID, *, to_change: bool = False, field: str | None = None) -> None:
        """Looks whether they belong to a team.

        Raises:
            NotFound: They do not, or there is none.
            Forbidden: They are there to read, and it is to change.
        """
        allowed(await self._places.team(team_id), "team not found", to_change=to_change, field=field)

    async def memory(self, memory_id: UUID, *, to_change: bool = False, field: str | None = None) -> UUID:
        """The team of a memory.

        Raises:
            NotFound: They reach no such memory.
            Forbidden: They are there to read, and it is to change.
        """
        return allowed(await self._places.memory(memory_id), "memory not found", to_change=to_change, field=field)

    async def history(self, memory_id: UUID) -> UUID:
        """The team of a memory that is there, or was.

        Raises:
            NotFound: They reach no such memory.
        """
        return allowed(await self._places.history(memory_id), "memory not found")

    async def conversation(self, conversation_id: UUID, *, to_change: bool = False) -> UUID:
        """The team of a conversation.

        Raises:
            NotFound: They reach no such conversation.
            Forbidden: They are there to read, and it is to change.
        """
        place = await self._places.conversation(conversation_id)
        return allowed(place, "conversation not found", to_change=to_change)


def allowed(
    place: tuple[UUID, str] | None, otherwise: str, *, to_change: bool = False, field: str | None = None
) -> UUID:
    """The team where somebody stands, if that suffices.

    Raises:
        NotFound: They stand nowhere.
        Forbidden: They are there to read, and it is to change.
    """
    if place is None:
        raise NotFound(otherwise, field=field)
    team_id, role = place
    if to_change and role == "viewer":
        raise Forbidden("your role in the team does not allow it")
    return team_id
