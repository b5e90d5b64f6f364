"""What the OpenAPI document says of the tables: what their columns and checks say."""

from typing import Any

import pytest
import yaml

from aicq.http.resources.resource import Resource, Secret
from aicq.identity.models import User
from aicq.messaging.models import Room
from tests.project.openapi import DOCUMENT

SCHEMAS: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text())["components"]["schemas"]


def bounds(schema: str, field: str) -> dict[str, Any]:
    """A field without its description, and with what it is if it is something."""
    told = dict(SCHEMAS[schema]["properties"][field])
    (kind,) = (each for each in told.pop("oneOf", [told]) if each.get("type") != "null")
    return {name: value for name, value in {**told, **kind}.items() if name != "description"}


@pytest.mark.parametrize(
    ("schema", "field", "told"),
    [
        ("AdminAgentNew", "name", {"type": "string", "maxLength": 100}),
        ("AdminAgentNew", "slug", {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"}),
        ("AdminAgentNew", "type", {"type": "string", "minLength": 1, "maxLength": 63}),
        ("AdminAgentNew", "status", {"type": "string", "enum": ["draft", "active", "paused", "archived"]}),
        ("AdminAgentNew", "team_id", {"type": "string", "format": "uuid"}),
        ("AdminAgentNew", "tags", {"type": "array", "items": {"type": "string"}}),
        ("AdminBlockNew", "expires_at", {"type": "string", "format": "date-time"}),
        ("AdminRoomNew", "key", {"type": "string", "minLength": 16, "maxLength": 72}),
        ("AdminAgent", "success_rate", {"type": "number"}),
        ("AdminAuditLog", "seq", {"type": "integer"}),
    ],
)
def test_a_field_has_the_bounds_of_its_column(schema: str, field: str, told: dict[str, Any]) -> None:
    assert bounds(schema, field) == told


def test_required_is_what_the_database_has_no_default_for() -> None:
    assert set(SCHEMAS["AdminRoomMemberNew"]["required"]) == {"room_id", "actor_id"}
    assert set(SCHEMAS["AdminBlockNew"]["required"]) == {"address", "reason"}
    assert not SCHEMAS["AdminAgentChange"].get("required")
    for name in ("AdminAgent", "AdminRoom", "AdminBlock", "AdminAuditLog", "AdminRoomMember"):
        assert set(SCHEMAS[name]["required"]) == set(SCHEMAS[name]["properties"]), name


def test_a_column_that_looks_like_a_secret_is_never_shown_by_oversight() -> None:
    with pytest.raises(ValueError, match=r"rooms\.key_hash looks like a secret"):
        Resource(Room)
    with pytest.raises(ValueError, match=r"users\.(password_hash|mfa_secret) looks like a secret"):
        Resource(User)
    with pytest.raises(ValueError, match=r"rooms\.key_hash looks like a secret"):
        Resource(Room, hidden=["key_hash"], filters=["key_hash"])
    shown = Resource(Room, secrets={"key": Secret("key_hash", sealed, min_length=1, max_length=2, told="A key.")})
    assert "key_hash" not in {field.name for field in shown.shown}


async def sealed(secret: str) -> str:
    return secret[::-1]
