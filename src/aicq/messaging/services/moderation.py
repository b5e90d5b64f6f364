"""What admins do with messages: delete them, whoever wrote them."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.audit.recorder import record
from aicq.clock import now_ms
from aicq.db.plugin import Database
from aicq.errors import Conflict
from aicq.identity.models import User
from aicq.identity.repositories import UserRepository
from aicq.ids import new_row_id, to_ulid
from aicq.messaging.log import Draft, MessageLog
from aicq.messaging.models import Message
from aicq.messaging.services.messages import target_of
from aicq.origin import Origin

TOKEN_HOLDER = "admin-token"  # noqa: S105 - a name
"""The service user in whose name the holder of the admin token acts where somebody has to be named."""


class Moderation:
    """Deletes messages in an admin's name.

    Args:
        database: The entry and its row in the audit log are committed together.
        log: The message log.
    """

    def __init__(self, database: Database, log: MessageLog) -> None:
        self._database = database
        self._log = log

    async def delete(self, origin: Origin, room_id: UUID, message_id: str) -> None:
        """Deletes a message in any room: an entry in the log whose author is the admin.

        The admin is the user whose token was shown. The holder of the admin token is nobody in particular; for them
        the author is the service user `admin-token`, which is made when it is first needed.

        Raises:
            NotFound: There is no such room or message.
            Forbidden: The admin, or the service user, is not active.
            Conflict: Somebody has the service user's name.
            OutcomeUnknown: The connection was lost at the commit.
        """
        target_id = target_of(message_id)
        async with self._database.transaction() as session:
            author_id = origin.actor_id or await _token_holder(session)
            draft = Draft(room_id=room_id, author_id=author_id, entry="delete", target_id=target_id, may_moderate=True)
            stored = await self._log.append_within(session, draft)
            new = {"room_id": room_id, "id": stored.id, "entry": "delete", "target_id": target_id}
            key = (room_id, to_ulid(target_id))
            await record(
                session, origin, "messages.delete", resource=Message, key=key, new={**new, "author_id": author_id}
            )
        await self._log.publish(stored)


async def _token_holder(session: AsyncSession) -> UUID:
    users = UserRepository(session)
    user = await users.find_by_username(TOKEN_HOLDER)
    if user is None:
        values = {"id": new_row_id(now_ms()), "username": TOKEN_HOLDER, "role": "service"}
        await session.execute(insert(User).values(values).on_conflict_do_nothing())
        user = await users.find_by_username(TOKEN_HOLDER)
    if user is None or user.role != "service":
        raise Conflict(f"somebody has the name {TOKEN_HOLDER}, which is the admin token's")
    return user.id
