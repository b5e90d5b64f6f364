"""Blocked addresses: rows of `blocks`, which outlive the hot store, and the hot store's copy, where requests look.

With `AUTO_BLOCK_ENABLED`, an address that is refused by limits again and again is blocked for a day; each further block
within a month lasts twice as long as the one before, a week at the most.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from aicq.batches import Batcher
from aicq.clock import from_ms, now_ms, to_ms
from aicq.db.engine import fetch
from aicq.errors import HotStoreUnavailable
from aicq.hot.base import Charge, HotBlock, HotStore, Quota
from aicq.http.address import subject_of

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

log = structlog.get_logger("aicq.http")

REFUSALS = 10
"""So many refusals within `REFUSED_WITHIN` block an address."""

REFUSED_WITHIN = 3_600_000
"""Milliseconds."""

SHORTEST = timedelta(days=1)
LONGEST = timedelta(days=7)

REMEMBERED = timedelta(days=30)
"""How long a block that is over makes the next one longer; then its row goes."""

FOR_GOOD = 253_402_300_799_000
"""The end of a block that has none, in milliseconds: the last second of the year 9999."""

REASON = f"refused by limits {REFUSALS} times within an hour"

FORGET = """
DELETE FROM blocks WHERE address IN (SELECT address FROM blocks WHERE expires_at < $1 FOR UPDATE SKIP LOCKED)
"""

# Who is blocked already, perhaps for good or by another worker just now, stays blocked as they are.
ADD = """
WITH added AS (
    INSERT INTO blocks AS held (address, reason, created_at, expires_at)
    SELECT o.address, $2, $3::timestamptz, $3 + $4::interval FROM unnest($1::inet[]) AS o (address) ORDER BY o.address
    ON CONFLICT (address) DO UPDATE SET reason = excluded.reason, created_at = excluded.created_at,
        expires_at = $3 + least($5::interval, greatest($4, 2 * (held.expires_at - held.created_at)))
        WHERE held.expires_at <= $3
    RETURNING address, reason, expires_at
)
SELECT address, reason, expires_at, true AS is_new FROM added
UNION ALL
SELECT address, reason, expires_at, false FROM blocks
WHERE address = ANY ($1) AND (expires_at IS NULL OR expires_at > $3)
"""

STANDING = "SELECT address, reason, expires_at FROM blocks WHERE expires_at IS NULL OR expires_at > $1"


class Blocks:
    """Blocks addresses, and has the hot store know of every block that stands.

    Args:
        pool: Postgres.
        hot: The hot store.
    """

    def __init__(self, pool: "Pool", hot: HotStore) -> None:
        self._pool = pool
        self._hot = hot
        self._note: Batcher[str, None] = Batcher(self._note_all)

    async def note(self, subject: str) -> None:
        """Counts a refusal of whatever is counted under `subject`, and blocks it if that is one too many.

        Never fails: the refusal itself is answered all the same.
        """
        try:
            await self._note(subject)
        except HotStoreUnavailable:
            return
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            log.warning("block not stored", error=type(error).__name__, exc_info=error)

    async def restore(self) -> None:
        """Puts every block that stands into the hot store, which may have lost them.

        Raises:
            HotStoreUnavailable: It cannot be reached.
        """
        rows = await fetch(self._pool, STANDING, from_ms(now_ms()))
        await self._hot.limits.block([hot_block(row) for row in rows])

    async def _note_all(self, subjects: list[str]) -> Sequence[None]:
        now = now_ms()
        charges = [Charge([refusals_of(subject)], subject) for subject in subjects]
        verdicts = await self._hot.limits.take(charges, now=now)
        offenders = {
            subject
            for subject, verdict in zip(subjects, verdicts, strict=True)
            if not verdict.allowed and not verdict.blocked
        }
        if offenders:
            await self._add(sorted(offenders), now=now)
        return [None] * len(subjects)

    async def _add(self, subjects: Sequence[str], *, now: int) -> None:
        at = from_ms(now)
        await fetch(self._pool, FORGET, at - REMEMBERED)
        rows = await fetch(self._pool, ADD, subjects, REASON, at, SHORTEST, LONGEST)
        await self._hot.limits.block([hot_block(row) for row in rows])
        for row in rows:
            if row["is_new"]:
                log.warning("address blocked", address=str(row["address"]), until=row["expires_at"].isoformat())


def refusals_of(subject: str) -> Quota:
    """The refusals that an address may still collect; the one that does not fit blocks it."""
    return Quota(f"refusals:{subject}", REFUSALS - 1, REFUSED_WITHIN)


def hot_block(row: Any) -> HotBlock:
    """A row as the hot store keeps it: under what its address is counted."""
    address, expires = str(row["address"]), row["expires_at"]
    subject = address if "/" in address else subject_of(address)
    return HotBlock(subject, FOR_GOOD if expires is None else to_ms(expires), row["reason"])
