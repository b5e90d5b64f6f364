"""Every call that the OpenAPI document lists, with what fits it and what does not: each answer is in the document.

What is asked is made up by schemathesis from the document, so calls of later parts are covered without a change here.
Ids are taken from earlier answers every other time. The same is made up in each run.
"""

import os
from typing import Any
from zlib import crc32

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from requests import RequestException
from schemathesis import Case, GenerationMode, HookContext
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.world import Asker, World, is_key
from tests.project.openapi import DOCUMENT

SECONDS = int(os.environ.get("AICQ_FUZZ_SECONDS", "60"))
"""How long all of it may take, about; more for a longer look."""

A_CALL = 0.025
"""Seconds that making one up and asking it takes, about."""

STORES = 2

TOLD: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text())

SCHEMA = schemathesis.openapi.from_dict(TOLD)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

LAST = {"AdminRefillHotStore"}
"""What others would have to wait for."""


def is_stream(call: dict[str, Any]) -> bool:
    """Whether an answer goes on for ever."""
    return any("text/event-stream" in answer.get("content", {}) for answer in call["responses"].values())


ORDER = ("post", "put", "get", "patch", "delete")
"""What makes things is asked first, what ends them last."""


def in_order(call: tuple[str, str, dict[str, Any]]) -> tuple[bool, int, str]:
    """What a call is sorted by."""
    path, method, told = call
    return told["operationId"] in LAST, ORDER.index(method), path


CALLS = sorted(
    (
        (path, method, told)
        for path, calls in TOLD["paths"].items()
        for method, told in calls.items()
        if not is_stream(told)
    ),
    key=in_order,
)

ROUNDS = (
    (GenerationMode.POSITIVE, "what fits"),
    (GenerationMode.NEGATIVE, "what does not fit"),
    (GenerationMode.POSITIVE, "what fits, with all that the rounds before have made"),
)

EXAMPLES = max(3, round(SECONDS / A_CALL / STORES / len(ROUNDS) / len(CALLS)))
"""How often a call is made in each round; the first of them is as simple as can be."""

asked: dict[str, World] = {}
"""The world that is asked just now; hooks get nothing else from outside."""


@SCHEMA.hook
def map_path_parameters(context: HookContext, path_parameters: dict[str, Any]) -> dict[str, Any]:
    return there_are(context, path_parameters)


@SCHEMA.hook
def map_query(context: HookContext, query: dict[str, Any]) -> dict[str, Any]:
    return there_are(context, query)


@SCHEMA.hook
def map_headers(context: HookContext, headers: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - a hook's own form
    """Most changes are of whatever is there."""
    return {
        name: "*" if name.lower() == "if-match" and crc32(str(value).encode()) % 4 else value
        for name, value in (headers or {}).items()
    }


@SCHEMA.hook
def map_body(context: HookContext, body: Any) -> Any:
    return there_are(context, body) if isinstance(body, dict) else body


def there_are(context: HookContext, values: dict[str, Any]) -> dict[str, Any]:
    """The values with ids of things that there are in the place of some."""
    world, path = asked["world"], context.operation.path if context.operation else ""
    return {
        name: world.known.instead(path, name, value) if is_key(name) else value
        for name, value in (values or {}).items()
    }


def wrong_with(case: Case[Any], world: World, wanted: set[str]) -> str:
    """Asks, and tells what is wrong with the answer."""
    asker = Asker(world, wanted)
    try:
        response = case.call(base_url=world.url, auth=asker, timeout=10)
    except RequestException as error:
        return f"{case.as_curl_command()}\n{error!r}"
    if response.status_code in {401, 403} and asker.is_known:
        world.refused()
    if response.status_code < 300 and "json" in response.headers.get("content-type", [""])[0]:
        world.known.learn(case.operation.path, response.json())
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as found:
        return "\n\n".join(str(failure) for failure in found.exceptions) + "\n" + response.text[:500]
    return ""


@pytest.mark.parametrize(("path", "method", "told"), CALLS, ids=[told["operationId"] for _, _, told in CALLS])
@pytest.mark.parametrize("number", range(len(ROUNDS)), ids=[what for _, what in ROUNDS])
def test_every_answer_is_in_the_document(
    world: World, number: int, path: str, method: str, told: dict[str, Any]
) -> None:
    asked["world"] = world
    mode, _ = ROUNDS[number]
    wanted = {name for scheme in told.get("security", []) for name in scheme}
    made_up = SCHEMA[path][method.upper()].as_strategy(generation_mode=mode)
    wrong: list[str] = []

    @seed(crc32(f"{world.name} {number}".encode()))
    @settings(max_examples=EXAMPLES, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=made_up)
    def ask(case: Case[Any]) -> None:
        # Told together afterwards: another answer to the same case would be called a flaky test.
        wrong.append(wrong_with(case, world, wanted))

    ask()
    assert not any(wrong), "\n\n".join(filter(None, wrong))
