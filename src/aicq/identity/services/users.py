"""Users' accounts: making them, changing them, ending them, within a request's transaction."""

import re
import secrets
from typing import Any
from uuid import UUID

import msgspec

from aicq.audit.recorder import record
from aicq.auth.passwords import Passwords
from aicq.auth.principal import Principal, Role
from aicq.clock import from_ms
from aicq.errors import Forbidden, NotFound
from aicq.identity.models import User
from aicq.identity.repositories import UserRepository
from aicq.identity.schemas.users import UserChange, UserCreate
from aicq.identity.services.credentials import Credentials, Guesses
from aicq.identity.services.sessions import end_all
from aicq.ids import new_row_id
from aicq.origin import Origin

NO_PART_OF_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
MAX_FROM_EMAIL = 56
CHOICES = 9


class WrongPassword(Forbidden):
    """wrong password."""


class UserService:
    """What users can do about themselves.

    Args:
        users: The users, within a transaction.
        passwords: Hashes passwords.
        credentials: Proves them.
    """

    def __init__(self, users: UserRepository, passwords: Passwords, credentials: Credentials) -> None:
        self._users = users
        self._passwords = passwords
        self._credentials = credentials

    async def create(
        self, wanted: UserCreate, origin: Origin, *, role: Role = "user", by_themselves: bool = True, now: int
    ) -> User:
        """Makes an account. Postgres refuses an email or a username that somebody has.

        Args:
            wanted: What is to be in it; without a username, one is made from the email.
            origin: Who makes it.
            role: What the user may do on the platform.
            by_themselves: Whether the audit log names the user as the one who did it.
            now: Unix time in milliseconds.

        Raises:
            Unprocessable: The password is too long.
        """
        # Before anything is asked of the session: its connection is not to be held while passwords wait for their turn.
        password_hash = await self._passwords.hash(wanted.password)
        username = wanted.username or await self._free_username(wanted.email)
        values = {"username": username, "email": wanted.email, "role": role}
        user = await self._users.create(
            new_row_id(now), **values, display_name=wanted.display_name, password_hash=password_hash
        )
        if by_themselves:
            origin = msgspec.structs.replace(origin, actor_id=user.id)
        await self._record(origin, "users.register", user.id, new=values)
        return user

    async def find(self, user_id: UUID) -> User:
        """The user.

        Raises:
            NotFound: There is none with this id.
        """
        user = await self._users.find(user_id)
        if user is None:
            raise NotFound("user not found")
        return user

    async def change(self, principal: Principal, change: UserChange, origin: Origin, *, now: int) -> User:
        """Changes the caller's profile; what is not given stays as it is.

        Raises:
            NotFound: They are gone.
        """
        values: dict[str, Any] = {
            name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET
        }
        before = await self.find(principal.id)
        if not values:
            return before
        old = {name: getattr(before, name) for name in values}
        if "status" in values:
            await self._users.update_online_status(principal.id, values["status"], now=from_ms(now))
        user = await self._users.change(principal.id, **values)
        if user is None:
            raise NotFound("user not found")
        await self._record(origin, "users.change", user.id, old=old, new=values)
        return user

    async def change_password(
        self, principal: Principal, *, old: str, new: str, guesses: Guesses, origin: Origin, now: int
    ) -> None:
        """Gives the caller another password, and ends all their other sessions.

        Raises:
            WrongPassword: The old password is wrong.
            RateLimited: There were too many wrong ones.
            Unprocessable: The new password is too long.
        """
        user = await self._credentials.user(principal.id, old, guesses)
        if user is None:
            raise WrongPassword(field="old_password")
        password_hash = await self._passwords.hash(new, field="new_password")
        if not await self._users.lock(user.id, password_hash=user.password_hash):
            raise WrongPassword(field="old_password")
        await self._users.change(user.id, password_hash=password_hash)
        session = self._users.session
        await end_all(session, user.id, "password changed", origin, now=now, but=principal.session_id)
        await self._record(origin, "users.change", user.id, new={"password_hash": password_hash})

    async def delete(self, principal: Principal, *, password: str, guesses: Guesses, origin: Origin) -> None:
        """Deletes the caller: what they wrote stays, all that was known of them goes.

        Raises:
            WrongPassword: The password is wrong.
            RateLimited: There were too many wrong ones.
            Conflict: They own a team, which is to be handed over first.
        """
        if await self._credentials.user(principal.id, password, guesses) is None:
            raise WrongPassword(field="password")
        await self._users.remove(principal.id)
        await self._record(origin, "users.delete", principal.id)

    async def _free_username(self, email: str) -> str:
        """The local part of an address as a username, with a number behind it if somebody has it."""
        local = NO_PART_OF_A_NAME.sub("-", email.partition("@")[0]).strip("-.")[:MAX_FROM_EMAIL] or "user"
        choices = [local, *(f"{local}-{number}" for number in range(2, CHOICES)), f"{local}-{secrets.token_hex(3)}"]
        taken = await self._users.taken([choice.lower() for choice in choices])
        return next(choice for choice in choices if choice.lower() not in taken)

    async def _record(self, origin: Origin, action: str, user_id: UUID, **values: Any) -> None:
        await record(self._users.session, origin, action, resource=User, key=user_id, **values)
