"""Agents that write through every fault, and keep a record of what they were told about each message."""

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

import httpx

from aicq.client.delivery import Transport
from tests.agents import Agent, register

TIMEOUT = httpx.Timeout(60)

FRESH = 24.0
"""Seconds after which a signed request is not sent again, for it would soon be refused as too old."""

PER_WORD = 25
"""Messages that share a word."""


def client_of(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT, transport=Transport())


class Sent:
    """A message, its signed request, and what is known of it.

    Args:
        agent: Who writes.
        room_id: Where.
        text: Unique.
        word: What it is found by.
    """

    def __init__(self, agent: Agent, room_id: str, text: str, word: str) -> None:
        self.path = f"/room/{room_id}"
        self.room_id = room_id
        self.text = text
        self.word = word
        self.body = json.dumps({"body": text}).encode()
        self.headers = agent.headers(self.body) | {"Content-Type": "application/json"}
        self.at = time.monotonic()
        self.id: str | None = None
        """What a 201 told."""
        self.is_stored: bool | None = None
        """None: whoever could have known was killed."""

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.at < FRESH


class Writer:
    """Writes one message after the other, and repeats each with the same bytes until its outcome is known.

    Args:
        agent: Who writes.
        rooms: Where, in turn.
        name: A word that nobody else uses.
        changes: Edit and delete some of the messages.
    """

    def __init__(self, agent: Agent, rooms: list[str], name: str, *, changes: bool = False) -> None:
        self._agent = agent
        self._changes = changes
        self._rooms = itertools.cycle(rooms)
        self._name = name
        self._numbers = itertools.count()
        self._requests = itertools.count(1)
        self.sent: list[Sent] = []
        self.wrong: list[str] = []
        self.trouble: list[str] = []
        self.is_over = False

    async def write(self) -> None:
        while not self.is_over:
            await self.write_one()
            if self._changes:
                await self._change(self.sent[-1])

    async def _change(self, sent: Sent) -> None:
        """Edits one of three messages and deletes the next; what becomes of it the log will tell."""
        if sent.id is None or len(self.sent) % 3 == 0:
            return
        verb, content = ("PATCH", {"body": f"{sent.text}, edited"}) if len(self.sent) % 3 == 1 else ("DELETE", None)
        with suppress(httpx.TransportError):
            await self._agent.send(verb, f"/v1/rooms/{sent.room_id}/messages/{sent.id}", content)

    async def write_one(self) -> None:
        number = next(self._numbers)
        word = f"{self._name}c{number // PER_WORD}"
        sent = Sent(self._agent, next(self._rooms), f"{word} message number {number}", word)
        self.sent.append(sent)
        might_be_stored = False
        while sent.is_fresh and sent.is_stored is None:
            might_be_stored |= await self._try(sent, might_be_stored=might_be_stored)
        if sent.is_stored is None and not might_be_stored:
            sent.is_stored = False

    async def _try(self, sent: Sent, *, might_be_stored: bool) -> bool:
        """Sends a request once, and tells whether it might have been stored unknown to us."""
        # Now and then on a new connection, which may be another worker's.
        headers = sent.headers | ({"Connection": "close"} if next(self._requests) % 7 == 0 else {})
        try:
            answer = await self._agent.http.post(sent.path, content=sent.body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            self.trouble.append("not connected")
            return await self._pause(outcome=False)
        except httpx.TransportError as error:
            self.trouble.append(type(error).__name__)
            return await self._pause(outcome=True)
        if answer.status_code == 201:
            sent.id = answer.json()["id"]
            sent.is_stored = True
            return False
        problem = answer.json()
        sentence = problem["error"]
        if answer.status_code == 401 and sentence == "nonce already used" and might_be_stored:
            sent.is_stored = True
            return False
        self.trouble.append(sentence)
        if answer.status_code == 503 and "retry-after" in answer.headers:
            return await self._pause(outcome=problem.get("outcome") == "unknown")
        self.wrong.append(f"{answer.status_code} {sentence}, after {self.trouble[-5:]}")
        sent.is_stored = False
        return False

    async def _pause(self, *, outcome: bool) -> bool:
        await asyncio.sleep(0.02)
        return outcome

    @property
    def acknowledged(self) -> int:
        return sum(sent.is_stored is True for sent in self.sent)


class Crowd:
    """Writers who write at the same time.

    Args:
        writers: They.
        rooms: Where they write.
    """

    def __init__(self, writers: list[Writer], rooms: list[str]) -> None:
        self.writers = writers
        self.rooms = rooms

    @classmethod
    @asynccontextmanager
    async def writing(cls, url: str, *, writers: int, rooms: int, changes: bool = False) -> AsyncIterator[Self]:
        """Has writers write to new rooms for as long as the context is open; all has been answered when it closes."""
        token = f"t{secrets.token_hex(4)}"
        clients = [client_of(url) for _ in range(writers)]
        try:
            agents = [await register(client, "writer") for client in clients]
            room_ids = [await agents[0].create_room("room") for _ in range(rooms)]
            each = [Writer(agent, room_ids, f"{token}w{n}", changes=changes) for n, agent in enumerate(agents)]
            crowd = cls(each, room_ids)
            async with asyncio.TaskGroup() as group:
                for writer in crowd.writers:
                    group.create_task(writer.write())
                try:
                    yield crowd
                finally:
                    for writer in crowd.writers:
                        writer.is_over = True
        finally:
            for client in clients:
                await client.aclose()

    async def progress(self, count: int = 10, *, seconds: float = 60) -> None:
        """Waits until each writer has so many more messages acknowledged."""
        goals = [(writer, writer.acknowledged + count) for writer in self.writers]
        deadline = time.monotonic() + seconds
        while any(writer.acknowledged < goal for writer, goal in goals):
            told = [(goal - writer.acknowledged, len(writer.sent), writer.trouble[-3:]) for writer, goal in goals]
            assert time.monotonic() < deadline, f"missing, sent, and what was told last: {told}"
            await asyncio.sleep(0.02)

    @property
    def sent(self) -> list[Sent]:
        return [sent for writer in self.writers for sent in writer.sent]

    @property
    def trouble(self) -> list[str]:
        return [trouble for writer in self.writers for trouble in writer.trouble]
