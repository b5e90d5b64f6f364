"""Where friendships are kept."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from aicq.db.repository import Repository
from aicq.identity.models import Actor, Friendship

PAGE = 100


class FriendshipRepository(Repository[Friendship]):
    """What actors want of each other."""

    model_type = Friendship

    async def lock(self, one: UUID, other: UUID) -> bool:
        """Lets nobody else change what is between the two until the transaction ends; False if one of them is gone.

        Their rows may not be there yet, so the actors themselves are locked, in the order of their ids.
        """
        statement = (
            select(Actor.id)
            .where(Actor.id.in_([one, other]), Actor.deleted_at.is_(None))
            .order_by(Actor.id)
            .with_for_update(key_share=True)
        )
        return len((await self.session.execute(statement)).all()) == len({one, other})

    async def between(self, one: UUID, other: UUID) -> dict[UUID, str]:
        """What each of the two wants of the other: a status by actor, of those who want anything."""
        statement = select(Friendship.actor_id, Friendship.status).where(_pair(one, other))
        return {row.actor_id: row.status for row in await self.session.execute(statement)}

    async def put(self, actor_id: UUID, friend_id: UUID, status: str) -> None:
        """Sets what one actor wants of another."""
        values = {"actor_id": actor_id, "friend_id": friend_id, "status": status}
        keys = [Friendship.actor_id, Friendship.friend_id]
        statement = insert(Friendship).values(values)
        await self.session.execute(statement.on_conflict_do_update(index_elements=keys, set_={"status": status}))

    async def remove(self, actor_id: UUID, friend_id: UUID) -> bool:
        """Has one actor want nothing of another; False if it was so before."""
        where = (Friendship.actor_id == actor_id, Friendship.friend_id == friend_id)
        statement = delete(Friendship).where(*where).returning(Friendship.actor_id)
        return (await self.session.execute(statement)).first() is not None

    async def is_blocked(self, one: UUID, other: UUID) -> bool:
        """Whether one of the two has blocked the other."""
        statement = select(Friendship.actor_id).where(_pair(one, other), Friendship.status == "blocked").limit(1)
        return (await self.session.execute(statement)).first() is not None

    async def list_friends(
        self, actor_id: UUID, *, status: str = "accepted", after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Friendship]:
        """An actor's friends, or whom they have asked, or blocked, by status."""
        statement = select(Friendship).where(Friendship.actor_id == actor_id, Friendship.status == status)
        return await self._page(statement, Friendship.friend_id, after=after, limit=limit)

    async def list_requests(
        self, actor_id: UUID, *, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Friendship]:
        """Who wants to be an actor's friend and waits for an answer, but for those whom the actor has blocked."""
        own = aliased(Friendship)
        is_blocked = exists().where(
            own.actor_id == actor_id, own.friend_id == Friendship.actor_id, own.status == "blocked"
        )
        where = (Friendship.friend_id == actor_id, Friendship.status == "pending", ~is_blocked)
        statement = select(Friendship).where(*where)
        return await self._page(statement, Friendship.actor_id, after=after, limit=limit)

    async def _page(self, statement: Any, by: Any, *, after: UUID | None, limit: int) -> Sequence[Friendship]:
        if after is not None:
            statement = statement.where(by > after)
        return (await self.session.execute(statement.order_by(by).limit(limit))).scalars().all()


def _pair(one: UUID, other: UUID) -> Any:
    return tuple_(Friendship.actor_id, Friendship.friend_id).in_([(one, other), (other, one)])
