"""Chromium without a window, told what to do over a pipe in its own protocol."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.process.service import wait_until

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # It would call its makers otherwise.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
)

PATIENCE = 30.0


class BrowserError(Exception):
    """There is no browser, or it says that something is wrong."""


@contextmanager
def chromium(profile: Path) -> Iterator["Browser"]:
    """Runs a browser with an empty profile for as long as the context is open."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise BrowserError("There is no Chromium here; Debian's package is called chromium.")
    # The browser reads from 3 and writes to 4, so our own ends must have other numbers until then.
    (reads, tells), (hears, writes) = (tuple(map(_raised, os.pipe())) for _ in range(2))

    def place() -> None:
        os.dup2(reads, 3)
        os.dup2(writes, 4)

    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [program, *OPTIONS, *sandbox, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(3, 4),
        preexec_fn=place,  # noqa: PLW1509 - no other thread runs here
    )
    os.close(reads)
    os.close(writes)
    browser = Browser(tells, hears)
    try:
        yield browser
        browser.call("Browser.close")
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
        os.close(tells)
        os.close(hears)


def _raised(number: int) -> int:
    raised = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(number)
    return raised


class Browser:
    """One browser.

    Args:
        tells: Where it is told what to do.
        hears: Where it answers, and says what happens.
    """

    def __init__(self, tells: int, hears: int) -> None:
        self._tells = tells
        self._hears = hears
        self._numbers = itertools.count(1)
        self._unread = b""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str = "", **what: Any) -> dict[str, Any]:
        """Has it do something, and returns what came of it; what happens meanwhile is kept."""
        number = next(self._numbers)
        told = {"id": number, "method": method, "params": what, **({"sessionId": session} if session else {})}
        os.write(self._tells, json.dumps(told).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._hears], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(self._hears, 1 << 20) if ready else b""
            if not part:
                raise BrowserError("The browser does not answer.")
            self._unread += part
        message, _, self._unread = self._unread.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told

    def open(
        self,
        url: str,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        script: bool = True,
        refused: tuple[str, ...] = (),
    ) -> "Tab":
        """Opens a page as a visitor with such a screen and such tastes would, whom some addresses are refused."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        taste = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tab.call("Emulation.setEmulatedMedia", features=[taste])
        tab.call("Emulation.setScriptExecutionDisabled", value=not script)
        tab.call("Network.setBlockedURLs", urls=list(refused))
        tab.call("Page.navigate", url=url)
        wait_until(lambda: tab.events("Page.loadEventFired"), told="the page's load")
        return tab


class Tab:
    """One page that is open."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, **what: Any) -> dict[str, Any]:
        """Has the page do something."""
        return self._browser.call(method, self._session, **what)

    def events(self, method: str) -> list[dict[str, Any]]:
        """What happened of this kind so far."""
        self.call("Runtime.evaluate", expression="0")  # hears what it has said meanwhile
        mine = (event for event in self._browser.events if event.get("sessionId") == self._session)
        return [event["params"] for event in mine if event["method"] == method]

    def run(self, expression: str) -> Any:
        """What an expression is worth in the page."""
        how = {"returnByValue": True, "awaitPromise": True, "allowUnsafeEvalBlockedByCSP": False}
        done = self.call("Runtime.evaluate", expression=expression, **how)
        if "exceptionDetails" in done:
            raise BrowserError(done["exceptionDetails"]["exception"].get("description", "It threw something."))
        return done["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Waits until an expression is true in the page, and returns what it is worth then."""
        return wait_until(lambda: self.run(expression), told=expression)

    def press(self, key: str) -> None:
        """Presses a key."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def pass_time(self, *, seconds: int) -> None:
        """Has the page's clock run on at once; the page is of no use for anything else after that."""
        what = {"policy": "pauseIfNetworkFetchesPending", "budget": seconds * 1000}
        self.call("Emulation.setVirtualTimePolicy", **what)
        wait_until(lambda: self.events("Emulation.virtualTimeBudgetExpired"), told="the time's passing")

    def be_offline(self, *, is_offline: bool) -> None:
        """Cuts the page off, or lets it reach the service again."""
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.call("Network.emulateNetworkConditions", offline=is_offline, **speed)

    def complaints(self) -> list[str]:
        """What the page did that it should not: errors, and what its policy refused."""
        thrown = [each["exceptionDetails"]["text"] for each in self.events("Runtime.exceptionThrown")]
        logged = [each["entry"]["text"] for each in self.events("Log.entryAdded")]
        return thrown + logged

    def requests(self) -> list[str]:
        """Every address that it asked for."""
        return [each["request"]["url"] for each in self.events("Network.requestWillBeSent")]

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """Writes what it shows as a PNG."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))
