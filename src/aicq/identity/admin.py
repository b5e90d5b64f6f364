"""Agents, users, sessions, friendships and teams under `/admin`."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.passwords import MAX_BYTES
from aicq.auth.signatures import read_public_key, write_public_key
from aicq.clock import from_ms, now_ms
from aicq.errors import Conflict, Unprocessable
from aicq.http.resources.bodies import told
from aicq.http.resources.resource import Resource, Row, Secret
from aicq.identity.models import Agent, Friendship, Session, Team, TeamMembership, User
from aicq.identity.repositories import FriendshipRepository, SessionRepository, TeamRepository
from aicq.identity.schemas.dna import AgentBoundaries, AgentMemoryConfig, AgentModelConfig, AgentPersonality
from aicq.identity.schemas.users import MIN_PASSWORD

Seal = Callable[[str], Awaitable[str]]

MAX_SECRET = 1_000

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

PARTS: dict[str, type[msgspec.Struct]] = {
    "personality": AgentPersonality,
    "model_config": AgentModelConfig,
    "memory_config": AgentMemoryConfig,
    "boundaries": AgentBoundaries,
}
"""What an agent's objects have to be, by column."""


class Agents(Resource):
    """Agents. Deleting one takes its profile; its anchor stays, and what it wrote goes on pointing at it."""

    def __init__(self) -> None:
        super().__init__(
            Agent,
            create=("public_key", *PROFILE),
            # An agent changes its key itself, because it takes both keys to do so.
            update=PROFILE,
            delete=True,
            filters=("status", "public_key", "team_id", "type"),
            search=("name",),
        )

    def clean(self, values: dict[str, Any]) -> dict[str, Any]:
        """A key in its one spelling: two agents with one key would accept the same requests."""
        for name, kind in PARTS.items():
            if name in values:
                _check_part(name, values[name], kind)
        key = values.get("public_key")
        return values if key is None else {**values, "public_key": write_public_key(read_public_key(key))}


class Users(Resource):
    """Users. Deleting one takes their profile; their anchor stays, and what they wrote goes on pointing at it.

    Args:
        hash_password: Makes the hash that a password is kept as.
        seal: Encrypts.
    """

    def __init__(self, hash_password: Seal, seal: Seal) -> None:
        profile = (
            "username",
            "email",
            "display_name",
            "avatar_url",
            "status",
            "role",
            "github_id",
            "github_username",
            "preferences",
            "metadata",
            "is_active",
        )
        super().__init__(
            User,
            create=profile,
            update=profile,
            delete=True,
            secrets={
                "password": Secret(
                    "password_hash", hash_password, MIN_PASSWORD, MAX_BYTES, "What the user logs in with."
                ),
                "mfa_secret": Secret("mfa_secret", seal, 1, MAX_SECRET, "The secret of the user's second factor."),
            },
            filters=("username", "email", "status", "role", "is_active", "github_username"),
            search=("username", "email", "display_name"),
        )

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes a user. Another password, or none, ends their sessions."""
        if "password_hash" in values:
            await SessionRepository(session).revoke_all(row["id"], because="password changed", now=from_ms(now_ms()))
        return await super().change(session, row, values)


class Friendships(Resource):
    """Friendships; friends have a row each, and one that comes or goes brings or takes the other."""

    def __init__(self) -> None:
        super().__init__(
            Friendship,
            create=("actor_id", "friend_id", "status"),
            update=("status",),
            delete=True,
            filters=("actor_id", "friend_id", "status"),
        )

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds what one actor wants of another."""
        if not await FriendshipRepository(session).lock(values["actor_id"], values["friend_id"]):
            raise Unprocessable("friend_id points at nothing", field="friend_id")
        row = await super().add(session, values)
        await self._pair(session, row, row["status"])
        return row

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes what one actor wants of another."""
        changed = await super().change(session, row, values)
        await self._pair(session, row, changed["status"])
        return changed

    async def remove(self, session: AsyncSession, row: Row) -> None:
        """Has one actor want nothing of another."""
        await super().remove(session, row)
        await self._pair(session, row, None)

    async def _pair(self, session: AsyncSession, row: Row, status: str | None) -> None:
        friendships, other = FriendshipRepository(session), (row["friend_id"], row["actor_id"])
        if status == "accepted":
            await friendships.put(*other, "accepted")
        elif (await friendships.between(*other)).get(row["friend_id"]) == "accepted":
            await friendships.remove(*other)


class Teams(Resource):
    """Teams. Their owners are members.

    Args:
        seal: Encrypts.
    """

    def __init__(self, seal: Seal) -> None:
        profile = (
            "name",
            "slug",
            "owner_id",
            "settings",
            "shared_skill_names",
            "webhook_url",
            "conversation_retention_days",
        )
        super().__init__(
            Team,
            create=profile,
            update=profile,
            delete=True,
            secrets={"webhook_secret": Secret("webhook_secret", seal, 1, MAX_SECRET, "What webhooks are signed with.")},
            filters=("slug", "owner_id"),
            search=("name", "slug"),
        )

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds a team."""
        row = await super().add(session, values)
        await self._let_own(session, row)
        return row

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes a team."""
        changed = await super().change(session, row, values)
        if "owner_id" in values:
            await self._let_own(session, changed)
        return changed

    async def _let_own(self, session: AsyncSession, row: Row) -> None:
        if not await TeamRepository(session).put_member(row["id"], row["owner_id"], "owner"):
            raise Unprocessable("owner_id points at nothing", field="owner_id")


class TeamMemberships(Resource):
    """Members of teams; whoever a team belongs to stays its owner."""

    def __init__(self) -> None:
        super().__init__(
            TeamMembership,
            create=("team_id", "actor_id", "role"),
            update=("role",),
            delete=True,
            filters=("team_id", "actor_id", "role"),
        )

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds a member."""
        if not await TeamRepository(session).is_living(values["actor_id"]):
            raise Unprocessable("actor_id points at nothing", field="actor_id")
        return await super().add(session, values)

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes a member's role."""
        await _refuse_owner(session, row)
        return await super().change(session, row, values)

    async def remove(self, session: AsyncSession, row: Row) -> None:
        """Removes a member."""
        await _refuse_owner(session, row)
        await super().remove(session, row)


SESSIONS = Resource(Session, hidden=("token_hash",), delete=True, filters=("user_id", "revoked_because"))
"""Sessions, to be ended: what is deleted opens nothing any more."""


def resources(hash_password: Seal, seal: Seal) -> list[Resource]:
    """The tables of identity.

    Args:
        hash_password: Makes the hash that a password is kept as.
        seal: Encrypts.
    """
    return [Agents(), Users(hash_password, seal), SESSIONS, Friendships(), Teams(seal), TeamMemberships()]


def _check_part(name: str, value: Any, kind: type[msgspec.Struct]) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        found = told(str(error))
        field = f"{name}.{found.field}" if found.field else name
        raise Unprocessable(f"{name}: {found.sentence}", field=field) from None


async def _refuse_owner(session: AsyncSession, row: Row) -> None:
    owner: UUID | None = await TeamRepository(session).owner_of(row["team_id"])
    if owner == row["actor_id"]:
        raise Conflict("the team is theirs; give it to somebody else first", field="actor_id")
