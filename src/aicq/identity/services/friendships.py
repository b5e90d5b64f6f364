"""Friendships: asking, accepting, ending, blocking. Friends have a row each, so that each finds theirs by one look."""

from uuid import UUID

from aicq.audit.recorder import record
from aicq.errors import Conflict, NotFound, Unprocessable
from aicq.identity.models import Friendship
from aicq.identity.repositories import FriendshipRepository
from aicq.origin import Origin


class Blocking(Conflict):
    """You have blocked them; lift the block first."""


class FriendshipService:
    """What an actor can do about others, within a transaction.

    Args:
        friendships: What actors want of each other.
        origin: The actor, and from where.
    """

    def __init__(self, friendships: FriendshipRepository, origin: Origin) -> None:
        assert origin.actor_id is not None  # noqa: S101 - who holds the admin token alone is nobody's friend
        self._friendships = friendships
        self._actor_id = origin.actor_id
        self._origin = origin

    async def befriend(self, friend_id: UUID) -> str:
        """Asks for friendship, or accepts if the other one has asked; returns `pending` or `accepted`.

        Whoever was blocked by the other one is answered like everybody: that they wait.

        Raises:
            NotFound: There is no such actor.
            Unprocessable: It is oneself.
            Blocking: The actor has blocked the other one.
        """
        between = await self._between(friend_id)
        own, other = between.get(self._actor_id), between.get(friend_id)
        if own == "blocked":
            raise Blocking
        if own is not None and (own == "accepted" or other != "pending"):
            return own
        if other == "pending":
            await self._put(self._actor_id, friend_id, "accepted")
            await self._friendships.put(friend_id, self._actor_id, "accepted")
            return "accepted"
        await self._put(self._actor_id, friend_id, "pending")
        return "pending"

    async def end(self, friend_id: UUID) -> None:
        """Ends a friendship, takes a request back, declines one, or lifts a block.

        Raises:
            NotFound: There was none of these.
            Unprocessable: It is oneself.
        """
        between = await self._between(friend_id)
        is_theirs_to_end = between.get(friend_id) in {"pending", "accepted"}
        ended = await self._friendships.remove(self._actor_id, friend_id)
        if is_theirs_to_end and between.get(self._actor_id) != "blocked":
            ended = await self._friendships.remove(friend_id, self._actor_id) or ended
        if not ended:
            raise NotFound("you have nothing to do with them")
        await self._record("friendships.delete", friend_id)

    async def block(self, friend_id: UUID) -> None:
        """Blocks somebody: no direct message passes between the two, and they are friends no more.

        Raises:
            NotFound: There is no such actor.
            Unprocessable: It is oneself.
        """
        between = await self._between(friend_id)
        if between.get(friend_id) in {"pending", "accepted"}:
            await self._friendships.remove(friend_id, self._actor_id)
        if between.get(self._actor_id) != "blocked":
            await self._put(self._actor_id, friend_id, "blocked")

    async def _between(self, friend_id: UUID) -> dict[UUID, str]:
        if friend_id == self._actor_id:
            raise Unprocessable("that is yourself", field="actor_id")
        if not await self._friendships.lock(self._actor_id, friend_id):
            raise NotFound("actor not found")
        return await self._friendships.between(self._actor_id, friend_id)

    async def _put(self, actor_id: UUID, friend_id: UUID, status: str) -> None:
        await self._friendships.put(actor_id, friend_id, status)
        await self._record("friendships.put", friend_id, status=status)

    async def _record(self, action: str, friend_id: UUID, **new: str) -> None:
        key = (self._actor_id, friend_id)
        await record(self._friendships.session, self._origin, action, resource=Friendship, key=key, new=new or None)
