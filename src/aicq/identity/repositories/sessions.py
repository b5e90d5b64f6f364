"""Where users' sessions are kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update

from aicq.db.repository import Repository
from aicq.identity.models import Session, User

PAGE = 100


class SessionRepository(Repository[Session]):
    """Sessions by id and by user."""

    model_type = Session

    async def create(self, session_id: UUID, **values: Any) -> Session:
        """Adds a session."""
        return await self.added(id=session_id, **values)

    async def find(self, session_id: UUID) -> Session | None:
        """The session with this id, whatever became of it."""
        return (await self.session.execute(select(Session).where(Session.id == session_id))).scalar_one_or_none()

    async def find_live(self, session_id: UUID, *, now: datetime) -> Session | None:
        """The session with this id, unless it is over; nobody else changes it until the transaction ends."""
        statement = (
            select(Session)
            .join(User, User.id == Session.user_id)
            .where(Session.id == session_id, User.is_active, *_live(now))
            .with_for_update(of=Session)
        )
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def renew(self, session_id: UUID, **values: Any) -> None:
        """Has a session go on with another refresh token."""
        await self.session.execute(update(Session).where(Session.id == session_id).values(values))

    async def list_live(
        self, user_id: UUID, *, now: datetime, after: UUID | None = None, limit: int = PAGE
    ) -> Sequence[Session]:
        """A user's sessions that are neither revoked nor over."""
        statement = select(Session).where(Session.user_id == user_id, *_live(now)).order_by(Session.id).limit(limit)
        if after is not None:
            statement = statement.where(Session.id > after)
        return (await self.session.execute(statement)).scalars().all()

    async def revoke(self, session_id: UUID, *, because: str, now: datetime, user_id: UUID | None = None) -> bool:
        """Ends a session, if it is this user's; False if it is not, or is over already."""
        statement = update(Session).where(Session.id == session_id, *_live(now))
        if user_id is not None:
            statement = statement.where(Session.user_id == user_id)
        return await self._revoke(statement, because=because, now=now) > 0

    async def revoke_all(self, user_id: UUID, *, because: str, now: datetime, but: UUID | None = None) -> int:
        """Ends all sessions of a user, but perhaps one, and returns how many there were."""
        statement = update(Session).where(Session.user_id == user_id, *_live(now))
        if but is not None:
            statement = statement.where(Session.id != but)
        return await self._revoke(statement, because=because, now=now)

    async def drop_dead(self, *, before: datetime, limit: int = 1000) -> int:
        """Deletes sessions that were over at that time, some at a time, and returns how many."""
        dead = select(Session.id).where(Session.expires_at < before).order_by(Session.expires_at).limit(limit)
        statement = delete(Session).where(Session.id.in_(dead)).returning(Session.id)
        return len((await self.session.execute(statement)).all())

    async def _revoke(self, statement: Any, *, because: str, now: datetime) -> int:
        values = statement.values(revoked_at=now, revoked_because=because).returning(Session.id)
        return len((await self.session.execute(values)).all())


def _live(now: datetime) -> tuple[Any, ...]:
    return Session.revoked_at.is_(None), Session.expires_at > now
