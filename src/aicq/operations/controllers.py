"""The calls of operators, beside the tables."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.auth.admin import admin_only
from aicq.clock import now_ms
from aicq.errors import InvalidRequest, NotFound, OutcomeUnknown
from aicq.http import contract
from aicq.http.admission import origin_of
from aicq.http.contract import ADMIN_ONLY, ADMITTED, Call, problems
from aicq.http.paging import USUAL, Cursor, Limit, first_page, read_cursor
from aicq.http.resources.controllers import AdminRequest, fresh, refuse_unknown
from aicq.operations.limits import LimitDesk, read_subject
from aicq.operations.overview import Overseer
from aicq.operations.schemas import HotStatus, LimitLevels, Overview, Refilled, Spans
from aicq.operations.store import StoreWatch

Subject = Annotated[str, contract.query("An actor's id, an address, or a /64 network of IPv6.", required=True)]
Rule = Annotated[
    str, QueryParameter(description="One of the rules that RATE_LIMITS knows, or `refusals`; all of them if left out.")
]


class OperationsController(Controller):
    """How AICQ is doing, what limits have counted, and the hot store."""

    path = "/admin"
    tags = ("admin",)
    security = ADMIN_ONLY

    @get(
        "/overview",
        operation_id="AdminGetOverview",
        before_request=admin_only,
        responses=problems(*ADMITTED),
        operation_class=Call,
    )
    async def overview(
        self, db_session: NamedDependency[AsyncSession], overseer: NamedDependency[Overseer]
    ) -> Response[Overview]:
        """Tells how AICQ is doing: versions, the hot store and how far it is with the log, and how much there is."""
        return fresh(await overseer.overview(db_session, now=now_ms()))

    @get(
        "/limits",
        operation_id="AdminPeekLimits",
        before_request=admin_only,
        responses=problems(*ADMITTED, InvalidRequest, NotFound),
        operation_class=Call,
    )
    async def peek(
        self, request: AdminRequest, limit_desk: NamedDependency[LimitDesk], subject: Subject = "", rule: Rule = ""
    ) -> Response[LimitLevels]:
        """Tells how much an actor or an address has used of its limits; takes nothing from them."""
        refuse_unknown(request, {"subject", "rule"})
        return fresh(await limit_desk.levels(read_subject(subject), rule, now=now_ms()))

    @delete(
        "/limits",
        operation_id="AdminResetLimits",
        before_request=admin_only,
        responses=problems(*ADMITTED, InvalidRequest, NotFound, OutcomeUnknown),
        operation_class=Call,
    )
    async def reset(
        self,
        request: AdminRequest,
        db_session: NamedDependency[AsyncSession],
        limit_desk: NamedDependency[LimitDesk],
        subject: Subject = "",
        rule: Rule = "",
    ) -> None:
        """Forgets what an actor or an address has used of its limits, or of one; a block stays."""
        refuse_unknown(request, {"subject", "rule"})
        await limit_desk.reset(db_session, origin_of(request, "admin", request.user.id), read_subject(subject), rule)

    @get(
        "/hot",
        operation_id="AdminGetHotStore",
        before_request=admin_only,
        responses=problems(*ADMITTED),
        operation_class=Call,
    )
    async def hot(
        self, db_session: NamedDependency[AsyncSession], store_watch: NamedDependency[StoreWatch]
    ) -> Response[HotStatus]:
        """Tells what the hot store is, whether it is complete, and how far it is with the log."""
        return fresh(HotStatus(await store_watch.state(db_session), await store_watch.positions(now=now_ms())))

    @get(
        "/hot/spans",
        operation_id="AdminListHotSpans",
        before_request=admin_only,
        responses=problems(*ADMITTED, InvalidRequest),
        operation_class=Call,
    )
    async def spans(
        self,
        request: AdminRequest,
        store_watch: NamedDependency[StoreWatch],
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Response[Spans]:
        """Lists what the hot store holds of each room that was active within 24 hours, by the rooms' ids."""
        refuse_unknown(request, {"limit", "cursor"})
        after = UUID(int=0) if cursor is None else parse_room(*read_cursor(cursor, [str]))
        found = await store_watch.spans(after=after, limit=limit + 1, now=now_ms())
        spans, following = first_page(found, limit, lambda span: [span.room_id])
        return fresh(Spans(spans, following))

    @post(
        "/hot/refill",
        operation_id="AdminRefillHotStore",
        before_request=admin_only,
        status_code=202,
        responses=problems(*ADMITTED, OutcomeUnknown),
        operation_class=Call,
    )
    async def refill(
        self,
        request: AdminRequest,
        db_session: NamedDependency[AsyncSession],
        store_watch: NamedDependency[StoreWatch],
    ) -> Response[Refilled]:
        """Empties the hot store and has it filled from the log again; until then readers take the log."""
        return fresh(Refilled(await store_watch.refill(db_session, origin_of(request, "admin", request.user.id))))


def parse_room(text: str) -> UUID:
    """The room that a page has ended with."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidRequest("invalid cursor", field="cursor") from None
