"""Ed25519: keys, the bytes that a request's signature covers, and the bytes that a message's signature covers."""

import base64
import binascii
import hashlib
from uuid import UUID

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from aicq.errors import InvalidRequest

KEY_BYTES = 32
SIGNATURE_BYTES = 64


def read_public_key(text: str) -> VerifyKey:
    """Reads a public key: standard base64 of 32 bytes.

    Raises:
        InvalidRequest: It is none.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("invalid public key: not base64", field="public_key") from None
    if len(raw) != KEY_BYTES:
        raise InvalidRequest(f"invalid public key: must be {KEY_BYTES} bytes", field="public_key")
    return VerifyKey(raw)


def write_public_key(key: VerifyKey) -> str:
    """The one spelling that a public key is kept in."""
    return base64.b64encode(bytes(key)).decode()


def request_text(body: bytes, nonce: str, timestamp: str) -> bytes:
    """The bytes that a request's signature covers; an empty body counts as `{}`."""
    digest = hashlib.sha256(body or b"{}").hexdigest()
    return f"{digest}|{nonce}|{timestamp}".encode("latin-1")


def message_text(room_id: UUID, parent: str, body: str) -> bytes:
    """The bytes that an author's signature of a message covers.

    Args:
        room_id: The room.
        parent: The parent's id as it was sent, or empty.
        body: The message.
    """
    return f"aicq-message-v1\n{room_id}\n{parent}\n{body}".encode()


def key_text(agent_id: UUID, public_key: str) -> bytes:
    """The bytes that an agent's next key signs, to show that it is the agent's."""
    return f"aicq-key-v1\n{agent_id}\n{public_key}".encode()


def holds(key: VerifyKey, text: bytes, signature: str) -> bool:
    """Whether `signature` (standard base64) is `key`'s over `text`."""
    try:
        raw = base64.b64decode(signature, validate=True)
        if len(raw) != SIGNATURE_BYTES:
            return False
        key.verify(text, raw)
    except (binascii.Error, ValueError, BadSignatureError):
        return False
    return True
