"""What a memory was at a past moment: compared with a model of random operations by several writers at once."""

import asyncio
import itertools
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import asyncpg
import msgspec
import pytest

from tests.memory.conftest import Connection, Team, actions, add_memory, connect, history, insert

CHANGES = 10_000
QUESTIONS = 1_000
WRITERS = 6
MEMORIES = 120

State = dict[str, Any]

FIELDS = ("content", "subject", "importance", "confidence", "is_pinned", "tier", "status", "superseded_by")
SETS = ("tags", "contradicts", "related_to")

READ = """
SELECT m.content, m.subject, m.importance, m.confidence, m.is_pinned, m.tier::text, m.status::text, m.superseded_by,
    ARRAY(SELECT tag FROM memory_tags WHERE memory_id = m.id ORDER BY tag) AS tags,
    ARRAY(SELECT to_id FROM memory_links WHERE from_id = m.id AND kind = 'contradicts' ORDER BY to_id) AS contradicts,
    ARRAY(SELECT to_id FROM memory_links WHERE from_id = m.id AND kind = 'related_to' ORDER BY to_id) AS related_to
FROM memories m WHERE m.id = $1
"""

POINTED_AT = """
SELECT EXISTS (SELECT FROM memories WHERE superseded_by = $1) OR EXISTS (SELECT FROM memory_links WHERE to_id = $1)
"""


class Change(msgspec.Struct, frozen=True):
    """What a memory became between two looks at Postgres' clock; None: it was deleted."""

    before: datetime
    after: datetime
    state: State | None


def shown(snapshot: State) -> State:
    """A snapshot as the model has it."""
    state = {name: snapshot[name] for name in FIELDS + SETS}
    state["superseded_by"] = state["superseded_by"] and UUID(state["superseded_by"])
    return state | {name: [UUID(other) for other in state[name]] for name in ("contradicts", "related_to")}


class Model:
    """What every memory was, as the writers know it, without a look at the history."""

    def __init__(self) -> None:
        self.changes: dict[UUID, list[Change]] = defaultdict(list)

    def order(self) -> None:
        for changes in self.changes.values():
            changes.sort(key=lambda change: change.before)
            for one, next_one in itertools.pairwise(changes):
                assert one.after <= next_one.before, "a lock was not held"

    def knows(self, memory_id: UUID, moment: datetime) -> bool:
        """Whether no change of the memory was under way at that moment."""
        return not any(change.before < moment < change.after for change in self.changes[memory_id])

    def at(self, memory_id: UUID, moment: datetime) -> State | None:
        changes = self.changes[memory_id]
        number = bisect_right([change.after for change in changes], moment)
        return changes[number - 1].state if number else None


class Writer:
    """Changes memories at random, several in a transaction and some several times, and takes some of it back."""

    def __init__(self, database: Connection, team: Team, model: Model, ids: Sequence[UUID], seed: int) -> None:
        self.database = database
        self.team = team
        self.model = model
        self.ids = ids
        self.random = random.Random(seed)  # noqa: S311 - repeatable
        self.done = 0
        self.deletes = False

    async def work(self, changes: int) -> None:
        while self.done < changes:
            made: list[tuple[UUID, Change]] = []
            # Who deletes locks one memory alone, as nobody can who changes several.
            self.deletes = self.random.random() < 0.2
            ids = sorted(self.random.sample(self.ids, 1 if self.deletes else self.random.choice((1, 1, 2, 3))))
            transaction = self.database.transaction()
            await transaction.start()
            # A memory that is not there cannot be locked.
            await self.database.execute(
                "SELECT pg_advisory_xact_lock(hashtext(o.id::text)) FROM (SELECT unnest($1::uuid[]) AS id) o", ids
            )
            strength = "UPDATE" if self.deletes else "NO KEY UPDATE"
            await self.database.execute(f"SELECT id FROM memories WHERE id = ANY ($1) ORDER BY id FOR {strength}", ids)
            for memory_id in ids:
                times = self.random.choice((1, 1, 2, 3))
                made += [(memory_id, await self.change(memory_id)) for _ in range(times)]
            if self.random.random() < 0.1:
                await transaction.rollback()
                continue
            await transaction.commit()
            self.done += len(made)
            for memory_id, change in made:
                self.model.changes[memory_id].append(change)

    async def change(self, memory_id: UUID) -> Change:
        row = await self.database.fetchrow(READ, memory_id)
        before = await self.clock()
        state = await (self.create(memory_id) if row is None else self.alter(memory_id, dict(row)))
        return Change(before, await self.clock(), state)

    async def clock(self) -> datetime:
        moment: datetime = await self.database.fetchval("SELECT clock_timestamp()")
        return moment

    async def create(self, memory_id: UUID) -> State:
        content = f"content {self.random.random()}"
        await add_memory(self.database, self.team, content, id=memory_id)
        basic = {"subject": None, "importance": 5, "confidence": 1, "is_pinned": False, "tier": "hot"}
        return {"content": content, **basic, "status": "active", "superseded_by": None} | {name: [] for name in SETS}

    async def alter(self, memory_id: UUID, state: State) -> State | None:
        kinds = (self.set, self.set, self.set, self.tag, self.untag, self.link, self.unlink, self.supersede, self.touch)
        # What others point at is left, because they would change as well.
        if self.deletes and self.random.random() < 0.5 and not await self.database.fetchval(POINTED_AT, memory_id):
            await self.database.execute("DELETE FROM memories WHERE id = $1", memory_id)
            return None
        return state | await self.random.choice(kinds)(memory_id, state)

    async def touch(self, memory_id: UUID, _state: State) -> State:
        await self.database.execute("UPDATE memories SET content = content WHERE id = $1", memory_id)
        return {}

    async def tag(self, memory_id: UUID, state: State) -> State:
        tag = self.random.choice("abcde")
        if tag not in state["tags"]:
            await insert(self.database, "memory_tags", team_id=self.team.id, memory_id=memory_id, tag=tag)
        return {"tags": sorted({*state["tags"], tag})}

    async def untag(self, memory_id: UUID, state: State) -> State:
        tag = self.random.choice("abcde")
        await self.database.execute("DELETE FROM memory_tags WHERE memory_id = $1 AND tag = $2", memory_id, tag)
        return {"tags": [other for other in state["tags"] if other != tag]}

    async def unlink(self, memory_id: UUID, state: State) -> State:
        ends = state["related_to"][:1]
        await self.database.execute("DELETE FROM memory_links WHERE from_id = $1 AND to_id = ANY ($2)", memory_id, ends)
        return {kind: [to for to in state[kind] if to not in ends] for kind in ("contradicts", "related_to")}

    async def set(self, memory_id: UUID, _state: State) -> State:
        name, value = self.random.choice(
            (
                ("content", f"content {self.random.random()}"),
                ("subject", self.random.choice((None, "tea", "coffee"))),
                ("importance", self.random.randint(1, 10)),
                ("confidence", self.random.randint(0, 8) / 8),
                ("is_pinned", self.random.random() < 0.5),
                ("tier", self.random.choice(("hot", "warm", "cold"))),
                ("status", self.random.choice(("active", "archived", "disputed"))),
            )
        )
        await self.database.execute(f"UPDATE memories SET {name} = $1 WHERE id = $2", value, memory_id)
        return {name: value}

    async def link(self, memory_id: UUID, state: State) -> State:
        kind, other = self.random.choice(("contradicts", "related_to")), self.random.choice(self.ids)
        # One that is being deleted just now is as good as gone, and one that is locked is not waited for.
        there = await self.database.fetchval("SELECT id FROM memories WHERE id = $1 FOR KEY SHARE SKIP LOCKED", other)
        if there is None or other == memory_id or other in state[kind]:
            return {}
        ends = {"from_id": memory_id, "to_id": other, "kind": kind, "team_id": self.team.id}
        await insert(self.database, "memory_links", **ends)
        return {kind: sorted([*state[kind], other])}

    async def supersede(self, memory_id: UUID, _state: State) -> State:
        other = self.random.choice(self.ids)
        there = await self.database.fetchval(
            "SELECT id FROM memories WHERE id = $1 AND superseded_by IS NULL FOR NO KEY UPDATE SKIP LOCKED", other
        )
        if there is None or other == memory_id:
            return {}
        await self.database.execute(
            "UPDATE memories SET superseded_by = $1, status = 'superseded' WHERE id = $2", other, memory_id
        )
        return {"superseded_by": other, "status": "superseded"}


@pytest.fixture
async def writers(database_url: str, team: Team) -> AsyncIterator[tuple[Model, list[Writer]]]:
    model = Model()
    ids = [uuid5(NAMESPACE_OID, str(number)) for number in range(MEMORIES)]
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connect(database_url)) for _ in range(WRITERS)]
        yield model, [Writer(each, team, model, ids, seed) for seed, each in enumerate(connections)]


async def test_answers_about_the_past_differ_from_a_model_in_none_of_a_thousand_questions(
    database: Connection, team: Team, writers: tuple[Model, list[Writer]]
) -> None:
    model, everybody = writers
    await asyncio.gather(*(writer.work(CHANGES // WRITERS + 1) for writer in everybody))
    model.order()
    assert sum(map(len, model.changes.values())) >= CHANGES
    await ask_about_memories(database, model)
    await ask_about_the_team(database, team, model)
    await expect_order(database)


async def ask_about_memories(database: Connection, model: Model) -> None:
    chooser = random.Random(7)  # noqa: S311 - repeatable
    ids = list(model.changes)
    moments = [
        moment for changes in model.changes.values() for change in changes for moment in (change.before, change.after)
    ]
    asked = alive = 0
    while asked < QUESTIONS:
        memory_id, moment = chooser.choice(ids), chooser.choice(moments)
        if chooser.random() < 0.5:
            changed = chooser.choice(model.changes[memory_id])
            moment = chooser.choice((changed.before, changed.after))
        if not model.knows(memory_id, moment):
            continue
        rows = await database.fetch("SELECT snapshot FROM reconstruct_memory_at($1, $2)", memory_id, moment)
        answer = shown(rows[0]["snapshot"]) if rows else None
        assert answer == model.at(memory_id, moment), (memory_id, moment)
        asked += 1
        alive += answer is not None
    assert QUESTIONS / 2 < alive < QUESTIONS


async def ask_about_the_team(database: Connection, team: Team, model: Model) -> None:
    chooser = random.Random(8)  # noqa: S311 - repeatable
    for _ in range(50):
        moment = chooser.choice(model.changes[chooser.choice(list(model.changes))]).after
        rows = await database.fetch("SELECT * FROM reconstruct_memories_at($1, $2)", team.id, moment)
        answers = {row["memory_id"]: shown(row["snapshot"]) for row in rows}
        for memory_id in model.changes:
            if model.knows(memory_id, moment):
                assert answers.get(memory_id) == model.at(memory_id, moment), (memory_id, moment)


async def expect_order(database: Connection) -> None:
    """Of each memory, entries follow each other without a gap, and so do their times."""
    wrong = await database.fetchval(
        "SELECT count(*) FROM ("
        "  SELECT seq - lag(seq) OVER each AS step, created_at - lag(created_at) OVER each AS later FROM memory_log"
        "  WINDOW each AS (PARTITION BY memory_id ORDER BY seq)"
        ") o WHERE step <> 1 OR later <= interval '0'"
    )
    assert wrong == 0


async def test_at_the_very_moment_of_a_change_it_holds(database: Connection, team: Team) -> None:
    memory = await add_memory(database, team, importance=1)
    await database.execute("UPDATE memories SET importance = 2")
    first, second = await history(database, memory)
    ask = "SELECT new_importance FROM reconstruct_memory_at($1, $2)"
    assert await database.fetchval(ask, memory, first["created_at"] - timedelta(microseconds=1)) is None
    assert await database.fetchval(ask, memory, first["created_at"]) == 1
    assert await database.fetchval(ask, memory, second["created_at"] - timedelta(microseconds=1)) == 1
    assert await database.fetchval(ask, memory, second["created_at"]) == 2
    assert await database.fetchval(ask, memory, datetime.now(UTC) + timedelta(days=1)) == 2


async def test_three_changes_in_one_transaction_are_three_moments(database: Connection, team: Team) -> None:
    memory = await add_memory(database, team, importance=1)
    async with database.transaction():
        for importance in (2, 3, 4):
            await database.execute("UPDATE memories SET importance = $1", importance)
    entries = await history(database, memory)
    assert [entry["new_importance"] for entry in entries] == [1, 2, 3, 4]
    ask = "SELECT new_importance FROM reconstruct_memory_at($1, $2)"
    assert [await database.fetchval(ask, memory, entry["created_at"]) for entry in entries] == [1, 2, 3, 4]


async def test_who_begins_first_and_writes_last_is_last(database: Connection, database_url: str, team: Team) -> None:
    memory = await add_memory(database, team, importance=1)
    async with connect(database_url) as early:
        begun = early.transaction()
        await begun.start()
        await early.execute("SELECT now()")
        await database.execute("UPDATE memories SET importance = 2")
        await early.execute("UPDATE memories SET importance = 3")
        await begun.commit()
    last = (await history(database, memory))[-1]["created_at"]
    assert await database.fetchval("SELECT new_importance FROM reconstruct_memory_at($1, $2)", memory, last) == 3


async def test_time_goes_on_where_the_clock_went_back(database: Connection, team: Team) -> None:
    memory = await add_memory(database, team)
    await database.execute("ALTER TABLE memory_log DISABLE TRIGGER append_only")
    await database.execute("UPDATE memory_log SET created_at = now() + interval '1 hour'")
    await database.execute("UPDATE memories SET importance = 2")
    first, second = await history(database, memory)
    assert second["created_at"] - first["created_at"] == timedelta(microseconds=1)


async def test_an_entry_tells_who_why_and_in_which_conversation(database: Connection, team: Team) -> None:
    conversation = UUID(int=7)
    async with database.transaction():
        for name, value in {"changed_by": "Ada", "reason": "she said so", "conversation_id": str(conversation)}.items():
            await database.execute("SELECT set_config($1, $2, true)", f"aicq.{name}", value)
        told = await add_memory(database, team)
    untold = await add_memory(database, team)
    entry = (await history(database, told))[0]
    assert (entry["changed_by"], entry["reason"], entry["conversation_id"]) == ("Ada", "she said so", conversation)
    entry = (await history(database, untold))[0]
    assert (entry["changed_by"], entry["reason"], entry["conversation_id"]) == (None, None, None)


async def test_entries_are_named_for_what_was_done(database: Connection, team: Team) -> None:
    other = await add_memory(database, team)
    memory = await add_memory(database, team)
    for change in (
        "importance = 9",
        "status = 'disputed'",
        "status = 'active'",
        "status = 'archived'",
        "status = 'active'",
    ):
        await database.execute(f"UPDATE memories SET {change} WHERE id = $1", memory)
    await insert(database, "memory_tags", team_id=team.id, memory_id=memory, tag="tea")
    link = {"team_id": team.id, "from_id": memory, "to_id": other, "kind": "related_to"}
    await insert(database, "memory_links", **link)
    await database.execute("UPDATE memories SET status = 'superseded', superseded_by = $1 WHERE id = $2", other, memory)
    await database.execute("DELETE FROM memories WHERE id = $1", memory)
    done = [
        "created",
        "updated",
        "disputed",
        "restored",
        "archived",
        "restored",
        "tagged",
        "linked",
        "superseded",
        "deleted",
    ]
    assert await actions(database, memory) == done
    entries = await history(database, memory)
    assert [entry["seq"] for entry in entries] == list(range(1, 11))
    assert [entry["related_memory_ids"] for entry in entries[7:]] == [[other], [other], []]
    assert (entries[-1]["snapshot"]["tags"], entries[-1]["new_content"]) == (["tea"], None)


async def test_a_memory_that_comes_with_its_tags_has_one_entry(database: Connection, team: Team) -> None:
    memory = await database.fetchval(
        "WITH made AS ("
        "  INSERT INTO memories (team_id, memory_type, content) VALUES ($1, 'shared', 'hi') RETURNING id, team_id"
        "), tagged AS ("
        "  INSERT INTO memory_tags (memory_id, team_id, tag) SELECT id, team_id, unnest(ARRAY['b', 'a']) FROM made"
        ") SELECT id FROM made",
        team.id,
    )
    (entry,) = await history(database, memory)
    assert (entry["action"], entry["snapshot"]["tags"]) == ("created", ["a", "b"])


async def test_the_embedding_stands_where_it_came(database: Connection, team: Team) -> None:
    memory = await add_memory(database, team)
    one, other = (str([number, *[0.0] * 1535]) for number in (1.0, 2.0))
    for change in (
        "importance = 1",
        f"embedding = '{one}'",
        "importance = 2",
        f"embedding = '{other}'",
        "embedding = NULL",
    ):
        await database.execute(f"UPDATE memories SET {change}")
    entries = await history(database, memory)
    assert [entry["embedding"] is not None for entry in entries] == [False, False, True, False, True, False]
    assert [entry["snapshot"]["embedded_version"] for entry in entries] == [None, None, 3, 3, 5, None]
    assert "embedding" not in entries[-1]["snapshot"]


async def test_changes_of_a_change_that_failed_leave_nothing(database: Connection, team: Team) -> None:
    memory = await add_memory(database, team)
    transaction = database.transaction()
    await transaction.start()
    await database.execute("UPDATE memories SET importance = 6")
    with pytest.raises(asyncpg.CheckViolationError):
        await database.execute("UPDATE memories SET importance = 60")
    await transaction.rollback()
    assert await actions(database, memory) == ["created"]
