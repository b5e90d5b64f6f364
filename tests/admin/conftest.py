"""The app with an admin token, over each hot store, and an admin who calls it."""

from collections.abc import AsyncIterator, Mapping

import asyncpg
import httpx
import pytest
from litestar import Litestar

from aicq.http.resources.plugin import ResourcesPlugin
from aicq.http.resources.resource import Resource
from tests.admin.samples import World
from tests.conftest import RAISED_LIMITS
from tests.project.openapi import app as make_app

TOKEN = "an admin token for tests"

RESOURCES: dict[str, Resource] = {
    resource.name: resource for resource in make_app().plugins.get(ResourcesPlugin).resources
}


@pytest.fixture
def environment() -> Mapping[str, str]:
    return {**RAISED_LIMITS, "AICQ_ADMIN_TOKEN": TOKEN}


@pytest.fixture
async def admin(app: Litestar, http: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the app, which `http` has started, with the admin token."""
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type] # Litestar types its scopes more narrowly
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url=http.base_url, headers=headers) as client:
        yield client


@pytest.fixture
def world(admin: httpx.AsyncClient, database: "asyncpg.Connection[asyncpg.Record]") -> World:
    return World(admin, database)
