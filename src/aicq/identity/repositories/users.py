"""Where users are kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update

from aicq.db.repository import Repository
from aicq.identity.models import User

PAGE = 100


class UserRepository(Repository[User]):
    """Users by id, email and name."""

    model_type = User

    async def create(self, user_id: UUID, **values: Any) -> User:
        """Adds a user; Postgres refuses an email or a username that another one has."""
        return await self.added(id=user_id, **values)

    async def find(self, user_id: UUID) -> User | None:
        """The user with this id, active or not."""
        return await self._one(User.id == user_id)

    async def find_by_email(self, email: str) -> User | None:
        """The user with this address, in any case."""
        return await self._one(func.lower(User.email) == func.lower(email))

    async def find_by_username(self, username: str) -> User | None:
        """The user with this name, in any case."""
        return await self._one(func.lower(User.username) == func.lower(username))

    async def find_by_github_username(self, username: str) -> User | None:
        """The user with this name at GitHub, in any case."""
        return await self._one(func.lower(User.github_username) == func.lower(username))

    async def lock(self, user_id: UUID, *, password_hash: str | None) -> bool:
        """Keeps an active user with this password as they are until the transaction ends; False if there is none."""
        where = (User.id == user_id, User.is_active, User.password_hash == password_hash)
        statement = select(User.id).where(*where).with_for_update(key_share=True)
        return (await self.session.execute(statement)).first() is not None

    async def taken(self, usernames: Sequence[str]) -> set[str]:
        """Which of these names, in small letters, somebody has."""
        name = func.lower(User.username)
        return set((await self.session.execute(select(name).where(name.in_(usernames)))).scalars())

    async def update_online_status(self, user_id: UUID, status: str, *, now: datetime) -> bool:
        """Tells what a user chose to be shown as, and that they were here; False if there is no such user."""
        statement = update(User).where(User.id == user_id).values(status=status, last_seen_at=now).returning(User.id)
        return (await self.session.execute(statement)).first() is not None

    async def see(self, user_id: UUID, *, now: datetime) -> None:
        """Notes that a user was here, unless somebody is changing them just now: this is not worth waiting for."""
        free = select(User.id).where(User.id == user_id).with_for_update(key_share=True, skip_locked=True)
        await self.session.execute(update(User).where(User.id == free.scalar_subquery()).values(last_seen_at=now))

    async def list_online(self, *, limit: int = PAGE) -> Sequence[User]:
        """Users who are not offline by their own choice, who was seen last comes first."""
        statement = (
            select(User)
            .where(User.is_online, User.is_active)
            .order_by(User.last_seen_at.desc().nulls_last(), User.id)
            .limit(limit)
        )
        return (await self.session.execute(statement)).scalars().all()

    async def change(self, user_id: UUID, **values: Any) -> User | None:
        """Changes columns of a user and returns them, or None if there is no such user."""
        return await self.changed(update(User).where(User.id == user_id).values(values))

    async def remove(self, user_id: UUID) -> bool:
        """Deletes a user; their anchor stays. False if there is none."""
        statement = delete(User).where(User.id == user_id).returning(User.id)
        return (await self.session.execute(statement)).first() is not None

    async def _one(self, *where: Any) -> User | None:
        return (await self.session.execute(select(User).where(*where))).scalar_one_or_none()
