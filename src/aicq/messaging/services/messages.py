"""Messages in rooms: posting and deleting."""

from uuid import UUID

from aicq.auth.principal import Principal
from aicq.auth.requests import Directory
from aicq.auth.signatures import holds, message_text
from aicq.errors import InvalidId, InvalidRequest, NotFound, Unprocessable
from aicq.ids import from_ulid, to_ulid
from aicq.messaging.log import Draft, MessageLog, Stored
from aicq.messaging.services.rooms import Attempts, Rooms

MAX_BODY = 4096


class MessageService:
    """Posting and deleting.

    Args:
        log: The message log.
        rooms: Checks room keys.
        directory: Agents' keys, for messages that their authors signed.
        moderator: The one agent that may delete what others wrote.
    """

    def __init__(self, log: MessageLog, rooms: Rooms, directory: Directory, moderator: UUID | None) -> None:
        self._log = log
        self._rooms = rooms
        self._directory = directory
        self._moderator = moderator

    async def post(
        self, caller: Principal, room_id: UUID, *, body: str, pid: str, sig: str, key: str, attempts: Attempts
    ) -> Stored:
        """Posts a message.

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
        room = await self._rooms.find(room_id) if key else None
        proof = None
        if room is not None and room.is_private:
            proof = await self._rooms.prove(room_id, key, room.key_hash, attempts)
        return await self._log.append(
            Draft(
                room_id=room_id,
                author_id=caller.id,
                body=body,
                parent_id=parent_id,
                signature=sig or None,
                proof=proof,
                nonce=caller.nonce,
            )
        )

    async def delete(self, caller: Principal, room_id: UUID, message_id: str) -> None:
        """Deletes a message: an entry in the log that makes the message unreadable everywhere.

        Raises:
            NotFound: There is no such room or message.
            Forbidden: Somebody else wrote it.
        """
        try:
            target_id = from_ulid(message_id)
        except InvalidId:
            raise NotFound("message not found") from None
        await self._log.append(
            Draft(
                room_id=room_id,
                author_id=caller.id,
                entry="delete",
                target_id=target_id,
                may_moderate=caller.id == self._moderator,
                nonce=caller.nonce,
            )
        )

    async def _check_signature(
        self, caller: Principal, room_id: UUID, parent_id: UUID | None, body: str, sig: str
    ) -> None:
        key = await self._directory.verify_key(caller.id)
        text = message_text(room_id, to_ulid(parent_id) if parent_id else "", body)
        if key is None or not holds(key, text, sig):
            raise Unprocessable("invalid message signature", field="sig")


def check_body(body: str, limit: int) -> None:
    """Refuses an empty body and one over `limit` bytes."""
    if not body:
        raise InvalidRequest("body is required", field="body")
    if len(body) > limit or len(body.encode(errors="surrogatepass")) > limit:
        raise Unprocessable(f"body too long (max {limit} bytes)", field="body")


def parent_of(pid: str) -> UUID | None:
    """The parent that a message names, or None."""
    if not pid:
        return None
    try:
        return from_ulid(pid)
    except InvalidId:
        raise Unprocessable("parent message not found in this room", field="pid") from None
