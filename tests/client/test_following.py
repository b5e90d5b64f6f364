"""Following a room: when a client comes back whose stream was lost."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from aicq.client.following import PAUSE, follow
from aicq.errors import Forbidden

pytestmark = pytest.mark.anyio

END = b'event: end\ndata: {"kind":"end","error":"you may not see this room any more"}\n\n'


class Service:
    """What answers a client with one stream after the other.

    Args:
        answers: Status, headers and body of each; the last one ends the following.
    """

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self._answers = list(answers)
        self.places: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.places.append(request.headers.get("Last-Event-ID", ""))
        status, headers, body = self._answers.pop(0)
        if not status:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(status, headers=headers, content=body)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What is waited for between two streams, without the waiting."""
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    return waited


async def until_ended(service: Service) -> None:
    """Follows until the service ends it."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(service), base_url="http://test") as http:
        with pytest.raises(Forbidden, match="not see this room any more"):
            async for _ in follow(http, "/room/x/events", dict, after="", patience=30):
                pass


def stream(*frames: bytes) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b"".join(frames)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([stream(b"retry: 1730\nid: a\n\n")], [1.73]),
        ([stream(b"retry: 1730\nid: a\n\n"), (0, {}, b""), (0, {}, b"")], [1.73, 1.73, 1.73]),
        ([stream(b"retry: 1730\nid: a\n\n"), stream(b"retry: 900\n\n")], [1.73, 0.9]),
        ([(0, {}, b"")], [PAUSE]),
        ([stream(b"retry: soon\n\n")], [PAUSE]),
    ],
    ids=["told", "while it is away as well", "told anew", "not told yet", "told nothing sensible"],
)
async def test_a_client_comes_back_when_it_was_told_to(
    pauses: list[float], answers: Sequence[tuple[int, dict[str, str], bytes]], expected: list[float]
) -> None:
    await until_ended(Service(*answers, stream(END)))
    assert pauses == expected


async def test_a_client_that_is_one_too_many_comes_back_when_it_may(pauses: list[float]) -> None:
    refused = (429, {"Retry-After": "3"}, b'{"error":"too many open streams"}')
    await until_ended(Service(refused, stream(END)))
    assert pauses == [3]


async def test_a_client_goes_on_where_it_was(pauses: list[float]) -> None:
    service = Service(stream(b"retry: 1000\nid: a\n\n"), (0, {}, b""), stream(b"id: b\n\n"), stream(END))
    await until_ended(service)
    assert service.places == ["", "a", "a", "b"]
    assert len(pauses) == 3
