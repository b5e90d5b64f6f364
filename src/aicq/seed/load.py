"""Loading the sample data: all of it in one transaction, each part once for a database."""

import asyncio
from collections.abc import Sequence

import msgspec
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from aicq.audit.models import AuditLog
from aicq.audit.recorder import record
from aicq.db.engine import connect_pool, create_engine
from aicq.errors import StartError
from aicq.http.violations import violation
from aicq.memory.repositories import MemoryRepository
from aicq.messaging.log import MessageLog, Stored
from aicq.origin import SYSTEM
from aicq.seed.guild import GUILD
from aicq.seed.memories import MEMORIES
from aicq.seed.messages import MESSAGES
from aicq.seed.people import PEOPLE
from aicq.seed.rows import Part
from aicq.seed.work import WORK

SEED_LOCK = 4_117_436_690
"""Any number that nothing else locks: who seeds at the same time waits, and finds it done."""

PARTS: Sequence[Part] = (PEOPLE, WORK, GUILD, MEMORIES)
SAID = "messages"


class Loaded(msgspec.Struct, frozen=True):
    """A part that was loaded.

    Args:
        name: Which.
        rows: How many rows it has.
    """

    name: str
    rows: int


def load(database_url: str) -> list[Loaded]:
    """Loads the parts that this database has never had.

    Raises:
        StartError: The schema is not there.
        Conflict: Somebody has a name that the sample data needs; nothing was loaded.
    """
    return asyncio.run(_load(database_url))


async def _load(database_url: str) -> list[Loaded]:
    engine = create_engine(database_url, name="aicq seed")
    try:
        async with async_sessionmaker(engine).begin() as session:
            return await _load_parts(session, database_url)
    except ProgrammingError:
        raise StartError("The schema is not there yet, or is an older one; `aicq migrate up` makes it.") from None
    except DBAPIError as error:
        raise (violation(error) or StartError("The database refuses.")) from None
    finally:
        await engine.dispose()


async def _load_parts(session: AsyncSession, database_url: str) -> list[Loaded]:
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SEED_LOCK})
    await MemoryRepository(session).explain(changed_by="system", reason="sample data")
    known = set(await session.scalars(select(AuditLog.resource_id).where(AuditLog.action == "seed.load")))
    loaded = []
    for part in PARTS:
        if part.name not in known:
            for model, rows in part.tables:
                await session.execute(insert(model), [dict(row) for row in rows])
            loaded.append(Loaded(part.name, sum(len(rows) for _, rows in part.tables)))
    if SAID not in known:
        await _say(session, database_url)
        loaded.append(Loaded(SAID, len(MESSAGES)))
    for each in loaded:
        await record(session, SYSTEM, "seed.load", resource="seed", key=each.name)
    return loaded


async def _say(session: AsyncSession, database_url: str) -> None:
    """Appends the messages to the log. A service that runs finds them there, and fills its hot store by itself."""
    pool = await connect_pool(database_url, name="aicq seed log", size=1)
    try:
        log = MessageLog(pool, _leave)
        for draft in MESSAGES:
            await log.append_within(session, draft)
    finally:
        await pool.close()


async def _leave(_stored: list[Stored]) -> None:
    """Publishes nothing."""
