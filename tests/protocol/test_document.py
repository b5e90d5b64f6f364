"""The OpenAPI document lists every answer, as it is given."""

import asyncio
import re
from typing import Any

import httpx
import pytest
import yaml
from litestar import Litestar
from tests.agents import GLOBAL, Agent, register

from aicq.clock import now_ms
from aicq.hot.base import HotBlock
from aicq.hot.plugin import HotStorePlugin
from aicq.settings import DEFAULT_RATES

pytestmark = pytest.mark.anyio

LIMIT = 15
KEY = "a key of sixteen or more"
NOBODY = "019aa8f0-0000-7000-8000-000000000000"
NOTHING = "01M80XSHB500000001C7YKEA0Y"
LARGE = b'{"more":"' + b"x" * 17_000 + b'"}'

UNSEEN = {503}
"""Statuses of parts that are away, which other tests take away."""

ENDLESS = {("/room/{room_id}/events", "get"): {200}}
"""Answers that do not end; tests that follow rooms get them."""

PAGES = (
    *("/", "/api", "/docs", "/docs/ui", "/docs/openapi.yaml"),
    *("/health", "/health/live", "/health/ready", "/metrics"),
)

OTHERS = ("/admin", "/v1")
"""What is no part of the AICQ protocol; it has tests of its own."""


@pytest.fixture
def environment() -> dict[str, str]:
    """Limits that a test can use up."""
    wide = {"bytes", "failures"}
    return {"RATE_LIMITS": ",".join(f"{rule}={10**8 if rule in wide else LIMIT}/60" for rule in DEFAULT_RATES)}


class Recorder:
    """Every answer that a client gets, by the call as the document names it."""

    def __init__(self, http: httpx.AsyncClient, document: dict[str, Any]) -> None:
        self.answers: list[httpx.Response] = []
        self._paths: dict[re.Pattern[str], str] = {
            re.compile(re.sub(r"{\w+}", "[^/]+", path)): path
            for path in sorted(document["paths"], key=lambda path: path.count("{"))
        }
        http.event_hooks = {"response": [self._keep]}

    async def _keep(self, answer: httpx.Response) -> None:
        self.answers.append(answer)

    def calls(self) -> list[tuple[str, str, httpx.Response]]:
        return [(self._path(answer), answer.request.method.lower(), answer) for answer in self.answers]

    def _path(self, answer: httpx.Response) -> str:
        return next(path for shape, path in self._paths.items() if shape.fullmatch(answer.request.url.path))


async def call_everything(http: httpx.AsyncClient, ada: Agent, private: str) -> None:
    """Gets every kind of answer but those of limits and blocks."""
    for path in PAGES:
        await http.get(path)
    await register(http, key=ada.key)
    for content, kind in ((b"{}", "application/json"), (b"{}", "text/plain"), (LARGE, "application/json")):
        await http.post("/register", content=content, headers={"Content-Type": kind})
    for path in (f"/who/{ada.id}", "/who/me", f"/who/{NOBODY}", "/channels", "/stats"):
        await http.get(path)
    for room in (GLOBAL, "global", NOBODY, private):
        await http.get(f"/room/{room}")
    for room in ("global", NOBODY, private):
        await http.get(f"/room/{room}/events")
    for query in ({"q": "said"}, {}, {"q": "said", "room": private}):
        await http.get("/find", params=query)
    for path in ("/room", f"/room/{GLOBAL}", f"/dm/{ada.id}"):
        await ada.send("POST", path, b"{")
        await ada.send("POST", path, LARGE)
        await ada.send("POST", path, b"{}", headers={"Content-Type": "text/plain"})
        await http.post(path, json={})
    await ada.create_room("talk")
    await ada.send("POST", "/room", {"name": "room", "is_private": True, "key": "x" * 73})
    parent = (await ada.post("said")).json()["id"]
    said = (await ada.post("said, in answer", pid=parent)).json()["id"]
    await ada.post("said", NOBODY)
    await ada.post("x" * 4097)
    await http.get(f"/room/{GLOBAL}")
    await ada.direct(ada.id, "x")
    await ada.direct(NOBODY, "x")
    await ada.direct(ada.id, "x" * 8193)
    await ada.send("GET", "/dm")
    await ada.send("GET", "/dm", LARGE)
    await http.get("/dm")
    await ada.delete(said)
    await ada.delete(NOTHING)
    await ada.delete(said, "global")
    await ada.send("DELETE", f"/room/{GLOBAL}/{NOTHING}", LARGE)
    await http.delete(f"/room/{GLOBAL}/{NOTHING}")


async def call_what_is_limited(http: httpx.AsyncClient, ada: Agent) -> None:
    """Each call under a limit, once."""
    await http.post("/register", json={})
    for path in (f"/who/{ada.id}", "/channels", f"/room/{GLOBAL}", f"/room/{NOBODY}/events", "/find?q=said"):
        await http.get(path)
    for path in ("/room", f"/room/{GLOBAL}", f"/dm/{ada.id}"):
        await ada.send("POST", path, {})
    await ada.send("GET", "/dm")
    await ada.delete(NOTHING)


def fits(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether a value is as a schema says, and has nothing more."""
    if "$ref" in schema:
        return fits(value, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    match schema["type"]:
        case "object":
            properties, rest = schema.get("properties", {}), schema.get("additionalProperties")
            return set(schema.get("required", [])) <= value.keys() and all(
                fits(part, known, document) if (known := properties.get(name, rest)) else False
                for name, part in value.items()
            )
        case "array":
            return all(fits(part, schema["items"], document) for part in value)
        case kind:
            is_known = value in schema.get("enum", [value])
            return is_known and type(value) is {"string": str, "integer": int, "boolean": bool}[kind]


async def test_every_answer_is_in_the_document_and_the_document_promises_no_other(
    http: httpx.AsyncClient, app: Litestar
) -> None:
    document = yaml.safe_load((await http.get("/docs/openapi.yaml")).text)
    recorder = Recorder(http, document)
    ada = await register(http)
    await call_everything(http, ada, await ada.create_room("secret", is_private=True, key=KEY))
    await asyncio.gather(*(call_what_is_limited(http, ada) for _ in range(LIMIT)))
    await app.plugins.get(HotStorePlugin).store.limits.block([HotBlock("127.0.0.1", now_ms() + 60_000, "test")])
    await call_what_is_limited(http, ada)

    seen: dict[tuple[str, str], set[int]] = {}
    for path, method, answer in recorder.calls():
        seen.setdefault((path, method), set()).add(answer.status_code)
        call = f"{method} {path} {answer.status_code}"
        told = document["paths"][path][method]["responses"].get(str(answer.status_code))
        assert told, f"{call} is not in the document"
        ((kind, content),) = told.get("content", {"": {}}).items()
        assert answer.headers.get("content-type", "").partition(";")[0] == kind, call
        if kind.endswith("json"):
            assert fits(answer.json(), content["schema"], document), f"{call}: {answer.text}"
    assert seen == {
        (path, method): {int(status) for status in operation["responses"]} - UNSEEN - ENDLESS.get((path, method), set())
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if not path.startswith(OTHERS)
    }
