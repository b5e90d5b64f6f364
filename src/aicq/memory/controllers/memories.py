"""Memories: keeping, reading, changing, superseding, linking and forgetting them."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from aicq.auth.gate import authenticated
from aicq.clock import from_ms, now_ms
from aicq.errors import Changed, Conflict, Forbidden, InvalidRequest, NotFound, TagNeeded, Unprocessable
from aicq.http.contract import NAMED, REQUEST_BYTES, SIGNED_OR_BEARING, TOKEN_OR_SIGNED, WITH_BODY, Call, path, problems
from aicq.http.paging import USUAL, Cursor, Limit, end_of, first_page, key_of
from aicq.http.resources.bodies import checked
from aicq.http.resources.controllers import TAG, Match, fresh
from aicq.memory.controllers.visit import Visit, memory_key, tag_of, versions_of
from aicq.memory.repositories import MemoryFilter
from aicq.memory.schemas.memories import (
    LinkKind,
    MemoryPage,
    MemoryRecord,
    MemoryRevision,
    MemoryStatus,
    MemoryTier,
    MemoryType,
    NewMemory,
    Succession,
)
from aicq.memory.services.memories import Because, clean_tags

MemoryId = Annotated[str, path("The memory's id, a UUID.")]
OtherId = Annotated[str, path("The other memory's id, a UUID.")]
Kind = Annotated[LinkKind, path("What the one says of the other.")]

Team = Annotated[UUID, QueryParameter(description="Whose.")]


class MemoryController(Controller):
    """What agents and people of a team keep."""

    path = "/v1/memories"
    tags = ("memories",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @post(
        operation_id="CreateMemory",
        before_request=checked(authenticated("write"), NewMemory),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, NotFound, Conflict, Unprocessable),
        response_headers=[TAG],
        operation_class=Call,
    )
    async def create(self, data: JSONBody[NewMemory], visit: NamedDependency[Visit]) -> Response[MemoryRecord]:
        """Keeps something for a team, in place of another memory if it supersedes one."""
        reach = await visit.enter()
        await reach.team(data.team_id, to_change=True, field="team_id")
        if data.memory_type == "agent_private" and data.agent_id not in {None, visit.caller.id}:
            raise Forbidden("only an agent itself keeps private memories", field="agent_id")
        if data.supersedes is not None:
            await reach.memory(data.supersedes, to_change=True, field="supersedes")
        because = Because(data.reason, data.source_conversation_id)
        kept = await visit.memories.remember(data, now=now_ms(), because=because)
        if data.supersedes is not None:
            await visit.memories.supersede(data.team_id, data.supersedes, kept.id, because=because)
        return shown(kept)

    @get(
        operation_id="ListMemories",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def list_memories(
        self,
        visit: NamedDependency[Visit],
        team: Team,
        type: Annotated[MemoryType | None, QueryParameter(description="Only those of this type.")] = None,  # noqa: A002 - the parameter's name
        status: Annotated[MemoryStatus | None, QueryParameter(description="Only those in this status.")] = None,
        tier: Annotated[MemoryTier | None, QueryParameter(description="Only those of this tier.")] = None,
        tag: Annotated[list[str] | None, QueryParameter(description="Only those with this tag; repeatable.")] = None,
        agent: Annotated[UUID | None, QueryParameter(description="Only what this agent keeps.")] = None,
        user: Annotated[UUID | None, QueryParameter(description="Only what is about this actor.")] = None,
        conversation: Annotated[
            UUID | None, QueryParameter(description="Only what was drawn out of this conversation.")
        ] = None,
        subject: Annotated[
            str | None, QueryParameter(description="Only what has this subject, in any case.", max_length=200)
        ] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> MemoryPage:
        """Lists a team's memories, the newest first; those that have expired are not active any more."""
        if subject is not None and "\x00" in subject:
            raise InvalidRequest("invalid subject", field="subject")
        before = end_of(cursor)
        await (await visit.enter()).team(team, field="team")
        wanted = MemoryFilter(
            team_id=team,
            memory_type=type,
            status=status,
            tier=tier,
            tags=clean_tags(tag or (), field="tag"),
            agent_id=agent,
            user_id=user,
            source_conversation_id=conversation,
            subject=subject,
        )
        now = from_ms(now_ms())
        found = await visit.recall.page(wanted, reader=visit.caller.id, now=now, before=before, limit=limit + 1)
        rows, following = first_page(found, limit, key_of)
        return MemoryPage(list(rows), following)

    @get(
        "/{memory_id:str}",
        operation_id="GetMemory",
        before_request=authenticated("read"),
        responses=problems(*NAMED),
        response_headers=[TAG],
        operation_class=Call,
    )
    async def show(self, memory_id: MemoryId, visit: NamedDependency[Visit]) -> Response[MemoryRecord]:
        """Shows a memory, whatever its status, and counts that it was read."""
        key = memory_key(memory_id)
        team_id = await (await visit.enter()).memory(key)
        memory = await visit.recall.get(team_id, key)
        visit.accesses.note([key], now=from_ms(now_ms()))
        return shown(memory)

    @patch(
        "/{memory_id:str}",
        operation_id="ChangeMemory",
        before_request=checked(authenticated("write"), MemoryRevision),
        responses=problems(*NAMED, *WITH_BODY, Conflict, Changed, Unprocessable, TagNeeded),
        response_headers=[TAG],
        operation_class=Call,
    )
    async def change(
        self,
        memory_id: MemoryId,
        data: JSONBody[MemoryRevision],
        visit: NamedDependency[Visit],
        if_match: Match = None,
    ) -> Response[MemoryRecord]:
        """Makes a new version of a memory, unless it has changed since it was read; all versions stay known."""
        key = memory_key(memory_id)
        if if_match is None:
            raise TagNeeded(field="If-Match")
        versions = versions_of(if_match)
        team_id = await (await visit.enter()).memory(key, to_change=True)
        try:
            memory = await visit.memories.revise(team_id, key, data, versions=versions, because=Because(data.reason))
        except Changed:
            raise Changed(field="If-Match") from None
        return shown(memory)

    @put(
        "/{memory_id:str}/successor",
        operation_id="SupersedeMemory",
        before_request=checked(authenticated("write"), Succession),
        responses=problems(*NAMED, *WITH_BODY, Conflict, Unprocessable),
        response_headers=[TAG],
        operation_class=Call,
    )
    async def supersede(
        self, memory_id: MemoryId, data: JSONBody[Succession], visit: NamedDependency[Visit]
    ) -> Response[MemoryRecord]:
        """Has another memory hold in place of this one, which stays and is not recalled any more."""
        key = memory_key(memory_id)
        reach = await visit.enter()
        team_id = await reach.memory(key, to_change=True)
        await reach.memory(data.memory_id, field="memory_id")
        because = Because(data.reason)
        return shown(await visit.memories.supersede(team_id, key, data.memory_id, because=because))

    @put(
        "/{memory_id:str}/links/{kind:str}/{other_id:str}",
        operation_id="LinkMemory",
        status_code=204,
        before_request=authenticated("write"),
        responses=problems(*NAMED, Unprocessable),
        operation_class=Call,
    )
    async def link(self, memory_id: MemoryId, kind: Kind, other_id: OtherId, visit: NamedDependency[Visit]) -> None:
        """Says that a memory contradicts another, or has to do with it."""
        key, other = memory_key(memory_id), memory_key(other_id)
        reach = await visit.enter()
        team_id = await reach.memory(key, to_change=True)
        await reach.memory(other)
        await visit.memories.link(team_id, key, other, kind)

    @delete(
        "/{memory_id:str}/links/{kind:str}/{other_id:str}",
        operation_id="UnlinkMemory",
        before_request=authenticated("write"),
        responses=problems(*NAMED),
        operation_class=Call,
    )
    async def unlink(self, memory_id: MemoryId, kind: Kind, other_id: OtherId, visit: NamedDependency[Visit]) -> None:
        """Takes back what a memory says of another."""
        key, other = memory_key(memory_id), memory_key(other_id)
        team_id = await (await visit.enter()).memory(key, to_change=True)
        await visit.memories.unlink(team_id, key, other, kind)

    @delete(
        "/{memory_id:str}",
        operation_id="DeleteMemory",
        before_request=authenticated("write"),
        responses=problems(*NAMED),
        operation_class=Call,
    )
    async def forget(self, memory_id: MemoryId, visit: NamedDependency[Visit]) -> None:
        """Deletes a memory; its history stays. To keep it and not recall it, its status is changed to `archived`."""
        key = memory_key(memory_id)
        team_id = await (await visit.enter()).memory(key, to_change=True)
        await visit.memories.forget(team_id, key)


def shown(memory: MemoryRecord) -> Response[MemoryRecord]:
    """A memory as it is told, with the tag of its version."""
    return fresh(memory, ETag=tag_of(memory.version))
