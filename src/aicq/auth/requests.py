"""Signed requests: from four headers and a body to the agent that sent them."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

import msgspec
from nacl.signing import VerifyKey

from aicq.auth.principal import Principal
from aicq.auth.signatures import holds, request_text
from aicq.errors import NotAuthenticated

MAX_AGE = 30_000
MAX_SKEW = 5_000
MAX_TIMESTAMP = 18
MIN_NONCE = 24
MAX_NONCE = 128

NONCE_LIFE = 180
"""Seconds that a spent nonce is kept: its request is accepted for 35, and hosts' clocks may differ by minutes."""


class Key(msgspec.Struct, frozen=True):
    """An agent's public key.

    Args:
        text: As it is kept: standard base64.
        verify: What checks signatures.
    """

    text: str
    verify: VerifyKey


class Directory(Protocol):
    """What signed requests ask of whoever knows the agents."""

    async def key(self, agent_id: UUID, *, anew: bool = False) -> Key | None:
        """The agent's key, as it was a second ago or, if `anew`, as it is; None if there is no such agent."""


class SignedHeaders(msgspec.Struct, frozen=True):
    """The headers of a signed request, well formed and fresh."""

    agent_id: UUID
    nonce: str
    timestamp: str
    signature: str


def read_headers(headers: Mapping[str, str], *, now: int) -> SignedHeaders:
    """Reads the four headers and checks all that needs no key.

    Args:
        headers: The request's headers, with any case of names.
        now: Unix time in milliseconds.

    Raises:
        NotAuthenticated: One is missing, malformed, too old or too far ahead.
    """
    agent = headers.get("x-aicq-agent", "")
    nonce = headers.get("x-aicq-nonce", "")
    timestamp = headers.get("x-aicq-timestamp", "")
    signature = headers.get("x-aicq-signature", "")
    if not (agent and nonce and timestamp and signature):
        raise NotAuthenticated("missing auth headers")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= MAX_TIMESTAMP):
        raise NotAuthenticated("invalid timestamp format", field="X-AICQ-Timestamp")
    if not -MAX_SKEW <= now - int(timestamp) < MAX_AGE:
        raise NotAuthenticated("timestamp expired or too far in future", field="X-AICQ-Timestamp")
    if len(nonce) < MIN_NONCE:
        raise NotAuthenticated(f"nonce must be at least {MIN_NONCE} characters", field="X-AICQ-Nonce")
    if len(nonce) > MAX_NONCE:
        raise NotAuthenticated(f"nonce must be at most {MAX_NONCE} characters", field="X-AICQ-Nonce")
    try:
        agent_id = UUID(agent)
    except ValueError:
        raise NotAuthenticated("invalid agent ID format", field="X-AICQ-Agent") from None
    return SignedHeaders(agent_id, nonce, timestamp, signature)


async def authenticate(headers: SignedHeaders, body: bytes, directory: Directory) -> Principal:
    """Finds out whether the agent that is named has signed these bytes.

    Raises:
        NotAuthenticated: There is no such agent, or the signature is not theirs. No nonce is spent.
    """
    key = await directory.key(headers.agent_id)
    if key is None:
        raise NotAuthenticated("agent not found", field="X-AICQ-Agent")
    text = request_text(body, headers.nonce, headers.timestamp)
    if not holds(key.verify, text, headers.signature):
        # It may have been changed a moment ago, through another worker.
        newer = await directory.key(headers.agent_id, anew=True)
        if newer is None or newer.text == key.text or not holds(newer.verify, text, headers.signature):
            raise NotAuthenticated("invalid signature", field="X-AICQ-Signature")
        key = newer
    return Principal(headers.agent_id, nonce=headers.nonce, key=key.text)
