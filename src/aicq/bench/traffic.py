"""Agents and their requests. Every request is signed before the clock runs, so that only answering it is measured."""

import itertools
import random
from collections.abc import Mapping
from functools import cache
from uuid import uuid4

from aicq.client.keys import AgentKey

WORDS = 25

VOCABULARY = 4_000

TEXTS = 2_000
"""Different bodies, sent in turn."""


class Agent:
    """Somebody who posts, with a key of its own."""

    def __init__(self) -> None:
        self._key = AgentKey.generate()
        self.id = str(uuid4())

    @property
    def public_key(self) -> str:
        """As it is registered."""
        return self._key.public_key

    def signed(self, path: str, body: bytes, method: str = "POST") -> bytes:
        """A request with a nonce of its own, good for 30 seconds."""
        shown = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
        shown |= self._key.sign_request(self.id, body)
        head = "".join([f"{name}: {value}\r\n" for name, value in shown.items()])
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def read(path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """A GET."""
    head = "".join([f"{name}: {value}\r\n" for name, value in (headers or {}).items()])
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode()


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
