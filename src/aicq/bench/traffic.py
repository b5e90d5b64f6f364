"""Agents and their requests. Every request is signed before the clock runs, so that only answering it is measured."""

import base64
import itertools
import random
import secrets
from functools import cache
from uuid import uuid4

from nacl.signing import SigningKey

from aicq.auth.signatures import request_text
from aicq.clock import now_ms

WORDS = 25

VOCABULARY = 4_000

TEXTS = 2_000
"""Different bodies, sent in turn."""


class Agent:
    """Somebody who posts, with a key of its own."""

    def __init__(self) -> None:
        self._key = SigningKey.generate()
        self.id = str(uuid4())

    @property
    def public_key(self) -> str:
        """As it is registered."""
        return base64.b64encode(bytes(self._key.verify_key)).decode()

    def signed(self, path: str, body: bytes) -> bytes:
        """A POST with a nonce of its own, good for 30 seconds."""
        nonce, timestamp = secrets.token_hex(12), str(now_ms())
        signature = base64.b64encode(self._key.sign(request_text(body, nonce, timestamp)).signature).decode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-AICQ-Agent: {self.id}\r\nX-AICQ-Nonce: {nonce}\r\n"
            f"X-AICQ-Timestamp: {timestamp}\r\nX-AICQ-Signature: {signature}\r\n\r\n"
        )
        return head.encode() + body


def read(path: str) -> bytes:
    """A GET."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def posts(agent: Agent, room_id: str, count: int) -> list[bytes]:
    """Posts of 25 words each; a run that asks for as many gets the same texts."""
    bodies = itertools.islice(itertools.cycle(_bodies()), count)
    return [agent.signed(f"/room/{room_id}", body) for body in bodies]


@cache
def _bodies() -> list[bytes]:
    return [b'{"body":"%b"}' % text.encode() for text in sentences()]


@cache
def sentences() -> list[str]:
    """Texts whose words are as common and as rare as those of a language: the n-th at a rate of 1/n."""
    chance = random.Random(25)  # noqa: S311 - the same texts in every run
    weights = [1 / rank for rank in range(1, VOCABULARY + 1)]
    return [" ".join(chance.choices(vocabulary(), weights, k=WORDS)) for _ in range(TEXTS)]


@cache
def vocabulary() -> list[str]:
    """Made-up words of two to four syllables, the most common first."""
    chance = random.Random(4_000)  # noqa: S311 - the same words in every run
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        syllables = range(chance.randint(2, 4))
        words["".join(chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in syllables)] = None
    return list(words)
