"""The OpenAPI document says of every call what stands before it and what it can answer."""

import re
from typing import Any

import pytest
import yaml
from litestar.routes import HTTPRoute

from tests.project.openapi import DOCUMENT, app

TOLD: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text())

OPERATIONS = {
    operation["operationId"]: operation for methods in TOLD["paths"].values() for operation in methods.values()
}

SIGNATURE = {"X-AICQ-Agent", "X-AICQ-Nonce", "X-AICQ-Timestamp", "X-AICQ-Signature"}

TOKENS_FOR_SECRETS = {"LogIn", "RefreshSession"}
"""Calls that can answer 401 although nothing but their body says who asks."""

LIMITS = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}


def gates() -> dict[str, str]:
    """What stands before each call: `signed`, `authenticated`, `bearing`, `limited`, `admin_only`, or nothing."""
    return {
        str(handler.operation_id): handler.before_request.__qualname__.partition(".")[0]
        if handler.before_request
        else ""
        for route in app().routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.operation_id in OPERATIONS
    }


GATES = gates()


def shown(operation: dict[str, Any]) -> list[set[str]]:
    """The sets of headers of which a call wants to be shown one."""
    schemes = TOLD["components"]["securitySchemes"]
    return [{schemes[name].get("name", name) for name in wanted} for wanted in operation.get("security", [set()])]


def referred(value: Any) -> set[str]:
    """All places that are referred to."""
    return set(re.findall(r"'\$ref': '#/([^']+)'", repr(value)))


def without_keys(operation: dict[str, Any]) -> list[set[str]]:
    """What may be shown to a call, whether or not the room is private."""
    found: list[set[str]] = []
    for wanted in shown(operation):
        if (rest := wanted - {"X-AICQ-Room-Key"}) not in found:
            found.append(rest)
    return found


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_signed_call_wants_four_headers_and_no_other_does(name: str) -> None:
    is_signed = GATES[name] in {"signed", "authenticated"}
    assert all(
        (headers >= SIGNATURE) is is_signed for headers in without_keys(OPERATIONS[name]) if headers != {"Token"}
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_call_that_wants_something_shown_can_miss_it(name: str) -> None:
    is_asked = GATES[name] in {"signed", "authenticated", "bearing", "admin_only"}
    assert ("401" in OPERATIONS[name]["responses"]) is (is_asked or name in TOKENS_FOR_SECRETS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_call_of_the_platform_wants_a_token_or_a_signature(name: str) -> None:
    wanted = without_keys(OPERATIONS[name])
    assert (wanted == [{"Token"}]) is (GATES[name] == "bearing")
    assert (wanted == [{"Token"}, SIGNATURE]) is (GATES[name] == "authenticated")


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_call_under_a_limit_tells_how_much_is_left_and_when_to_come_back(name: str) -> None:
    is_limited = GATES[name] in {"signed", "authenticated", "bearing", "limited"}
    responses = OPERATIONS[name]["responses"]
    assert ({"403", "429", "503"} <= responses.keys()) is (GATES[name] != "")
    for status, response in responses.items():
        headers = set(response.get("headers", {}))
        assert (headers >= LIMITS) is (is_limited and (status < "400" or status == "429")), status
        problem = "application/problem+json" in response.get("content", {})
        assert ("Retry-After" in headers) is (problem and status in {"429", "503"}), status


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_error_is_a_problem_and_only_health_tells_more(name: str) -> None:
    for status, response in OPERATIONS[name]["responses"].items():
        if status >= "400" and name not in {"GetHealth", "GetReadiness"}:
            problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
            assert response["content"] == {"application/problem+json": problem}, status


def test_room_keys_are_shown_where_private_rooms_are_read_followed_written_to_and_searched() -> None:
    wanting = {name for name, told in OPERATIONS.items() if any("X-AICQ-Room-Key" in wanted for wanted in shown(told))}
    assert wanting == {
        "ReadRoom",
        "FollowRoom",
        "PostMessage",
        "FindMessages",
        "ReadMessages",
        "ReadMessage",
        "PostMessageAsActor",
        "EditMessage",
        "MarkRoomAsRead",
        "ListReaders",
        "ListMessageFiles",
        "AttachFileToMessage",
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_all_calls_under_admin_and_no_others_are_for_admins(name: str) -> None:
    is_admins = GATES[name] == "admin_only"
    assert name.startswith("Admin") is is_admins
    assert (shown(OPERATIONS[name]) == [{"Admin"}]) is is_admins


def test_every_parameter_is_described() -> None:
    parameters = [parameter for operation in OPERATIONS.values() for parameter in operation.get("parameters", [])]
    assert len(parameters) > 10
    assert all(parameter["description"].endswith(".") for parameter in parameters)


def test_no_two_shapes_share_a_name() -> None:
    # Those that do are told apart by their modules, which are ours to move.
    assert [name for name in TOLD["components"]["schemas"] if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)] == []


def test_all_that_is_referred_to_is_there() -> None:
    for place in referred(TOLD):
        found = TOLD
        for name in place.split("/"):
            found = found[name]
        assert found, place
