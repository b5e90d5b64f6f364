"""What `aicq user` does, beside a running service or without one."""

import asyncio

import msgspec
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import async_sessionmaker

from aicq.auth.passwords import Passwords
from aicq.auth.principal import Role
from aicq.clock import now_ms
from aicq.db.engine import create_engine
from aicq.errors import StartError
from aicq.http.resources.bodies import told
from aicq.http.violations import violation
from aicq.identity.models import User
from aicq.identity.repositories import UserRepository
from aicq.identity.schemas.users import UserCreate
from aicq.identity.services.credentials import Credentials
from aicq.identity.services.users import UserService
from aicq.origin import SYSTEM


def create_user(database_url: str, *, role: Role, **wanted: str | None) -> User:
    """Makes an account.

    Args:
        database_url: `postgresql://…`.
        role: What the user may do on the platform.
        wanted: What `UserCreate` takes.

    Raises:
        Unprocessable: Something of it is not allowed.
        Conflict: Somebody has the email or the username.
        StartError: The schema is not there.
    """
    try:
        checked = msgspec.convert({name: value for name, value in wanted.items() if value is not None}, UserCreate)
    except msgspec.ValidationError as error:
        raise told(str(error)) from None
    return asyncio.run(_create(database_url, checked, role))


async def _create(database_url: str, wanted: UserCreate, role: Role) -> User:
    engine, passwords = create_engine(database_url, name="aicq user"), Passwords()
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    try:
        async with sessions.begin() as session:
            users = UserService(UserRepository(session), passwords, Credentials(sessions, passwords))
            return await users.create(wanted, SYSTEM, role=role, by_themselves=False, now=now_ms())
    except ProgrammingError:
        raise StartError("The schema is not there yet, or is an older one; `aicq migrate up` makes it.") from None
    except DBAPIError as error:
        raise (violation(error) or StartError("The database refuses.")) from None
    finally:
        passwords.close()
        await engine.dispose()
