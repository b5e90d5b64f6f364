"""What accounts and sessions look like on the wire."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MIN_PASSWORD = 8
MAX_EMAIL = 254

EmailAddress = Annotated[
    str, Meta(pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+\.[^@.\s\x00-\x1f\x7f]+$", max_length=MAX_EMAIL)
]
Username = Annotated[
    str, Meta(pattern="^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=64, description="Unique without case.")
]
NewPassword = Annotated[
    str, Meta(min_length=MIN_PASSWORD, max_length=1000, description="At least 8 characters, at most 72 bytes.")
]
DisplayName = Annotated[
    str, Meta(pattern=r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$", max_length=100)
]
WebAddress = Annotated[str, Meta(pattern=r"^https?://[^\s\x00-\x1f\x7f]+$", max_length=2048)]

UserStatus = Literal["online", "away", "busy", "offline"]


class UserCreate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new account.

    Args:
        email: The address; one account an address, whatever its case.
        password: The password.
        username: Unique without case; made from the email if it is not given.
        display_name: How the user is shown.
    """

    email: EmailAddress
    password: NewPassword
    username: Username | None = None
    display_name: DisplayName | None = None


class UserChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to change in an account; what is not given stays as it is.

    Args:
        username: Unique without case.
        email: One account an address, whatever its case.
        display_name: How the user is shown; null for the username.
        avatar_url: A picture on the web; null for none.
        status: What the user chooses to be shown as.
        preferences: Whatever a client wants to find again.
    """

    username: Username | UnsetType = UNSET
    email: EmailAddress | UnsetType = UNSET
    display_name: DisplayName | UnsetType | None = UNSET
    avatar_url: WebAddress | UnsetType | None = UNSET
    status: UserStatus | UnsetType = UNSET
    preferences: dict[str, Any] | UnsetType = UNSET


class Account(msgspec.Struct, kw_only=True):
    """An account as its user sees it."""

    id: str
    username: str
    email: str | None
    display_name: str | None
    avatar_url: str | None
    status: UserStatus
    role: Literal["admin", "manager", "user", "service"]
    preferences: dict[str, Any]
    last_seen_at: str | None
    created_at: str
    updated_at: str


class PublicProfile(msgspec.Struct, kw_only=True):
    """What everybody here may know of a person.

    Args:
        id: The user.
        username: How they log in and are called.
        display_name: How they are shown.
        avatar_url: A picture.
        status: What they chose to be shown as, if they were seen lately; else `offline`.
        joined_at: When they joined.
    """

    id: str
    username: str
    display_name: str | None
    avatar_url: str | None
    status: UserStatus
    joined_at: str


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """Who wants to log in.

    Args:
        login: The email or the username, in any case.
        password: The password.
    """

    login: Annotated[str, Meta(min_length=1, max_length=MAX_EMAIL)]
    password: Annotated[str, Meta(min_length=1, max_length=1000)]


class Refresh(msgspec.Struct, forbid_unknown_fields=True):
    """A session that is to go on.

    Args:
        refresh_token: The newest refresh token of the session.
    """

    refresh_token: Annotated[str, Meta(min_length=1, max_length=200)]


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    """Another password.

    Args:
        old_password: The one until now.
        new_password: The one from now on.
    """

    old_password: Annotated[str, Meta(min_length=1, max_length=1000)]
    new_password: NewPassword


class Farewell(msgspec.Struct, forbid_unknown_fields=True):
    """A user who wants to be deleted.

    Args:
        password: The password, so that a token alone cannot do it.
    """

    password: Annotated[str, Meta(min_length=1, max_length=1000)]


class Tokens(msgspec.Struct, kw_only=True):
    """What opens calls, and what gets the next ones.

    Args:
        access_token: Opens calls, in `Authorization: Bearer …`.
        token_type: Always `Bearer`.
        expires_in: Seconds that the access token is good for.
        refresh_token: Gets the next two tokens, once. Shown a second time, it ends the session.
        refresh_expires_in: Seconds that the session lasts unless it is refreshed.
        session_id: The session.
        user_id: The user.
    """

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: str
    user_id: str


class LiveSession(msgspec.Struct, kw_only=True):
    """A session that is not over.

    Args:
        id: The session.
        user_agent: With which program it was used last, as that says of itself.
        ip: From which address it was used last.
        is_current: Whether it is the one that asks.
        created_at: When it began.
        refreshed_at: When it was refreshed last.
        expires_at: When it ends unless it is refreshed.
    """

    id: str
    user_agent: str | None
    ip: str | None
    is_current: bool
    created_at: str
    refreshed_at: str
    expires_at: str


class LiveSessions(msgspec.Struct):
    """A page of sessions.

    Args:
        items: The sessions, the oldest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[LiveSession]
    next: str | None
