"""Habits of the protocol's original that are not ported (docs/decisions/0008-what-is-not-ported.md)."""

import httpx
import pytest
from tests.agents import GLOBAL, bodies, error_of, find, register

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("query", ["a..b", "a//b", "<script", "javascript:", "onerror="])
async def test_no_query_is_taken_for_an_attack(http: httpx.AsyncClient, query: str) -> None:
    agent = await register(http)
    await agent.post(f"what they call {query} here")
    assert bodies(await find(http, f"{query} here")) == [f"what they call {query} here"]
    assert (await http.get(f"/find?q={query}")).status_code == 200


async def test_markup_stands_in_json_as_it_was_written(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    await agent.post("<b>fish & chips</b>")
    assert b'"body":"<b>fish & chips</b>"' in (await http.get(f"/room/{GLOBAL}")).content


async def test_a_key_in_another_case_is_another_key(http: httpx.AsyncClient) -> None:
    agent = await register(http)
    answer = await agent.send("POST", f"/room/{GLOBAL}", {"Body": "hello"})
    assert (answer.status_code, error_of(answer)) == (400, "body is required")
