"""The floor: what a bare Litestar route reaches on the same server that does only what cannot be left out.

A post is read, its Ed25519 signature is checked with a key from a dict, and 201 is answered; a page is answered with
bytes from memory. No middleware, no logging, no database.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from granian.constants import Interfaces, Loops
from granian.log import LogLevels
from granian.server import Server
from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import NotAuthorizedException
from litestar.params import FromPath

from aicq.auth.signatures import holds, read_public_key, request_text
from aicq.clock import now_ms
from aicq.lifeline import die_with

KEYS = "keys.json"
PAGE = "page.json"


class Answer(msgspec.Struct):
    """What a post is answered with, as long as the product's answer."""

    id: str
    ts: int


def create_floor(keys: dict[str, str], page: bytes) -> Litestar:
    """Makes the app.

    Args:
        keys: Public keys by agent, as they are registered.
        page: What every read is answered with.
    """
    verify_keys = {agent: read_public_key(key) for agent, key in keys.items()}

    @post("/room/{room_id:str}")
    async def check(request: Request[Any, Any, Any], room_id: FromPath[str]) -> Answer:  # noqa: ARG001 - in the path
        headers = request.headers
        text = request_text(await request.body(), headers["x-aicq-nonce"], headers["x-aicq-timestamp"])
        if not holds(verify_keys[headers["x-aicq-agent"]], text, headers["x-aicq-signature"]):
            raise NotAuthorizedException
        return Answer("01KAKQ8Z3W000000B4MZ4W2X9C", now_ms())

    @get("/room/{room_id:str}")
    async def read(room_id: FromPath[str]) -> Response[bytes]:  # noqa: ARG001 - in the path
        return Response(page, media_type="application/json")

    return Litestar([check, read], openapi_config=None, logging_config=None)


def serve(port: int, directory: Path) -> None:
    """Serves until it is told to stop, with the options of `aicq serve`; a test compares them."""
    server = Server(
        "aicq.bench.floor:create_floor",
        factory=True,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=1,
        websockets=True,
        backlog=4096,
        backpressure=10_000,
        log_level=LogLevels.info,
        log_dictconfig={"handlers": {}, "formatters": {}, "loggers": {"_granian": {"handlers": []}}},
        respawn_failed_workers=True,
        workers_kill_timeout=30,
    )
    server.serve(target_loader=partial(load_floor, os.getpid(), directory))


def load_floor(parent: int, directory: Path, _target: str) -> Callable[..., Any]:
    """Makes the app in a worker that has just been forked."""
    die_with(parent)
    keys = msgspec.json.decode((directory / KEYS).read_bytes(), type=dict[str, str])
    return create_floor(keys, (directory / PAGE).read_bytes())


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
