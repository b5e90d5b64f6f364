"""Many at once, and much at once: connections suffice, and a page costs as many statements however long it is."""

import asyncio
from typing import Any

import pytest
from litestar import Litestar

from aicq.db.plugin import DatabasePlugin
from aicq.work.plugin import WorkPlugin
from tests.agents import Agent
from tests.db.observed import statements_of
from tests.work.calls.conftest import ask, make_evidence, make_project, make_task


async def test_two_hundred_requests_at_once_are_all_answered(scout: Agent, project: dict[str, Any]) -> None:
    reading = [scout.send("GET", path) for path in ("/v1/tasks", "/v1/projects") * 50]
    new = {"project_id": project["id"], "title": "one of many"}
    writing = [scout.send("POST", "/v1/tasks", new) for _ in range(100)]
    answers = await asyncio.gather(*reading, *writing)
    assert [answer.status_code for answer in answers] == [200] * 100 + [201] * 100
    codes = {answer.json()["code"] for answer in answers[100:]}
    assert len(codes) == 100


@pytest.mark.parametrize("path", ["projects", "tasks", "evidence", "executions"])
async def test_a_page_of_thirty_takes_as_many_statements_as_a_page_of_one(
    app: Litestar, scout: Agent, path: str
) -> None:
    for number in range(30):
        project = await make_project(scout, f"p{number}")
        task = await make_task(scout, project)
        await make_evidence(scout, task_id=task["id"])
        await ask(scout, "POST", "/v1/executions", {"task_id": task["id"]}, status=201)
    await app.plugins.get(WorkPlugin).feed.settle()  # what it writes of all this is not the page's
    engine = app.plugins.get(DatabasePlugin).database.config.get_engine()
    taken = []
    for limit in (1, 30):
        with statements_of(engine) as statements:
            assert len((await ask(scout, "GET", f"/v1/{path}?limit={limit}"))["items"]) == limit
        taken.append(len([sent for sent, _ in statements if "activity_feed" not in sent]))
    assert taken[0] == taken[1] <= 3
