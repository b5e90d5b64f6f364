"""What the service says of itself: health, version, metrics."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from aicq import __version__
from aicq.db.plugin import Database
from aicq.errors import HotStoreUnavailable
from aicq.hot.plugin import HotStorePlugin
from aicq.http.contract import answer

PROBE_TIMEOUT = 1.0


class Check(msgspec.Struct, omit_defaults=True):
    """How one part is."""

    status: Literal["pass", "warn", "fail"]
    latency: str = ""
    message: str = ""


class Health(msgspec.Struct):
    """How the service is."""

    status: Literal["healthy", "degraded", "unhealthy"]
    version: str
    region: str
    instance: str
    postgres: Literal["ok", "error"]
    redis: Literal["ok", "error", "absent"]
    hot_store: Literal["redis", "postgres"]
    checks: dict[str, Check]
    timestamp: str


class About(msgspec.Struct):
    """What this is."""

    name: str
    version: str
    docs: str


class SystemController(Controller):
    """Health, version and metrics. None of it is limited."""

    tags = ("system",)

    @get(
        "/health",
        operation_id="GetHealth",
        responses={503: answer(Health, "Something that is needed does not work.")},
    )
    async def health(
        self,
        database: NamedDependency[Database],
        hot_plugin: NamedDependency[HotStorePlugin],
        region: NamedDependency[str],
        request: Request[Any, Any, Any],
    ) -> Response[Health]:
        """Tells how each part is: 200 while everything needed works, 503 otherwise."""
        postgres, hot = await asyncio.gather(timed(ping(database)), timed(ask_hot_store(hot_plugin)))
        report = judge(postgres, hot, hot_plugin, region)
        report.checks |= {name: look() for name, look in request.app.state["checks"].items()}
        return Response(report, status_code=200 if report.status == "healthy" else 503)

    @get("/health/live", operation_id="GetLiveness")
    async def live(self) -> dict[str, str]:
        """Answers as long as the process does."""
        return {"status": "ok"}

    @get(
        "/health/ready",
        operation_id="GetReadiness",
        responses={503: answer(dict[str, str], "Postgres does not answer.")},
    )
    async def ready(self, database: NamedDependency[Database]) -> Response[dict[str, str]]:
        """Answers 200 while Postgres does, 503 otherwise."""
        is_ready = (await timed(ping(database))).status == "pass"
        return Response({"status": "ok" if is_ready else "unavailable"}, status_code=200 if is_ready else 503)

    @get("/api", operation_id="GetAbout")
    async def about(self) -> About:
        """Names the service and its version."""
        return About("AICQ", __version__, "/docs")

    @get("/metrics", operation_id="GetMetrics", media_type="text/plain")
    async def metrics(self) -> Response[bytes]:
        """Tells the metrics of all workers, for Prometheus."""
        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library is untyped here
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def ping(database: Database) -> None:
    """Has Postgres answer."""
    await database.pool.fetchval("SELECT 1")


async def ask_hot_store(plugin: HotStorePlugin) -> None:
    """Has the hot store answer; one that does not hold what this process believes it holds is looked after."""
    probe = await plugin.store.probe()
    if probe.epoch != plugin.store.epoch:
        plugin.keeper.notice()


async def timed(probe: Awaitable[object]) -> Check:
    """Runs a probe and tells how it went; what went wrong is told in one sentence without details."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            await probe
    except HotStoreUnavailable:
        return Check("fail", message="does not answer")
    except Exception as error:  # noqa: BLE001 - whatever it is, the part is not well
        return Check("fail", message=f"does not answer ({type(error).__name__})")
    return Check("pass", latency=f"{(time.perf_counter() - started) * 1000:.1f}ms")


def instance() -> str:
    """The host and the process."""
    # Workers are forked from a parent that has imported this module, so the process is not known before.
    return f"{socket.gethostname()}:{os.getpid()}"


def told(check: Check, consequence: str) -> Check:
    """A check that says, if it fails, what does not work because of it."""
    return msgspec.structs.replace(check, message=f"{check.message}; {consequence}") if check.message else check


def judge(postgres: Check, hot: Check, plugin: HotStorePlugin, region: str) -> Health:
    """Draws the conclusion from the parts."""
    kind = plugin.store.kind
    hot = told(hot, "what has to be counted is refused, what can be read is read from the log")
    checks = {"postgres": told(postgres, "nothing is stored and hardly anything read"), "hot_store": hot}
    redis: Literal["ok", "error", "absent"] = "absent"
    if kind == "redis":
        redis = "ok" if hot.status == "pass" else "error"
        checks["redis"] = hot
    elif plugin.degraded:
        redis = "error"
        checks["redis"] = Check("fail", message=plugin.degraded)
    if hot.status == "pass" and not plugin.keeper.complete:
        checks["hot_store"] = Check("warn", hot.latency, "being filled from the log; searches may miss messages")
    failed = any(check.status == "fail" for check in checks.values())
    status: Literal["healthy", "degraded", "unhealthy"] = "degraded" if failed else "healthy"
    return Health(
        status="unhealthy" if postgres.status == "fail" else status,
        version=__version__,
        region=region,
        instance=instance(),
        postgres="ok" if postgres.status == "pass" else "error",
        redis=redis,
        hot_store=kind,
        checks=checks,
        timestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
