"""Messages in rooms: finding, posting, editing and deleting them."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.principal import Principal
from aicq.auth.requests import Directory
from aicq.auth.signatures import holds, message_text
from aicq.errors import InvalidId, InvalidRequest, NotFound, Unprocessable
from aicq.identity.services.directory import enter
from aicq.ids import from_ulid, to_ulid
from aicq.messaging.history import History
from aicq.messaging.log import Draft, MessageLog, Stored
from aicq.messaging.models import Message
from aicq.messaging.repositories.messages import MessageRepository
from aicq.messaging.services.holds import check_visible
from aicq.messaging.services.rooms import Attempts, Rooms

MAX_BODY = 4096


class MessageService:
    """Posting, editing and deleting.

    Args:
        log: The message log.
        history: The log as it stands.
        rooms: Checks room keys.
        directory: Agents' keys, for messages that their authors signed.
        moderator: The one agent that may delete what others wrote.
    """

    def __init__(
        self, log: MessageLog, history: History, rooms: Rooms, directory: Directory, moderator: UUID | None
    ) -> None:
        self._log = log
        self._history = history
        self._rooms = rooms
        self._directory = directory
        self._moderator = moderator

    async def post(
        self,
        caller: Principal,
        room_id: UUID,
        *,
        body: str,
        pid: str,
        sig: str,
        key: str,
        attempts: Attempts,
        as_member: bool = False,
    ) -> Stored:
        """Posts a message.

        Args:
            caller: Who posts.
            room_id: The room.
            body: The text.
            pid: The message that it answers.
            sig: The caller's own signature of it.
            key: The room key that they show.
            attempts: Counts wrong keys.
            as_member: Who shows no key comes as a member of the room.

        Raises:
            InvalidRequest: The body is missing.
            Unprocessable: The body is too long, the parent is not in the room, or the signature is not the caller's.
            Forbidden: The room is private and the key is missing or wrong.
            NotFound: There is no such room.
        """
        check_body(body, MAX_BODY)
        parent_id = parent_of(pid)
        if sig:
            await self._check_signature(caller, room_id, parent_id, body, sig)
        proof = await self._rooms.proof(room_id, key, attempts)
        return await self._log.append(
            Draft(
                room_id=room_id,
                author_id=caller.id,
                body=body,
                parent_id=parent_id,
                signature=sig or None,
                proof=proof,
                as_member=as_member and proof is None,
                nonce=caller.nonce,
            )
        )

    async def edit(
        self, caller: Principal, room_id: UUID, message_id: str, *, body: str, sig: str, key: str, attempts: Attempts
    ) -> Stored:
        """Changes the text of a message: an entry in the log, and the message with its new text from then on.

        What the author had signed was the old text, so without `sig` the message is not signed any more.

        Raises:
            InvalidRequest: The body is missing.
            Unprocessable: The body is too long, or the signature is not the caller's.
            Forbidden: Somebody else wrote it, or the caller may not write in this room.
            NotFound: There is no such room or message.
        """
        check_body(body, MAX_BODY)
        target_id = target_of(message_id)
        parent_id = await self._history.parent(room_id, target_id)
        if sig:
            await self._check_signature(caller, room_id, parent_id, body, sig)
        proof = await self._rooms.proof(room_id, key, attempts)
        return await self._log.append(
            Draft(
                room_id=room_id,
                author_id=caller.id,
                entry="edit",
                body=body,
                target_id=target_id,
                target_parent_id=parent_id,
                signature=sig or None,
                proof=proof,
                as_member=proof is None,
                nonce=caller.nonce,
            )
        )

    async def delete(self, caller: Principal, room_id: UUID, message_id: str, *, as_member: bool = False) -> None:
        """Deletes a message: an entry in the log that makes the message unreadable everywhere.

        Args:
            caller: Who deletes it.
            room_id: The room.
            message_id: The message.
            as_member: The caller may come as a member of a direct message's room.

        Raises:
            NotFound: There is no such room or message.
            Forbidden: Somebody else wrote it.
        """
        await self._log.append(
            Draft(
                room_id=room_id,
                author_id=caller.id,
                entry="delete",
                target_id=target_of(message_id),
                as_member=as_member,
                may_moderate=caller.id == self._moderator,
                nonce=caller.nonce,
            )
        )

    async def _check_signature(
        self, caller: Principal, room_id: UUID, parent_id: UUID | None, body: str, sig: str
    ) -> None:
        key = await self._directory.key(caller.id)
        text = message_text(room_id, to_ulid(parent_id) if parent_id else "", body)
        if key is None or not holds(key.verify, text, sig):
            raise Unprocessable("invalid message signature", field="sig")


async def find_message(
    session: AsyncSession, caller: Principal, room_id: UUID, message_id: UUID, *, proof: str | None
) -> Message:
    """A message of a room that the caller may see, however old it is.

    Args:
        session: The transaction.
        caller: Who asks.
        room_id: The room.
        message_id: The message.
        proof: The hash that the caller's room key matched.

    Raises:
        NotFound: There is no such room or message.
        Forbidden: The room is private, and the caller is no member.
        ReplayedRequest: The nonce is spent.
    """
    await enter(session, caller)
    message = await MessageRepository(session).find_for(room_id, message_id, caller.id, proof=proof)
    if message is None:
        await check_visible(session, room_id, caller.id, proof=proof)
        raise NotFound("message not found")
    return message


def check_body(body: str, limit: int) -> None:
    """Refuses an empty body and one over `limit` bytes."""
    if not body:
        raise InvalidRequest("body is required", field="body")
    if len(body) > limit or len(body.encode(errors="surrogatepass")) > limit:
        raise Unprocessable(f"body too long (max {limit} bytes)", field="body")


def target_of(message_id: str) -> UUID:
    """The message that is to change."""
    try:
        return from_ulid(message_id)
    except InvalidId:
        raise NotFound("message not found") from None


def parent_of(pid: str) -> UUID | None:
    """The parent that a message names, or None."""
    if not pid:
        return None
    try:
        return from_ulid(pid)
    except InvalidId:
        raise Unprocessable("parent message not found in this room", field="pid") from None
