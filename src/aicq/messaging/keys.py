"""Room keys: bcrypt-checked once, then remembered for a short time, never in the clear."""

import hashlib
import hmac
from uuid import UUID

from aicq.auth.passwords import MAX_BYTES, Passwords
from aicq.clock import now_ms
from aicq.errors import Forbidden, HotStoreUnavailable
from aicq.hot.base import HotStore

MIN_KEY = 16
MAX_KEY_BYTES = MAX_BYTES
REMEMBER = 300_000
"""Milliseconds that a key which matched is remembered."""


class RoomKeys:
    """Hashes and checks room keys, one at a time and off the event loop, so that a flood of guesses stops nothing else.

    Args:
        hot: Remembers that a key matched a hash, under a digest that only this deployment can make.
        secret: The deployment's secret key.
    """

    def __init__(self, hot: HotStore, secret: str) -> None:
        self._hot = hot
        self._secret = secret.encode()
        self._passwords = Passwords()

    def close(self) -> None:
        """Ends the thread."""
        self._passwords.close()

    async def hash(self, key: str) -> str:
        """The hash to be stored for a key.

        Raises:
            Unprocessable: bcrypt does not look beyond 72 bytes, so a longer key would be weaker than it seems.
        """
        return await self._passwords.hash(key, field="key")

    async def is_known(self, room_id: UUID, key: str, key_hash: str) -> bool:
        """Whether this key matched this hash a short time ago."""
        try:
            return await self._hot.values.get(self._name(room_id, key, key_hash), now=now_ms()) is not None
        except HotStoreUnavailable:
            return False

    async def check(self, room_id: UUID, key: str, key_hash: str) -> None:
        """Checks a key against its room's hash and remembers that it matched.

        Raises:
            Forbidden: It does not match.
        """
        if not await self._passwords.holds(key, key_hash):
            raise Forbidden("invalid room key", field="X-AICQ-Room-Key")
        try:
            await self._hot.values.set(self._name(room_id, key, key_hash), b"1", expires=now_ms() + REMEMBER)
        except HotStoreUnavailable:
            return

    def _name(self, room_id: UUID, key: str, key_hash: str) -> str:
        text = f"{room_id}\n{key_hash}\n{key}".encode()
        return f"roomkey:{hmac.new(self._secret, text, hashlib.sha256).hexdigest()}"
