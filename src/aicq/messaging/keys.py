"""Room keys: bcrypt-checked once, then remembered for a short time, never in the clear."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

import bcrypt

from aicq.clock import now_ms
from aicq.errors import Forbidden, HotStoreUnavailable, Unprocessable
from aicq.hot.base import HotStore

Result = TypeVar("Result")

MIN_KEY = 16
MAX_KEY_BYTES = 72
ROUNDS = 12
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
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")

    def close(self) -> None:
        """Ends the thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, key: str) -> str:
        """The hash to be stored for a key.

        Raises:
            Unprocessable: bcrypt does not look beyond 72 bytes, so a longer key would be weaker than it seems.
        """
        if len(key.encode()) > MAX_KEY_BYTES:
            raise Unprocessable(f"key too long (max {MAX_KEY_BYTES} bytes)", field="key")
        if "\x00" in key:
            raise Unprocessable("key must not contain U+0000", field="key")
        hashed = await self._in_thread(lambda: bcrypt.hashpw(key.encode(), bcrypt.gensalt(ROUNDS)))
        return hashed.decode()

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
        raw = key.encode()
        possible = len(raw) <= MAX_KEY_BYTES and b"\x00" not in raw
        if not possible or not await self._in_thread(lambda: bcrypt.checkpw(raw, key_hash.encode())):
            raise Forbidden("invalid room key", field="X-AICQ-Room-Key")
        try:
            await self._hot.values.set(self._name(room_id, key, key_hash), b"1", expires=now_ms() + REMEMBER)
        except HotStoreUnavailable:
            return

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _name(self, room_id: UUID, key: str, key_hash: str) -> str:
        text = f"{room_id}\n{key_hash}\n{key}".encode()
        return f"roomkey:{hmac.new(self._secret, text, hashlib.sha256).hexdigest()}"
