"""What the tables of memory take, what they refuse, and what stays when something is deleted."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.memory.conftest import (
    DIMENSIONS,
    Connection,
    Team,
    actions,
    add_conversation,
    add_memory,
    add_team,
    history,
    insert,
    refused,
    say,
)


def vector(*numbers: float) -> str:
    """A vector that begins with these numbers."""
    return str([*numbers, *[0.0] * (DIMENSIONS - len(numbers))])


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("ck_memories_content", {"content": ""}),
        ("ck_memories_content", {"content": "a" * 65_537}),
        ("ck_memories_subject", {"subject": ""}),
        ("ck_memories_subject", {"subject": "a" * 201}),
        ("ck_memories_importance", {"importance": 0}),
        ("ck_memories_importance", {"importance": 11}),
        ("ck_memories_confidence", {"confidence": -0.01}),
        ("ck_memories_confidence", {"confidence": 1.01}),
        ("ck_memories_confidence", {"confidence": float("nan")}),
        ("ck_memories_metadata", {"metadata": []}),
        ("fk_memories_team_id_teams", {"team_id": uuid4()}),
        ("fk_memories_agent_id_agents", {"agent_id": uuid4()}),
        ("fk_memories_user_id_actors", {"user_id": uuid4()}),
        ("fk_memories_source_conversation_id_conversations", {"source_conversation_id": uuid4()}),
        ("fk_memories_superseded_by_memories", {"superseded_by": uuid4()}),
    ],
)
async def test_a_memory_that_cannot_be_is_refused(
    database: Connection, team: Team, constraint: str, values: dict[str, Any]
) -> None:
    given = {"team_id": team.id, "memory_type": "semantic", "content": "hi"} | values
    assert await refused(database, "memories", **given) == constraint


@pytest.mark.parametrize("embedding", [vector(), vector(1e-4), vector(20_000)])
async def test_a_vector_without_a_direction_that_can_be_told_is_refused(
    database: Connection, team: Team, embedding: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="ck_memories_embedding"):
        await database.execute(
            "INSERT INTO memories (team_id, memory_type, content, embedding)"
            " VALUES ($1, 'semantic', 'hi', $2::text::vector)",
            team.id,
            embedding,
        )


async def test_a_memory_of_65536_letters_of_any_alphabet_can_be_kept(database: Connection, team: Team) -> None:
    content = " ".join(f"{number}ßäö" for number in range(65_536))[:65_536]
    memory = await add_memory(database, team, content=content)
    assert (await history(database, memory))[0]["new_content"] == content


@pytest.mark.parametrize(
    "memory_type", ["semantic", "episodic", "procedural", "agent_private", "shared", "identity", "user_profile"]
)
async def test_the_seven_types_are_taken(database: Connection, team: Team, memory_type: str) -> None:
    await add_memory(database, team, memory_type=memory_type)


@pytest.mark.parametrize(
    ("column", "value"),
    [("memory_type", "dream"), ("status", "gone"), ("tier", "tepid"), ("source_type", "rumour")],
)
async def test_what_an_enum_does_not_name_is_refused(database: Connection, team: Team, column: str, value: str) -> None:
    with pytest.raises(asyncpg.DataError):
        await add_memory(database, team, **{column: value})


async def test_nothing_points_into_another_team(database: Connection, team: Team) -> None:
    other = await add_team(database, "blue")
    conversation = await add_conversation(database, other)
    memory = await add_memory(database, other)
    mine = await add_memory(database, team)
    basic = {"team_id": team.id, "memory_type": "semantic", "content": "hi"}
    assert await refused(database, "memories", **basic, agent_id=other.agent) == "fk_memories_agent_id_agents"
    assert (
        await refused(database, "memories", **basic, source_conversation_id=conversation)
        == "fk_memories_source_conversation_id_conversations"
    )
    assert await refused(database, "memories", **basic, superseded_by=memory) == "fk_memories_superseded_by_memories"
    assert await refused(database, "conversations", team_id=team.id, agent_id=other.agent) == (
        "fk_conversations_agent_id_agents"
    )
    message = {"conversation_id": conversation, "role": "user", "content": "hi"}
    assert await refused(database, "conversation_messages", team_id=team.id, **message) == (
        "fk_conversation_messages_conversation_id_conversations"
    )
    assert await refused(database, "memory_tags", team_id=team.id, memory_id=memory, tag="a") == (
        "fk_memory_tags_memory_id_memories"
    )
    for ends in ({"from_id": mine, "to_id": memory}, {"from_id": memory, "to_id": mine}):
        assert (await refused(database, "memory_links", team_id=team.id, kind="related_to", **ends)).startswith(
            "fk_memory_links_"
        )


async def test_a_memory_does_not_move_to_another_team(database: Connection, team: Team) -> None:
    memory, other = await add_memory(database, team), await add_team(database, "blue")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await database.execute("UPDATE memories SET team_id = $1 WHERE id = $2", other.id, memory)


async def test_nothing_supersedes_or_contradicts_itself(database: Connection, team: Team) -> None:
    memory = await add_memory(database, team)
    with pytest.raises(asyncpg.CheckViolationError):
        await database.execute("UPDATE memories SET superseded_by = id WHERE id = $1", memory)
    link = {"team_id": team.id, "from_id": memory, "to_id": memory, "kind": "contradicts"}
    assert await refused(database, "memory_links", **link) == "ck_memory_links_not_to_itself"


async def test_supersession_leads_nobody_in_a_circle(database: Connection, team: Team) -> None:
    first, second = await add_memory(database, team), await add_memory(database, team)
    await database.execute("UPDATE memories SET superseded_by = $1 WHERE id = $2", second, first)
    with pytest.raises(asyncpg.CheckViolationError, match="superseded itself"):
        await database.execute("UPDATE memories SET superseded_by = $1 WHERE id = $2", first, second)


@pytest.mark.parametrize("tag", ["", " tea", "Tea", "a" * 65])
async def test_a_tag_is_short_small_and_trimmed(database: Connection, team: Team, tag: str) -> None:
    memory = await add_memory(database, team)
    refusal = await refused(database, "memory_tags", team_id=team.id, memory_id=memory, tag=tag)
    assert refusal == "ck_memory_tags_tag"


async def test_a_memory_is_tagged_once_with_each_tag(database: Connection, team: Team) -> None:
    tag = {"team_id": team.id, "memory_id": await add_memory(database, team), "tag": "tea"}
    await insert(database, "memory_tags", **tag)
    assert await refused(database, "memory_tags", **tag) == "pk_memory_tags"


async def test_feedback_is_positive_or_negative(database: Connection, team: Team) -> None:
    message = {
        "team_id": team.id,
        "conversation_id": await add_conversation(database, team),
        "role": "tool",
        "content": "",
    }
    for rating in ("positive", "negative", None):
        await insert(database, "conversation_messages", **message, feedback_rating=rating)
    assert await refused(database, "conversation_messages", **message, feedback_rating="fine") == (
        "ck_conversation_messages_feedback_rating"
    )
    assert await refused(database, "conversation_messages", **message, token_count=-1) == (
        "ck_conversation_messages_token_count"
    )


@pytest.mark.parametrize(
    "statement", ["UPDATE memory_log SET reason = 'x'", "DELETE FROM memory_log", "TRUNCATE memory_log"]
)
async def test_the_history_is_never_rewritten(database: Connection, team: Team, statement: str) -> None:
    await add_memory(database, team)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await database.execute(statement)


async def test_an_update_that_changes_nothing_is_no_change(database: Connection, team: Team) -> None:
    memory = await add_memory(database, team, metadata={"a": 1})
    conversation = await add_conversation(database, team, title="t")
    before = await database.fetchrow("SELECT * FROM memories WHERE id = $1", memory)
    await database.execute("UPDATE memories SET content = content, metadata = '{\"a\":1}'")
    await database.execute("UPDATE conversations SET title = title")
    assert await database.fetchrow("SELECT * FROM memories WHERE id = $1", memory) == before
    assert await database.fetchval("SELECT updated_at = created_at FROM conversations WHERE id = $1", conversation)
    assert await actions(database, memory) == ["created"]


async def test_a_change_moves_updated_at_and_version(database: Connection, team: Team) -> None:
    memory = await add_memory(database, team)
    await database.execute("UPDATE memories SET importance = 9")
    row = await database.fetchrow("SELECT updated_at > created_at AS moved, version FROM memories")
    assert row is not None
    assert (row["moved"], row["version"]) == (True, 2)
    await database.execute("UPDATE memories SET version = 40")
    assert await database.fetchval("SELECT version FROM memories WHERE id = $1", memory) == 3


class House:
    """A team with everything that can point at something else."""

    team: Team

    def __init__(self, database: Connection, team: Team) -> None:
        self.database = database
        self.team = team

    async def furnish(self) -> None:
        database, team = self.database, self.team
        self.conversation = await add_conversation(database, team, agent_id=team.agent, user_id=team.user)
        self.message = await say(database, team, self.conversation, "assistant", agent_id=team.agent, token_count=7)
        self.new = await add_memory(database, team, "new", agent_id=team.agent, user_id=team.user)
        self.old = await add_memory(database, team, "old", source_conversation_id=self.conversation)
        await database.execute(
            "UPDATE memories SET superseded_by = $1, status = 'superseded' WHERE id = $2", self.new, self.old
        )
        await insert(database, "memory_tags", team_id=team.id, memory_id=self.new, tag="tea")
        link = {"team_id": team.id, "from_id": self.old, "to_id": self.new, "kind": "contradicts"}
        await insert(database, "memory_links", **link)
        await database.execute("SELECT update_memory_access($1)", [self.old, self.new])

    async def count(self, table: str) -> int:
        rows: int = await self.database.fetchval(f"SELECT count(*) FROM {table}")
        return rows

    async def memory(self, name: str) -> asyncpg.Record:
        row = await self.database.fetchrow("SELECT * FROM memories WHERE content = $1", name)
        assert row is not None
        return row


@pytest.fixture
async def house(database: Connection, team: Team) -> House:
    house = House(database, team)
    await house.furnish()
    return house


async def test_a_team_is_deleted_with_all_it_knows_but_its_history(house: House) -> None:
    await house.database.execute("DELETE FROM teams WHERE id = $1", house.team.id)
    for table in (
        "conversations",
        "conversation_messages",
        "memories",
        "memory_tags",
        "memory_links",
        "memory_accesses",
    ):
        assert await house.count(table) == 0, table
    assert (await actions(house.database, house.new))[-1] == "deleted"
    assert (await actions(house.database, house.old))[-1] == "deleted"
    # The memories went with the team, not first out of their agent's hands.
    assert (await actions(house.database, house.new)).count("updated") == 0


async def test_a_deleted_agent_leaves_what_it_kept_to_its_team(house: House) -> None:
    await house.database.execute("DELETE FROM agents WHERE id = $1", house.team.agent)
    assert (await house.memory("new"))["agent_id"] is None
    assert (await house.memory("new"))["team_id"] == house.team.id
    for table in ("conversations", "conversation_messages"):
        assert await house.database.fetchval(f"SELECT agent_id FROM {table}") is None
    assert await house.database.fetchval("SELECT total_output_tokens FROM conversations") == 7
    assert (await history(house.database, house.new))[-1]["snapshot"]["agent_id"] is None


async def test_an_agent_that_changes_its_team_leaves_what_it_kept_to_the_old_one(house: House) -> None:
    other = await add_team(house.database, "blue")
    await house.database.execute("UPDATE agents SET team_id = $1 WHERE id = $2", other.id, house.team.agent)
    assert (await house.memory("new"))["agent_id"] is None
    assert (await house.memory("new"))["team_id"] == house.team.id
    await house.database.execute("UPDATE agents SET team_id = NULL WHERE id = $1", house.team.agent)


async def test_a_deleted_user_stays_known_by_the_anchor(house: House) -> None:
    await house.database.execute("UPDATE teams SET owner_id = $1", house.team.agent)
    await house.database.execute("DELETE FROM users WHERE id = $1", house.team.user)
    assert (await house.memory("new"))["user_id"] == house.team.user
    await house.database.execute("DELETE FROM actors WHERE id = $1", house.team.user)
    assert (await house.memory("new"))["user_id"] is None
    assert await house.database.fetchval("SELECT user_id FROM conversations") is None


async def test_a_deleted_conversation_takes_its_messages_and_leaves_the_memories(house: House) -> None:
    await house.database.execute("DELETE FROM conversations")
    assert await house.count("conversation_messages") == 0
    assert (await house.memory("old"))["source_conversation_id"] is None
    assert await house.count("memories") == 2


async def test_a_deleted_successor_leaves_what_it_superseded(house: House) -> None:
    await house.database.execute("DELETE FROM memories WHERE id = $1", house.new)
    old = await house.memory("old")
    assert (old["superseded_by"], old["status"]) == (None, "superseded")
    assert await house.count("memory_links") == 0
    assert await house.count("memory_tags") == 0
    assert await house.count("memory_accesses") == 1
    last = (await history(house.database, house.old))[-1]
    assert (last["snapshot"]["contradicts"], last["snapshot"]["superseded_by"]) == ([], None)
