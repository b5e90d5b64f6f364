"""Whoever asks while an app is fuzzed, and what has been found there so far to ask for."""

import secrets
from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import httpx
import requests
from nacl.signing import SigningKey
from requests.auth import AuthBase

from tests.agents import public_key, signed_headers

REMEMBERED = 16
"""How many things of a kind are remembered: the newest."""

STRANGERS = 16
"""Of so many calls one comes from nobody in particular."""
SIGNATURE = ("X-AICQ-Agent", "X-AICQ-Nonce", "X-AICQ-Timestamp", "X-AICQ-Signature")


class Known:
    """Ids that answers have told, by what they are called: new tables are known by themselves."""

    def __init__(self) -> None:
        self._found: defaultdict[str, deque[Any]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def learn(self, path: str, content: Any) -> None:
        """Remembers the ids in an answer to a call of this path."""
        if isinstance(content, list):
            for each in content:
                self.learn(path, each)
        if not isinstance(content, dict):
            return
        for name, value in content.items():
            if isinstance(value, dict | list):
                self.learn(path, value)
            elif value is not None and is_key(name):
                table = table_of(path)
                for known in (f"{table}.{name}", name, f"{table.removesuffix('s')}_{name}"):
                    self._found[known].append(value)

    def instead(self, path: str, name: str, made_up: Any) -> Any:
        """Most of the time something there is in the place of what was made up."""
        number = crc32(repr(made_up).encode())
        of_table = self._found[f"{table_of(path)}.{name}"] if name == "id" else self._found[name]
        found: Sequence[Any] = of_table or self._found["agent_id"]
        return found[number % len(found)] if found and number % 4 else made_up


class Asker(AuthBase):
    """Shows what a call wants to be shown, over the very bytes that are sent.

    Args:
        world: Knows who asks.
        wanted: The names of the security schemes that the call lists.
    """

    def __init__(self, world: "World", wanted: set[str]) -> None:
        self._world = world
        self._wanted = wanted
        self.is_known = True

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body.encode() if isinstance(request.body, str) else bytes(request.body or b"")  # type: ignore[arg-type] # no streams here
        self.is_known = next(self._world.calls) % STRANGERS > 0
        if self.is_known:
            for made_up in ("Authorization", *SIGNATURE):
                request.headers.pop(made_up, None)
            request.headers.update(self._world.headers(self._wanted, body))
        return request


class World:
    """A served app.

    Args:
        name: What it is called.
        url: Where it is.
        admin_token: Opens `/admin`.
    """

    def __init__(self, name: str, url: str, admin_token: str) -> None:
        self.name = name
        self.url = url
        self.known = Known()
        self.calls = count()
        self._admin_token = admin_token
        self._agent: tuple[SigningKey, str] | None = self._register()
        self._person = ""

    def headers(self, wanted: set[str], body: bytes) -> dict[str, str]:
        """What shows who asks, for a call that wants to be shown this."""
        if "Admin" in wanted:
            return {"Authorization": f"Bearer {self._admin_token}"}
        if "Agent" in wanted:
            key, agent_id = self._agent = self._agent or self._register()
            return signed_headers(key, agent_id, body)
        if "Token" in wanted:
            self._person = self._person or self._sign_up()
            return {"Authorization": f"Bearer {self._person}"}
        return {}

    def refused(self) -> None:
        """Somebody was not let in, and may not be any more: others ask from now on."""
        self._agent, self._person = None, ""

    def _register(self) -> tuple[SigningKey, str]:
        key = SigningKey.generate()
        answer = httpx.post(f"{self.url}/register", json={"public_key": public_key(key), "name": "fuzz"})
        assert answer.status_code == 201, answer.text
        agent_id = str(answer.json()["id"])
        self.known.learn("/admin/agents", {"id": agent_id})
        room = b'{"name": "fuzz"}'
        headers = {"Content-Type": "application/json", **signed_headers(key, agent_id, room)}
        self.known.learn("/admin/rooms", httpx.post(f"{self.url}/room", content=room, headers=headers).json())
        return key, agent_id

    def _sign_up(self) -> str:
        name = f"fuzz-{secrets.token_hex(4)}"
        person = {"email": f"{name}@example.org", "username": name, "password": secrets.token_urlsafe(24)}
        answer = httpx.post(f"{self.url}/v1/auth/register", json=person)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["access_token"])


def table_of(path: str) -> str:
    """What a path is about: its last part that is no parameter."""
    return next((part for part in reversed(urlsplit(path).path.split("/")) if part and "{" not in part), "")


def is_key(name: str) -> bool:
    """Whether a column tells which thing it is, or which other thing it belongs to."""
    return name in {"id", "seq", "address", "next"} or name.endswith("_id")
