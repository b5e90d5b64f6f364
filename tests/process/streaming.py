"""An app of five lines around the plugin that lets streams end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Request, WebSocket, get, websocket
from litestar.response import Stream

from aicq.http.drain import DrainPlugin


async def ticks(drain: asyncio.Event) -> AsyncIterator[str]:
    yield "hello\n"
    await drain.wait()
    yield "goodbye\n"


@get("/stream")
async def stream(request: Request[Any, Any, Any]) -> Stream:
    return Stream(ticks(request.app.state.drain))


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.app.state.drain.wait()
    await socket.close(code=1001)


@get("/slow")
async def slow(request: Request[Any, Any, Any]) -> str:
    request.app.state.has_arrived = True
    await request.app.state.drain.wait()
    await asyncio.sleep(1)
    return "done"


@get("/has-arrived")
async def has_arrived(request: Request[Any, Any, Any]) -> bool:
    return bool(request.app.state.get("has_arrived"))


app = Litestar([stream, socket, slow, has_arrived], plugins=[DrainPlugin()], logging_config=None, openapi_config=None)
