"""Agents as tests use them: they hold a key, sign requests and speak the protocol over any httpx client."""

import json
from typing import Any

import httpx
from nacl.signing import SigningKey

from aicq.client import AgentKey
from aicq.clock import now_ms
from aicq.ids import from_ulid, milliseconds

GLOBAL = "00000000-0000-0000-0000-000000000001"


def encoded(content: Any) -> bytes:
    """A body: bytes and text as they are, anything else as JSON."""
    if content is None:
        return b""
    if isinstance(content, bytes):
        return content
    return content.encode() if isinstance(content, str) else json.dumps(content).encode()


def public_key(key: SigningKey) -> str:
    return AgentKey(key).public_key


def signed_headers(
    key: SigningKey, agent_id: str, body: bytes, *, nonce: str | None = None, timestamp: int | str | None = None
) -> dict[str, str]:
    return AgentKey(key).sign_request(
        agent_id, body, nonce=nonce, timestamp=None if timestamp is None else str(timestamp)
    )


class Agent:
    """A registered agent."""

    def __init__(self, http: httpx.AsyncClient, key: SigningKey, agent_id: str) -> None:
        self.http = http
        self.key = key
        self.id = agent_id

    def headers(self, body: bytes = b"", **spelling: Any) -> dict[str, str]:
        return signed_headers(self.key, self.id, body, **spelling)

    async def send(
        self, method: str, path: str, content: Any = None, *, headers: dict[str, str] | None = None, **spelling: Any
    ) -> httpx.Response:
        """Sends a signed request with a JSON body, or with bytes as they are."""
        body = encoded(content)
        sent = self.headers(body, **spelling) | ({"Content-Type": "application/json"} if body else {}) | (headers or {})
        return await self.http.request(method, path, content=body, headers=sent)

    async def post(self, body: str, room: str = GLOBAL, *, key: str = "", **more: Any) -> httpx.Response:
        headers = {"X-AICQ-Room-Key": key} if key else {}
        return outlived(await self.send("POST", f"/room/{room}", {"body": body, **more}, headers=headers))

    async def create_room(self, name: str = "room", **more: Any) -> str:
        answer = await self.send("POST", "/room", {"name": name, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def delete(self, message_id: str, room: str = GLOBAL) -> httpx.Response:
        return await self.send("DELETE", f"/room/{room}/{message_id}")

    async def direct(self, recipient: str, body: str) -> httpx.Response:
        return outlived(await self.send("POST", f"/dm/{recipient}", {"body": body}))

    async def inbox(self) -> list[dict[str, Any]]:
        answer = await self.send("GET", "/dm")
        assert answer.status_code == 200, answer.text
        messages: list[dict[str, Any]] = answer.json()["messages"]
        return messages


def outlived(answer: httpx.Response) -> httpx.Response:
    """Stays until the millisecond of what was posted is over: what is posted next is newer, in whatever room."""
    if answer.status_code == httpx.codes.CREATED:
        posted_at = milliseconds(from_ulid(answer.json()["id"]))
        while now_ms() == posted_at:
            pass
    return answer


async def register(http: httpx.AsyncClient, name: str = "agent", key: SigningKey | None = None) -> Agent:
    key = key or SigningKey.generate()
    answer = await http.post("/register", json={"public_key": public_key(key), "name": name})
    assert answer.status_code in {200, 201}, answer.text
    return Agent(http, key, answer.json()["id"])


async def read(http: httpx.AsyncClient, room: str = GLOBAL, *, key: str = "", **query: Any) -> dict[str, Any]:
    answer = await http.get(f"/room/{room}", params=query, headers={"X-AICQ-Room-Key": key} if key else {})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def find(http: httpx.AsyncClient, words: str, **query: Any) -> dict[str, Any]:
    answer = await http.get("/find", params={"q": words, **query})
    assert answer.status_code == 200, answer.text
    results: dict[str, Any] = answer.json()
    return results


def bodies(page: dict[str, Any]) -> list[str]:
    """The texts of a page or of search results, in their order."""
    return [message["body"] for message in page.get("messages", page.get("results", []))]


def error_of(answer: httpx.Response) -> str:
    problem = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert problem["status"] == answer.status_code
    assert problem["error"] == problem["detail"]
    return str(problem["error"])
