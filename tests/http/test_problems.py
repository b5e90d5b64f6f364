"""What an error looks like on the wire."""

import httpx
import pytest
from litestar import Litestar, get

from aicq.errors import OutcomeUnknown, Unavailable
from aicq.http.problems import EXCEPTION_HANDLERS

pytestmark = pytest.mark.anyio


@get("/unknown")
async def unknown() -> None:
    raise OutcomeUnknown


@get("/away")
async def away() -> None:
    raise Unavailable


async def test_a_503_says_whether_something_may_have_been_stored() -> None:
    app = Litestar([unknown, away], exception_handlers=EXCEPTION_HANDLERS, openapi_config=None, logging_config=None)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type] # Litestar types its scopes more narrowly
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answers = [await http.get(path) for path in ("/unknown", "/away")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert [answer.json().get("outcome") for answer in answers] == ["unknown", None]
    assert [answer.headers["retry-after"] for answer in answers] == ["1", "1"]
