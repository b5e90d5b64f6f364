"""Measures recall: how many of the nearest memories are found, how fast, and by which way. `just recall` runs it.

A table of several teams is filled as the service fills it, so the index grows as it does in real life. The vectors have
topics, facets that topics share, and noise, as embeddings of texts have; iid numbers have no neighbours worth finding.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.db.engine import create_engine
from aicq.memory.repositories import MemoryRepository
from aicq.memory.repositories.ranking import Question
from aicq.memory.repositories.recall import Scope
from tests.memory.conftest import DIMENSIONS, Connection, Team, add_team
from tests.servers import Databases, postgres_server

SIZES = (10, 1_000, 20_000)
QUESTIONS = 200
PAST_QUESTIONS = 20
WANTED = 10
CHUNK = 200

EXACT = """
SELECT id FROM memories WHERE team_id = $1 AND status = 'active' AND embedding IS NOT NULL
ORDER BY embedding <=> $2::text::vector, id LIMIT $3
"""

FILL = """
INSERT INTO memories (team_id, memory_type, content, embedding)
SELECT $1, 'semantic', 'memory ' || o.n || ' tells of error ERR-' || $2 || '-' || o.n, o.v::vector
FROM unnest($3::text[], $4::int[]) AS o (v, n)
"""


class Vectors:
    """Embeddings as texts might have them, the same each time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same each time
        self._pool = array("f", (self._random.gauss(0, 1) for _ in range(600_000)))
        self._topics = [self._numbers() for _ in range(200)]
        self._facets = [self._numbers() for _ in range(300)]

    def next(self) -> list[float]:
        """One more."""
        vector = self._random.choice(self._topics)
        for facet in self._random.sample(self._facets, 6):
            weight = self._random.gauss(0, 0.4)
            vector = array("f", (one + weight * other for one, other in zip(vector, facet, strict=True)))
        return [one + 0.3 * other for one, other in zip(vector, self._numbers(), strict=True)]

    def _numbers(self) -> "array[float]":
        start = self._random.randrange(len(self._pool) - DIMENSIONS)
        return self._pool[start : start + DIMENSIONS]


class Row(msgspec.Struct):
    """What was measured of a team."""

    memories: int
    nearest: int = 0
    found: int = 0
    fewest: int = WANTED
    exact: int = 0
    named: int = 0
    meaning_ms: list[float] = []
    both_ms: list[float] = []
    past_ms: list[float] = []

    def line(self) -> str:
        """The row of the table."""
        cells = [
            f"{self.memories:,}",
            f"{self.found / self.nearest:.3f}",
            str(self.fewest),
            f"{self.exact / QUESTIONS:.0%}",
            f"{self.named / QUESTIONS:.1%}",
            *(spread(times) for times in (self.meaning_ms, self.both_ms, self.past_ms)),
        ]
        return f"| {' | '.join(cells)} |"


HEAD = """
| memories | recall@10 | fewest rows | compared one by one | names found | by meaning | by both | as of then |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def spread(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} / {statistics.quantiles(times, n=100)[98]:.1f} ms"


@contextmanager
def noting(times: list[float]) -> Iterator[None]:
    """Notes how many milliseconds something takes."""
    begun = time.perf_counter()
    yield
    times.append((time.perf_counter() - begun) * 1000)


async def fill(database: Connection, team: Team, count: int, vectors: Vectors) -> None:
    for start in range(0, count, CHUNK):
        numbers = list(range(start, min(count, start + CHUNK)))
        texts = [json.dumps(vectors.next()) for _ in numbers]
        await database.execute(FILL, team.id, str(count), texts, numbers)
        tell(f"{count} memories: {numbers[-1] + 1}")


async def measure(
    database: Connection, sessions: async_sessionmaker[AsyncSession], team: Team, count: int, vectors: Vectors
) -> Row:
    row = Row(count)
    for number in range(QUESTIONS):
        asked, name = vectors.next(), f"ERR-{count}-{number * 7919 % count}"
        scope = Scope(team_id=team.id, now=datetime.now(UTC))
        nearest = {each["id"] for each in await database.fetch(EXACT, team.id, json.dumps(asked), WANTED)}
        async with sessions() as session:
            memories = MemoryRepository(session)
            with noting(row.meaning_ms):
                found, is_exact = await memories.search_by_embedding(asked, scope)
            with noting(row.both_ms):
                question = Question(query=f"what was {name}?", embedding=asked)
                answers, _ = await memories.recall(question, scope, await memories.measure(scope))
            if number < PAST_QUESTIONS:
                with noting(row.past_ms):
                    then = msgspec.structs.replace(scope, past=True)
                    await memories.recall_at(Question(embedding=asked), then, await memories.measure(then))
        row.nearest += len(nearest)
        row.found += len({memory.id for memory, _ in found} & nearest)
        row.fewest = min(row.fewest, len(found))
        row.exact += is_exact
        row.named += any(name in answer.memory.content.split() for answer in answers)
    return row


async def run(databases: Databases, sizes: Sequence[int]) -> list[Row]:
    name = await databases.make()
    database, engine = await asyncpg.connect(databases.url(name)), create_engine(databases.url(name), name="measure")
    try:
        vectors = Vectors(11)
        teams = {count: await add_team(database, f"team-{count}") for count in sizes}
        # As many memories of others as all of these have.
        await fill(database, await add_team(database, "others"), sum(sizes), vectors)
        for count, team in teams.items():
            await fill(database, team, count, vectors)
        await database.execute("VACUUM ANALYZE memories")
        sessions = async_sessionmaker(engine)
        return [await measure(database, sessions, team, count, vectors) for count, team in teams.items()]
    finally:
        await engine.dispose()
        await database.close()
        await databases.drop(name)


def tell(line: str) -> None:
    print(f"\r{line:<40}", end="", file=sys.stderr, flush=True)  # noqa: T201 - a command


def main() -> None:
    """Measures and prints a line for each team."""
    parser = argparse.ArgumentParser(description="Measures how many of the nearest memories recall finds.")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="How many memories the teams have.")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="aicq-recall-") as directory, postgres_server(Path(directory)) as url:
        databases = Databases(url)
        with databases.migrated():
            rows = asyncio.run(run(databases, sizes))
    print(f"\r{HEAD.strip()}")  # noqa: T201 - a command
    for row in rows:
        print(row.line())  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
