"""What the calls of memory have in common: who asks, what they reach, and how ids and versions are told."""

import re
from uuid import UUID

import msgspec
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ActorRequest, origin_of_actor
from aicq.auth.principal import Principal
from aicq.errors import Changed
from aicq.identity.services.directory import enter
from aicq.ids import parse_uuid
from aicq.memory.services.conversations import ConversationService
from aicq.memory.services.memories import MemoryService
from aicq.memory.services.reach import Reach
from aicq.memory.services.recall import Accesses, Recall
from aicq.origin import Origin

VERSION = re.compile(r'"(\d{1,9})"')


class Memorizing(msgspec.Struct, frozen=True):
    """How memories are kept: how long embeddings are, and who counts recalls."""

    dimensions: int
    accesses: Accesses


class Visit(msgspec.Struct, frozen=True):
    """Who asks for memories, within which transaction; nobody does anything before they have entered."""

    session: AsyncSession
    caller: Principal
    origin: Origin
    memorizing: Memorizing

    async def enter(self) -> Reach:
        """Begins the work: the nonce of a signed request is spent in its transaction.

        Raises:
            Forbidden: The agent is not active.
            ReplayedRequest: The nonce is spent.
        """
        await enter(self.session, self.caller)
        return Reach(self.session, self.caller.id)

    @property
    def memories(self) -> MemoryService:
        """What can be done to memories."""
        return MemoryService(self.session, dimensions=self.memorizing.dimensions, origin=self.origin)

    @property
    def recall(self) -> Recall:
        """What can be asked of memories."""
        return Recall(self.session, dimensions=self.memorizing.dimensions)

    @property
    def conversations(self) -> ConversationService:
        """What can be done in conversations."""
        return ConversationService(self.session, origin=self.origin)

    @property
    def accesses(self) -> Accesses:
        """Counts recalls."""
        return self.memorizing.accesses


def provide_visit(
    request: ActorRequest,
    db_session: NamedDependency[AsyncSession],
    memorizing: NamedDependency[Memorizing],
) -> Visit:
    """Who asks, within the request's transaction."""
    return Visit(db_session, request.user, origin_of_actor(request), memorizing)


def memory_key(text: str) -> UUID:
    """A memory's id, as a path tells it.

    Raises:
        InvalidId: It is none.
    """
    return parse_uuid(text, "invalid memory ID format")


def tag_of(version: int) -> str:
    """The ETag of a version of a memory. That it was recalled meanwhile changes nothing that could be undone."""
    return f'"{version}"'


def versions_of(tags: str) -> set[int] | None:
    """The versions that `If-Match` lists; None: whichever there is.

    Raises:
        Changed: None that could be one.
    """
    told = {each.strip() for each in tags.split(",")}
    if "*" in told:
        return None
    versions = {int(match[1]) for each in told if (match := VERSION.fullmatch(each))}
    if not versions:
        raise Changed(field="If-Match")
    return versions
