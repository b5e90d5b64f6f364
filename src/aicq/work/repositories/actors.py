"""What work asks of actors."""

from uuid import UUID

from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.identity.models import Actor, Team
from aicq.identity.repositories.belonging import belongs_to_team


async def hold_actor(session: AsyncSession, actor_id: UUID) -> bool:
    """Whether there is such an actor; nobody deletes them until the transaction ends."""
    statement = select(Actor.id).where(Actor.id == actor_id, Actor.deleted_at.is_(None))
    return await session.scalar(statement.with_for_update(read=True, key_share=True)) is not None


async def is_team_of(session: AsyncSession, team_id: UUID, actor_id: UUID | None) -> bool:
    """Whether there is such a team and the actor belongs to it; None belongs to all."""
    belongs = true() if actor_id is None else belongs_to_team(Team.id, actor_id)
    return await session.scalar(select(Team.id).where(Team.id == team_id, belongs)) is not None
