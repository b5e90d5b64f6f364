"""The message log: every entry of every room, committed in groups and acknowledged only after its commit.

What arrives while one commit is in flight rides in the next. One group is one call of `message_log_append` (migration
0006), so one round trip and one transaction. A room that is locked elsewhere leaves the group for a lane of its own, so
one stuck room stops no other. After the commit the entries go to the hot store, again in groups, and then readers are
woken; if either fails the answer is the same, for readers find the hole and take the log.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.batches import Batcher, Later
from aicq.errors import (
    AICQError,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    ReplayedRequest,
    Unavailable,
    Unprocessable,
)
from aicq.ids import milliseconds, new_tail, position, to_ulid

log = structlog.get_logger("aicq.log")

GROUP = 256
"""The most entries in one commit."""

GROUPS = 4
"""The most committed groups in one call of the hot store."""

RETRIES = 5
"""How often a group that met a deadlock or a serialization failure is tried again as a whole."""

RECOVERIES = 3
"""How often in a row the connection may be lost at the commit of the same entries."""

COMMIT_TIMEOUT = 15.0
"""Seconds after which a commit that does not answer counts as lost."""

RECOVERY_TIMEOUT = 10.0
"""Seconds that a lost commit is looked for before its outcome is called unknown."""

RECOVERY_SLACK = 60_000
"""Milliseconds that an entry of a lost commit may bear a time before its arrival, as far as clocks can tell."""

LANES = 4
"""How many locked rooms are waited for at a time: half of the pool, so that the rest goes on."""

APPEND = "SELECT verdict, id, is_public FROM message_log_append($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)"

APPEND_WITHIN = text(
    "SELECT verdict, id, is_public FROM message_log_append("
    "true, ARRAY[CAST(:room_id AS uuid)], ARRAY[CAST(:author_id AS uuid)], ARRAY[CAST(:entry AS text)],"
    " ARRAY[CAST(:body AS text)], ARRAY[CAST(:type AS text)], ARRAY[CAST(:parent_id AS uuid)],"
    " ARRAY[CAST(:target_id AS uuid)], ARRAY[CAST(:signature AS text)], ARRAY[CAST(:proof AS text)],"
    " ARRAY[CAST(:as_member AS boolean)], ARRAY[CAST(:may_moderate AS boolean)], ARRAY[CAST(:nonce AS text)],"
    " ARRAY[0::bigint], ARRAY[CAST(:tail AS bigint)])"
)
"""The same of one entry, as a part of somebody else's transaction."""

LOCK_ROOMS = "SELECT id FROM rooms WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE"

FIND_OUT = """
WITH since AS MATERIALIZED (
    SELECT (lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint - $3), 12, '0')
        || repeat('0', 20))::uuid AS id
), recent AS MATERIALIZED (
    SELECT m.room_id, m.id, right(m.id::text, 10) AS tail, NOT r.is_private AS is_public
    FROM rooms r JOIN messages m ON m.room_id = r.id AND m.id >= (SELECT id FROM since)
    WHERE r.id = ANY ($1)
)
SELECT lost.n, recent.id, recent.is_public
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS lost (room_id, tail, n)
JOIN recent USING (room_id, tail)
"""

LOST_CONNECTION = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver says of a connection that was ended while it was idle
    ConnectionError,
    TimeoutError,
    OSError,
)


class KeyNeeded(Forbidden):
    """room key required for private rooms."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that somebody wants to add.

    Args:
        room_id: The room.
        author_id: Who adds it; must be active.
        entry: What it is. An edit and a delete have a target; only the target's author may edit it, and delete it only
            the author or who may moderate.
        body: The text; of an edit the new one, empty for a delete.
        type: What the text is.
        parent_id: The message that it answers.
        target_id: The message that it changes.
        target_parent_id: The message that the target of an edit answers, which never changes.
        signature: The author's own signature, already checked.
        proof: The hash that the caller's room key was checked against; a private room accepts no other.
        as_member: The author comes as a member of the room; no key opens it then. Channels take members of their guild,
            either way.
        may_moderate: The author may delete what others wrote, wherever.
        nonce: Spent in the same commit; None if the request was not signed.
    """

    room_id: UUID
    author_id: UUID
    entry: Literal["message", "edit", "delete"] = "message"
    body: str = ""
    type: str = "text"
    parent_id: UUID | None = None
    target_id: UUID | None = None
    target_parent_id: UUID | None = None
    signature: str | None = None
    proof: str | None = None
    as_member: bool = False
    may_moderate: bool = False
    nonce: str | None = None


class Stored(msgspec.Struct, frozen=True):
    """An entry that the log has committed.

    Args:
        draft: What was asked for.
        id: Its id, which carries its time and its position.
        public: Whether its room is public.
    """

    draft: Draft
    id: UUID
    public: bool

    @property
    def ulid(self) -> str:
        """The id on the wire."""
        return to_ulid(self.id)

    @property
    def position(self) -> int:
        """The entry's place in its room."""
        return position(self.id)

    @property
    def ts(self) -> int:
        """When it was posted, Unix time in milliseconds."""
        return milliseconds(self.id)


class _Pending(msgspec.Struct, frozen=True, eq=False):
    draft: Draft
    arrived: float
    tail: int


class _Busy:
    """The room is locked elsewhere."""


BUSY = _Busy()

Outcome = Stored | _Busy

REFUSALS: dict[str, Callable[[], AICQError]] = {
    "no_room": lambda: NotFound("room not found"),
    "no_key": KeyNeeded,
    "no_author": lambda: Forbidden("agent is not active"),
    "no_member": lambda: Forbidden("you are not a member of this room"),
    "no_post": lambda: Forbidden("you may not write in this room"),
    "blocked": lambda: Forbidden("one of you has blocked the other"),
    "no_parent": lambda: Unprocessable("parent message not found in this room", field="pid"),
    "no_message": lambda: NotFound("message not found"),
    "not_yours": lambda: Forbidden("can only delete your own messages"),
    "not_author": lambda: Forbidden("can only edit your own messages"),
    "replay": ReplayedRequest,
}


class MessageLog:
    """Appends to rooms' logs.

    Args:
        pool: Postgres.
        publish: Takes what was committed, in commit order per room, to the hot store and wakes readers. Never raises.
    """

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        publish: Callable[[list[Stored]], Awaitable[None]],
    ) -> None:
        self._pool = pool
        self._group: Batcher[_Pending, Outcome] = Batcher(self._commit_group, size=GROUP)
        self._lanes: dict[UUID, Batcher[_Pending, Outcome]] = {}
        self._lane_slots = asyncio.Semaphore(LANES)
        self._publish_stored = publish
        # Never refuses: what is committed has to be published. It is bounded by `_group` and the lanes.
        self._publish: Batcher[list[Stored], None] = Batcher(self._publish_groups, size=GROUPS, capacity=sys.maxsize)

    async def append(self, draft: Draft) -> Stored:
        """Adds an entry; when this returns it is durable.

        Raises:
            Unprocessable: The text cannot be stored, or the parent is not in the room.
            NotFound: There is no such room, or no such message to change.
            Forbidden: The author may not write here, or not change this message.
            KeyNeeded: The room is private and `proof` is not its key's hash.
            ReplayedRequest: The nonce is spent.
            OutcomeUnknown: The database was lost at the commit and did not come back in time.
            Unavailable: Nothing was stored.
        """
        check_text(draft.body)
        pending = _Pending(draft, asyncio.get_running_loop().time(), new_tail())
        return await self._commit(pending)

    async def append_within(self, session: AsyncSession, draft: Draft) -> Stored:
        """Adds an entry as a part of a transaction; once that is committed, `publish` brings it to readers.

        Raises:
            AICQError: As `append` does; the transaction has to be rolled back.
        """
        check_text(draft.body)
        values = {name: getattr(draft, name) for name in draft.__struct_fields__}
        try:
            row = (await session.execute(APPEND_WITHIN, {**values, "tail": new_tail()})).mappings().one()
        except DBAPIError as error:
            if isinstance(error.driver_exception, asyncpg.LockNotAvailableError):
                raise Unavailable("the room is locked; nothing was stored, try again") from error
            raise
        outcome = outcome_of(draft, row)
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Stored)  # noqa: S101 - it has waited for the lock
        return outcome

    async def publish(self, stored: Stored) -> None:
        """Brings an entry that a transaction of its own has committed to the hot store and to readers."""
        # A caller that leaves now must not take the entry out of the queue.
        await asyncio.shield(self._publish.send([stored]))

    async def drain(self) -> None:
        """Waits until all that was taken is committed, published and answered."""
        await self._group.drain()
        for lane in list(self._lanes.values()):
            await lane.drain()
        await self._publish.drain()

    async def _commit(self, pending: _Pending) -> Stored:
        room_id = pending.draft.room_id
        outcome: Outcome = BUSY if room_id in self._lanes else await self._group(pending)
        if isinstance(outcome, Stored):
            return outcome
        lane = self._lanes.setdefault(room_id, Batcher(self._commit_waiting, size=GROUP))
        try:
            outcome = await lane(pending)
        finally:
            if lane.idle and self._lanes.get(room_id) is lane:
                del self._lanes[room_id]
        assert isinstance(outcome, Stored)  # noqa: S101 - a lane waits for its lock, so its room is never busy
        return outcome

    async def _commit_group(self, group: list[_Pending]) -> "list[Outcome | Later[Outcome] | Exception]":
        return await self._commit_apart(group, wait=False)

    async def _commit_waiting(self, group: list[_Pending]) -> "list[Outcome | Later[Outcome] | Exception]":
        async with self._lane_slots:
            return await self._commit_apart(group, wait=True)

    async def _commit_apart(self, group: list[_Pending], *, wait: bool) -> "list[Outcome | Later[Outcome] | Exception]":
        """Commits a group in as many transactions as it takes for none to hold a nonce or a target twice.

        What is committed is sent on from here, for its caller may be gone; who waits is answered once it is published.
        """
        outcomes: dict[_Pending, Outcome | Exception] = {}
        left = group
        while left:
            now, left = split_conflicts(left)
            outcomes.update(zip(now, await self._commit_all(now, wait=wait), strict=True))
        stored = [outcome for outcome in outcomes.values() if isinstance(outcome, Stored)]
        published = self._publish.send(stored) if stored else None
        return [
            Later(outcome, published) if published is not None and isinstance(outcome, Stored) else outcome
            for outcome in (outcomes[pending] for pending in group)
        ]

    async def _publish_groups(self, groups: list[list[Stored]]) -> list[None]:
        await self._publish_stored([stored for group in groups for stored in group])
        return [None] * len(groups)

    async def _commit_all(  # noqa: PLR0911 - one answer per way in which a commit can fail
        self, group: list[_Pending], *, wait: bool, recoveries: int = RECOVERIES
    ) -> list[Outcome | Exception]:
        """Commits a group in one transaction; whatever goes wrong, each entry gets its own answer."""
        for _ in range(RETRIES):
            try:
                return await self._call(group, wait=wait)
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                continue
            except asyncpg.LockNotAvailableError:
                return [Unavailable("the room is locked; nothing was stored, try again")] * len(group)
            except _NotSent:
                return [Unavailable()] * len(group)
            except ValueError as error:
                return await self._commit_halves(group, error, wait=wait)
            except LOST_CONNECTION as error:
                log.warning("connection lost at commit", entries=len(group), error=type(error).__name__)
                if not recoveries:
                    return [OutcomeUnknown()] * len(group)
                return await self._find_out(group, recoveries=recoveries - 1)
            except asyncpg.PostgresError as error:
                return await self._commit_halves(group, error, wait=wait)
        return [Unavailable()] * len(group)

    async def _commit_halves(self, group: list[_Pending], error: Exception, *, wait: bool) -> list[Outcome | Exception]:
        """Halves a group that the database refused, until the entry it refuses stands alone."""
        if len(group) == 1:
            log.error("entry refused by the database", error=type(error).__name__)
            return [Unprocessable("the message cannot be stored")]
        half = len(group) // 2
        return [
            *await self._commit_all(group[:half], wait=wait),
            *await self._commit_all(group[half:], wait=wait),
        ]

    async def _call(self, group: list[_Pending], *, wait: bool) -> list[Outcome | Exception]:
        drafts = [pending.draft for pending in group]
        async with _Acquired(self._pool) as connection:
            now = asyncio.get_running_loop().time()
            rows = await connection.fetch(
                APPEND,
                wait,
                [draft.room_id for draft in drafts],
                [draft.author_id for draft in drafts],
                [draft.entry for draft in drafts],
                [draft.body for draft in drafts],
                [draft.type for draft in drafts],
                [draft.parent_id for draft in drafts],
                [draft.target_id for draft in drafts],
                [draft.signature for draft in drafts],
                [draft.proof for draft in drafts],
                [draft.as_member for draft in drafts],
                [draft.may_moderate for draft in drafts],
                [draft.nonce for draft in drafts],
                [int((now - pending.arrived) * 1000) for pending in group],
                [pending.tail for pending in group],
                timeout=COMMIT_TIMEOUT,
            )
        return [outcome_of(draft, row) for draft, row in zip(drafts, rows, strict=True)]

    async def _find_out(self, group: list[_Pending], *, recoveries: int) -> list[Outcome | Exception]:
        """Looks on a new connection, under the same locks, for what a lost commit stored, and commits the rest.

        The locks make the answer final: a transaction that still held them would keep us waiting.
        """
        outcomes: dict[_Pending, Outcome | Exception] = {}
        try:
            outcomes.update(await self._look_up(group))
            absent = [pending for pending in group if pending not in outcomes]
            if absent:
                again = await self._commit_all(absent, wait=True, recoveries=recoveries)
                outcomes.update(zip(absent, again, strict=True))
            # The lost commit may have been on its way still, and have spent the nonce before we could.
            replayed = [pending for pending in group if isinstance(outcomes[pending], ReplayedRequest)]
            if replayed:
                outcomes.update(await self._look_up(replayed))
        except TimeoutError:
            log.error("outcome of a commit unknown", entries=len(group))  # noqa: TRY400 - each attempt has told why
            known = [outcomes.get(pending) for pending in group]
            return [outcome if isinstance(outcome, Stored) else OutcomeUnknown() for outcome in known]
        return [outcomes[pending] for pending in group]

    async def _look_up(self, group: list[_Pending]) -> dict[_Pending, Outcome | Exception]:
        """What is stored of a group, or TimeoutError if Postgres does not come back in time."""
        async with asyncio.timeout(RECOVERY_TIMEOUT):
            return await self._look_until_told(group)

    async def _look_until_told(self, group: list[_Pending]) -> dict[_Pending, Outcome | Exception]:
        rooms = [pending.draft.room_id for pending in group]
        tails = [f"{pending.tail:010x}" for pending in group]
        while True:
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    await connection.execute(LOCK_ROOMS, sorted(set(rooms)))
                    waited = asyncio.get_running_loop().time() - min(pending.arrived for pending in group)
                    rows = await connection.fetch(FIND_OUT, rooms, tails, int(waited * 1000) + RECOVERY_SLACK)
            except (*LOST_CONNECTION, asyncpg.PostgresError) as error:
                log.warning("lost commit not found out yet", entries=len(group), error=type(error).__name__)
                await asyncio.sleep(0.05)  # Postgres is on its way back; the caller's time limit ends this
                continue
            found: dict[_Pending, Outcome | Exception] = {}
            for row in rows:
                pending = group[row["n"] - 1]
                found[pending] = Stored(pending.draft, row["id"], row["is_public"])
            return found


class _NotSent(Exception):
    """No connection could be had, so nothing was sent."""


class _Acquired:
    """A connection from the pool, telling "could not get one" from "lost it while it worked"."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._acquire = pool.acquire(timeout=COMMIT_TIMEOUT)

    async def __aenter__(self) -> "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]":
        try:
            return await self._acquire.__aenter__()
        except (*LOST_CONNECTION, asyncpg.PostgresError) as error:
            raise _NotSent from error

    async def __aexit__(self, *error: object) -> None:
        await self._acquire.__aexit__(*error)


def check_text(text: str) -> None:
    """Refuses what Postgres cannot hold, before it joins a group.

    Raises:
        Unprocessable: It holds U+0000 or half of a surrogate pair.
    """
    if "\x00" in text:
        raise Unprocessable("body must not contain U+0000", field="body")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unprocessable("body must be valid Unicode", field="body") from None


def split_conflicts(group: list[_Pending]) -> tuple[list[_Pending], list[_Pending]]:
    """The entries that may share a transaction, and those that repeat a nonce or a target and have to follow."""
    now: list[_Pending] = []
    later: list[_Pending] = []
    seen: set[tuple[UUID, object]] = set()
    for pending in group:
        draft = pending.draft
        keys: set[tuple[UUID, object]] = set()
        if draft.nonce is not None:
            keys.add((draft.author_id, draft.nonce))
        if draft.target_id is not None:
            keys.add((draft.room_id, draft.target_id))
        if keys & seen:
            later.append(pending)
        else:
            now.append(pending)
            seen |= keys
    return now, later


def outcome_of(draft: Draft, row: Any) -> Outcome | Exception:
    """What a row of `message_log_append` means for the entry it answers."""
    verdict = row["verdict"]
    if verdict == "stored":
        return Stored(draft, row["id"], row["is_public"])
    if verdict == "busy":
        return BUSY
    return REFUSALS[verdict]()
