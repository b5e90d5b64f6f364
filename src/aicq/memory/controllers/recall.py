"""Recalling memories, now and as of a past moment, and what was done to them."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from aicq.auth.gate import authenticated
from aicq.clock import from_ms, now_ms
from aicq.errors import Forbidden, InvalidRequest, NotFound, Unprocessable
from aicq.http.contract import NAMED, REQUEST_BYTES, SIGNED_OR_BEARING, TOKEN_OR_SIGNED, WITH_BODY, Call, problems
from aicq.http.paging import USUAL, Cursor, Limit, end_of, first_page, key_of, read_cursor
from aicq.http.resources.bodies import checked
from aicq.http.resources.fields import read_moment
from aicq.memory.controllers.memories import MemoryId, Team
from aicq.memory.controllers.visit import Visit, memory_key
from aicq.memory.schemas.memories import (
    MemoryEntry,
    MemoryHistory,
    MemorySearchRequest,
    PastMemory,
    PastPage,
    Recollection,
    TeamHistory,
)

Version = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]

At = Annotated[
    str,
    QueryParameter(
        description="The moment, with its time zone: `2026-11-22T10:00:00Z`.", schema_extra={"format": "date-time"}
    ),
]

UntilThen = Annotated[
    str, QueryParameter(description="Only what was done before this moment; now.", schema_extra={"format": "date-time"})
]


class RecallController(Controller):
    """What a team knows, and what it knew."""

    path = "/v1/memories"
    tags = ("memories",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @post(
        "/recall",
        operation_id="RecallMemories",
        status_code=200,
        before_request=checked(authenticated("read"), MemorySearchRequest),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def recall(self, data: JSONBody[MemorySearchRequest], visit: NamedDependency[Visit]) -> Recollection:
        """Finds what a team knows, or knew at a moment, by meaning and by words, and tells why each was found.

        What has expired or does not hold is left out at once, and counted. What is recalled of now counts as read.
        """
        if data.agent_id not in {None, visit.caller.id}:
            raise Forbidden("only an agent itself asks for its private memories", field="agent_id")
        await (await visit.enter()).team(data.team_id, field="team_id")
        now = from_ms(now_ms())
        told = await visit.recall.recall(msgspec.structs.replace(data, agent_id=visit.caller.id), now=now)
        if data.as_of is None:
            visit.accesses.note([result.memory.id for result in told.results], now=now)
        return told

    @get(
        "/past",
        operation_id="ListPastMemories",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def past_of_team(
        self, visit: NamedDependency[Visit], team: Team, at: At, limit: Limit = USUAL, cursor: Cursor = None
    ) -> PastPage:
        """Lists what a team's memories were at a moment, whatever their status, the oldest first."""
        moment, after = read_moment("at", at), end_of(cursor)
        await (await visit.enter()).team(team, field="team")
        found, is_stable = await visit.recall.of_team_at(
            team, moment, reader=visit.caller.id, after=after, limit=limit + 1
        )
        rows, following = first_page(found, limit, key_of)
        return PastPage(list(rows), is_stable, following)

    @get(
        "/log",
        operation_id="ListTeamMemoryLog",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def history_of_team(
        self,
        visit: NamedDependency[Visit],
        team: Team,
        since: At,
        until: UntilThen = "",
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> TeamHistory:
        """Lists what was done to a team's memories in a time, the oldest first."""
        first, after = read_moment("since", since), last_entry(cursor)
        last = read_moment("until", until) if until else from_ms(now_ms())
        await (await visit.enter()).team(team, field="team")
        found, is_stable = await visit.recall.changes(
            team, since=first, until=last, reader=visit.caller.id, after=after, limit=limit + 1
        )
        rows, following = first_page(found, limit, key_of_entry)
        return TeamHistory(list(rows), is_stable, following)

    @get(
        "/{memory_id:str}/past",
        operation_id="GetPastMemory",
        before_request=authenticated("read"),
        responses=problems(*NAMED, InvalidRequest),
        operation_class=Call,
    )
    async def past(self, memory_id: MemoryId, visit: NamedDependency[Visit], at: At) -> PastMemory:
        """Shows what a memory was at a moment, also of one that was deleted since."""
        key, moment = memory_key(memory_id), read_moment("at", at)
        team_id = await (await visit.enter()).history(key)
        return await visit.recall.at(team_id, key, moment)

    @get(
        "/{memory_id:str}/log",
        operation_id="ListMemoryLog",
        before_request=authenticated("read"),
        responses=problems(*NAMED, InvalidRequest),
        operation_class=Call,
    )
    async def history(
        self, memory_id: MemoryId, visit: NamedDependency[Visit], limit: Limit = USUAL, cursor: Cursor = None
    ) -> MemoryHistory:
        """Lists what was done to a memory, the oldest first, also of one that was deleted."""
        key = memory_key(memory_id)
        [after] = read_cursor(cursor, [Version]) if cursor else [0]
        team_id = await (await visit.enter()).history(key)
        found = await visit.recall.history(team_id, key, after=after, limit=limit + 1)
        rows, following = first_page(found, limit, lambda entry: [entry.seq])
        return MemoryHistory(list(rows), following)


def key_of_entry(entry: MemoryEntry) -> tuple[str, UUID, int]:
    """What the cursor tells of an entry of a team's log."""
    return entry.created_at.astimezone(UTC).isoformat(), entry.memory_id, entry.seq


def last_entry(cursor: str | None) -> tuple[datetime, UUID, int] | None:
    """The entry that the page before has ended with.

    Raises:
        InvalidRequest: No list has given the cursor.
    """
    if cursor is None:
        return None
    moment, memory_id, seq = read_cursor(cursor, [str, UUID, Version])
    return read_moment("cursor", moment), memory_id, seq
