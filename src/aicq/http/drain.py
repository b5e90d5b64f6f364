"""Lets streams end before the server stops: a stop is announced first, and carried out a moment later.

Granian drops WebSockets without a close frame and waits for every open stream. So `drain` is set when the
signal arrives; streams watch it and say goodbye; then granian gets the signal that it would have got.
"""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

STOPS = (signal.SIGTERM, signal.SIGINT)

GOODBYE = 0.3
"""Seconds that streams get to end."""


@asynccontextmanager
async def drain_lifespan(app: Litestar) -> AsyncIterator[None]:
    """Keeps `app.state.drain`, an event that is set once the process is asked to stop."""
    drain = app.state.drain = asyncio.Event()
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only: a test's server, which ends its streams itself
        return
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in STOPS}

    def give_back() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def stop(number: int) -> None:
        give_back()
        signal.raise_signal(number)

    def announce(number: int, _frame: FrameType | None) -> None:
        if not drain.is_set():
            # Set here, not in the loop: the second signal of an impatient operator must find it set.
            drain.set()
            loop.call_soon_threadsafe(loop.call_later, GOODBYE, stop, number)

    for number in STOPS:
        signal.signal(number, announce)
    try:
        yield
    finally:
        give_back()


class DrainPlugin(InitPlugin):
    """Announces the end of the process to the app's streams."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the lifespan."""
        app_config.lifespan.append(drain_lifespan)
        return app_config
