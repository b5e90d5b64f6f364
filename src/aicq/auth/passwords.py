"""Passwords: hashed and checked with bcrypt, a few at a time and off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from aicq.errors import Unavailable, Unprocessable

Result = TypeVar("Result")

ROUNDS = 12
MAX_BYTES = 72
MOST_WAITING = 50
"""Passwords that wait for their turn, some ten seconds of work. More are sent away, so that nobody waits for ever."""

DECOY = "$2b$12$a46KSJJSwboThhmJX4rCi.RTPgcVj8zaVxv7n6aAsuVdKEDS9a6am"
"""The hash of something that nobody knows, so that who has no password is told so after the same time."""


class Passwords:
    """Hashes and checks passwords, one at a time, so that a flood of guesses stops nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")
        self._waiting = 0

    def close(self) -> None:
        """Ends the thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str, *, field: str = "password") -> str:
        """The hash to be stored.

        Raises:
            Unprocessable: bcrypt does not look beyond 72 bytes, so a longer password would be weaker than it seems.
            Unavailable: Too many wait already.
        """
        raw = password.encode()
        if len(raw) > MAX_BYTES:
            raise Unprocessable(f"{field} too long (max {MAX_BYTES} bytes)", field=field)
        if b"\x00" in raw:
            raise Unprocessable(f"{field} must not contain U+0000", field=field)
        return (await self._in_thread(lambda: bcrypt.hashpw(raw, bcrypt.gensalt(ROUNDS)))).decode()

    async def holds(self, password: str, password_hash: str | None) -> bool:
        """Whether this is the password. Takes the same time if there is none to be compared with.

        Raises:
            Unavailable: Too many wait already.
        """
        raw = password.encode()
        is_possible = len(raw) <= MAX_BYTES and b"\x00" not in raw
        compared = (password_hash or DECOY).encode()
        return await self._in_thread(lambda: bcrypt.checkpw(raw if is_possible else b"", compared)) and (
            is_possible and password_hash is not None
        )

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= MOST_WAITING:
            raise Unavailable
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
