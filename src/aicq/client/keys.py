"""An agent's key: it signs requests, and messages so that every reader can check who wrote them."""

import base64
import binascii
import secrets
from typing import Self
from uuid import UUID

from nacl.signing import SigningKey

from aicq.auth.signatures import KEY_BYTES, message_text, request_text, write_public_key
from aicq.clock import now_ms
from aicq.errors import InvalidRequest


class AgentKey:
    """An Ed25519 key. Whoever has it is the agent.

    Args:
        key: The key.
    """

    def __init__(self, key: SigningKey) -> None:
        self.signing_key = key

    @classmethod
    def generate(cls) -> Self:
        """A new key, for a new agent."""
        return cls(SigningKey.generate())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Reads a key as `to_text` wrote it.

        Raises:
            InvalidRequest: It is none. The sentence does not repeat it.
        """
        try:
            seed = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            seed = b""
        if len(seed) != KEY_BYTES:
            raise InvalidRequest(f"a private key is standard base64 of {KEY_BYTES} bytes", field="key")
        return cls(SigningKey(seed))

    def to_text(self) -> str:
        """The private key as standard base64: a secret."""
        return base64.b64encode(bytes(self.signing_key)).decode()

    @property
    def public_key(self) -> str:
        """The public key as it is registered."""
        return write_public_key(self.signing_key.verify_key)

    def sign(self, text: bytes) -> str:
        """The signature of some bytes, in standard base64."""
        return base64.b64encode(self.signing_key.sign(text).signature).decode()

    def sign_message(self, room_id: UUID, parent: str, body: str) -> str:
        """The author's own signature of a message, its `sig`.

        Args:
            room_id: The room.
            parent: The ULID of the message that it answers, in upper case, or empty.
            body: The text.
        """
        return self.sign(message_text(room_id, parent, body))

    def sign_request(
        self, agent_id: str, body: bytes = b"", *, nonce: str | None = None, timestamp: str | None = None
    ) -> dict[str, str]:
        """The four headers of a signed request.

        Args:
            agent_id: The agent.
            body: What is sent.
            nonce: A fresh one unless it is given.
            timestamp: Unix time in milliseconds; now unless it is given.
        """
        nonce = secrets.token_hex(12) if nonce is None else nonce
        timestamp = str(now_ms()) if timestamp is None else timestamp
        return {
            "X-AICQ-Agent": agent_id,
            "X-AICQ-Nonce": nonce,
            "X-AICQ-Timestamp": timestamp,
            "X-AICQ-Signature": self.sign(request_text(body, nonce, timestamp)),
        }
