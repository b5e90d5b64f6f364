"""Proving passwords: outside of transactions, since it takes long, and counted by account."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.auth.passwords import Passwords
from aicq.identity.models import User
from aicq.identity.repositories import UserRepository


class Guesses(Protocol):
    """Guesses at an account's password."""

    async def take(self, account: str) -> None:
        """Counts one; raises RateLimited if there were too many."""

    async def forgive(self, account: str) -> None:
        """Forgets them, because one was right."""


class Credentials:
    """Who knows a user's password is the user. Users there are not take as long as those there are.

    Args:
        sessions: Opens transactions.
        passwords: Checks passwords.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession], passwords: Passwords) -> None:
        self._sessions = sessions
        self._passwords = passwords

    async def user_of(self, login: str, password: str, guesses: Guesses) -> User | None:
        """The active user with this email or username, and this password; None if there is none.

        Raises:
            RateLimited: There were too many guesses.
            Unavailable: Too many passwords wait to be checked.
        """
        find = _by_email(login) if "@" in login else _by_username(login)
        return await self._prove(login.lower(), find, password, guesses)

    async def user(self, user_id: UUID, password: str, guesses: Guesses) -> User | None:
        """The active user with this id, if this is their password; else None.

        Raises:
            RateLimited: There were too many guesses.
            Unavailable: Too many passwords wait to be checked.
        """
        return await self._prove(str(user_id), lambda users: users.find(user_id), password, guesses)

    async def _prove(
        self,
        account: str,
        find: Callable[[UserRepository], Awaitable[User | None]],
        password: str,
        guesses: Guesses,
    ) -> User | None:
        # The hot store is not to know who is who.
        counted = hashlib.sha256(account.encode()).hexdigest()[:32]
        await guesses.take(counted)
        async with self._sessions() as session:
            user = await find(UserRepository(session))
        password_hash = user.password_hash if user is not None and user.is_active else None
        if not await self._passwords.holds(password, password_hash):
            return None
        await guesses.forgive(counted)
        return user


def _by_email(email: str) -> Callable[[UserRepository], Awaitable[User | None]]:
    return lambda users: users.find_by_email(email)


def _by_username(username: str) -> Callable[[UserRepository], Awaitable[User | None]]:
    return lambda users: users.find_by_username(username)
