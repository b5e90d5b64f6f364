"""Readers that follow a room by server-sent events, and keep a record of what they got."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx

PATIENCE = 30.0


class Stream:
    """One open stream.

    Args:
        answer: The answer that goes on.
    """

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.retry = 0
        """Milliseconds after which to come back, once it was told."""
        self._lines = answer.aiter_lines()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, url: str, room: str, *, after: str = "", key: str = "", **headers: str
    ) -> AsyncIterator[Self]:
        if key:
            headers["X-AICQ-Room-Key"] = key
        async with (
            httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http,
            http.stream(
                "GET", f"/room/{room}/events", params={"after": after} if after else {}, headers=headers
            ) as answer,
        ):
            if answer.status_code != 200:
                await answer.aread()
            yield cls(answer)

    async def next(self) -> dict[str, Any] | None:
        """The next event's data, with its type under `event`; None at the end."""
        async with asyncio.timeout(PATIENCE):
            event: dict[str, str] = {}
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line and name:
                    event[name] = value
                elif not line and "data" in event:
                    self.retry = int(event.get("retry", self.retry))
                    data: dict[str, Any] = json.loads(event["data"])
                    assert data.get("id", event.get("id")) == event.get("id")
                    assert data["kind"] == event["event"]
                    return data
            return None

    async def take(self, count: int) -> list[dict[str, Any]]:
        found = [await self.next() for _ in range(count)]
        return [event for event in found if event is not None]


class Reader:
    """Somebody who follows a room through everything, and comes back wherever they were cut off.

    Args:
        url: The service.
        room: Its id.
    """

    def __init__(self, url: str, room: str) -> None:
        self._url = url
        self.room = room
        self.record: list[dict[str, Any]] = []
        self.trouble: list[str] = []
        """What kept them from reading."""

    @property
    def last(self) -> int:
        return int(self.record[-1]["seq"]) if self.record else 0

    async def read(self, *, drop_every: int = 0) -> None:
        """Reads until it is cancelled; drops the connection by itself now and then."""
        while True:
            after = self.record[-1]["id"] if self.record else "0" * 26
            try:
                async with Stream.opened(self._url, self.room, **{"Last-Event-ID": after}) as stream:
                    if stream.answer.status_code == 200:
                        await self._read(stream, drop_every)
                    else:
                        self.trouble.append(stream.answer.text)
            except (httpx.TransportError, TimeoutError) as error:
                self.trouble.append(repr(error))
            await asyncio.sleep(0.02)

    async def _read(self, stream: Stream, drop_every: int) -> None:
        count = 0
        while True:
            event = await stream.next()
            if event is None or event["kind"] == "end":
                return
            self.record.append(event)
            count += 1
            if drop_every and count >= drop_every:
                return

    async def until(self, seq: int) -> None:
        """Waits until everything up to a position was read."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while self.last < seq:
            assert asyncio.get_running_loop().time() < deadline, f"read up to {self.last} of {seq}, {self.trouble[-5:]}"
            await asyncio.sleep(0.02)
