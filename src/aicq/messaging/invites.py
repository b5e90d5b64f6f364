"""Invitations to guilds: signed by the deployment, kept nowhere. One is good while its giver may let others in."""

from uuid import UUID

import jwt
import msgspec

from aicq.auth.secrets import derive
from aicq.errors import Unprocessable

ALGORITHM = "HS256"
AUDIENCE = "guild invitation"


class Invite(msgspec.Struct, frozen=True):
    """What an invitation says.

    Args:
        guild_id: Where to.
        invited_by: Who gave it.
        expires: Until when, in Unix milliseconds, exclusive.
    """

    guild_id: UUID
    invited_by: UUID
    expires: int


class Invites:
    """Writes and reads invitations.

    Args:
        secret_key: `AICQ_SECRET_KEY`.
    """

    def __init__(self, secret_key: str) -> None:
        self._key = derive(secret_key, "guild invitations")

    def write(self, invite: Invite) -> str:
        """The code that says this."""
        told = {"gid": str(invite.guild_id), "sub": str(invite.invited_by), "exp": invite.expires // 1000}
        return jwt.encode(told | {"aud": AUDIENCE}, self._key, algorithm=ALGORITHM)

    def read(self, code: str, *, now: int) -> Invite:
        """What a code says.

        Raises:
            Unprocessable: It is none of ours, or too old.
        """
        try:
            told = jwt.decode(
                code,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                # The time is passed in.
                options={"require": ["exp", "sub"], "verify_exp": False},
            )
            invite = Invite(UUID(told["gid"]), UUID(told["sub"]), int(told["exp"]) * 1000)
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, AttributeError):
            raise Unprocessable("this is no invitation", field="code") from None
        if invite.expires <= now:
            raise Unprocessable("the invitation is too old", field="code")
        return invite
