"""Agents under `/admin`."""

from typing import Any

from aicq.auth.signatures import read_public_key, write_public_key
from aicq.http.resources.resource import Resource
from aicq.identity.models import Agent

PROFILE = (
    "name",
    "email",
    "status",
    "team_id",
    "slug",
    "type",
    "tagline",
    "avatar_emoji",
    "model_provider",
    "model_name",
    "capabilities",
    "personality",
    "shared_skill_names",
    "custom_skill_names",
    "disabled_skill_names",
    "model_config",
    "memory_config",
    "boundaries",
    "tags",
    "is_experimental",
)
"""What an admin may set; the success rate and the execution time are measured."""


class Agents(Resource):
    """Agents. Deleting one takes its profile; its anchor stays, and what it wrote goes on pointing at it."""

    def clean(self, values: dict[str, Any]) -> dict[str, Any]:
        """A key in its one spelling: two agents with one key would accept the same requests."""
        key = values.get("public_key")
        return values if key is None else {**values, "public_key": write_public_key(read_public_key(key))}


RESOURCES = [
    # The key is not changed: every process remembers whose it is.
    Agents(
        Agent,
        create=("public_key", *PROFILE),
        update=PROFILE,
        delete=True,
        filters=("status", "public_key", "team_id", "type"),
        search=("name",),
    )
]
