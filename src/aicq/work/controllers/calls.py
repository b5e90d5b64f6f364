"""What the calls of work have in common: who acts, what is asked for, and how pages are told."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.gate import ActorRequest, origin_of_actor
from aicq.auth.principal import Principal
from aicq.clock import now_ms
from aicq.errors import InvalidRequest
from aicq.http.contract import path
from aicq.identity.services.directory import enter
from aicq.ids import parse_uuid
from aicq.origin import Origin
from aicq.work.feed import Feed
from aicq.work.services.acting import Acting

ProjectId = Annotated[str, path("The project's id, a UUID.")]
TaskName = Annotated[str, path("The task's id, a UUID, or its code: `TASK-17`.")]
EvidenceName = Annotated[str, path("The evidence's id, a UUID, or its code: `EV-17`.")]
ExecutionId = Annotated[str, path("The execution's id, a UUID.")]

OfProject = Annotated[UUID | None, QueryParameter(description="Only what belongs to this project.")]
OfTask = Annotated[UUID | None, QueryParameter(description="Only what belongs to this task.")]

MAX_WORD = 100


class Asked(msgspec.Struct, frozen=True):
    """What a handler is asked to do, by whom; nobody acts before they have entered."""

    session: AsyncSession
    caller: Principal
    origin: Origin
    feed: Feed

    async def enter(self) -> Acting:
        """Begins the work: the nonce of a signed request is spent in its transaction.

        Raises:
            Forbidden: The agent is not active.
            ReplayedRequest: The nonce is spent.
        """
        await enter(self.session, self.caller)
        return Acting(self.session, self.caller, self.origin, self.feed, now_ms())


def provide_asked(
    request: ActorRequest,
    db_session: NamedDependency[AsyncSession],
    feed: NamedDependency[Feed],
) -> Asked:
    """Who asks, within the request's transaction."""
    return Asked(db_session, request.user, origin_of_actor(request), feed)


def name_of(text: str, *, prefix: str, complaint: str) -> UUID | str:
    """An id or a code, as a path tells it.

    Raises:
        InvalidId: It is neither.
    """
    code = text.upper()
    is_code = code.startswith(prefix) and code.removeprefix(prefix).isascii() and code.removeprefix(prefix).isdecimal()
    return code if is_code else parse_uuid(text, complaint)


def task_name(text: str) -> UUID | str:
    """A task's id or code."""
    return name_of(text, prefix="TASK-", complaint="invalid task ID format")


def evidence_name(text: str) -> UUID | str:
    """Evidence's id or code."""
    return name_of(text, prefix="EV-", complaint="invalid evidence ID format")


def words_of(words: Sequence[str] | None, field: str) -> tuple[str, ...]:
    """Words to look for, as a query tells them.

    Raises:
        InvalidRequest: One is none, or longer than any that is kept.
    """
    for word in words or ():
        if not word.strip() or len(word) > MAX_WORD or "\x00" in word:
            raise InvalidRequest(f"invalid {field}", field=field)
    return tuple(words or ())


def word_of(word: str | None, field: str) -> str | None:
    """A word to look for, as a query tells it.

    Raises:
        InvalidRequest: It is none, or longer than any that is kept.
    """
    words_of([word] if word is not None else None, field)
    return word
