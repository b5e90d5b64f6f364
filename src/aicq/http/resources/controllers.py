"""The calls of a resource, made from what it declares: list, get, create, change, delete."""

import inspect
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.clock import now_ms
from aicq.errors import (
    AICQError,
    Changed,
    Conflict,
    InvalidId,
    InvalidRequest,
    NotFound,
    TagNeeded,
    Unprocessable,
)
from aicq.http import contract
from aicq.http.admission import Gate, origin_of
from aicq.http.contract import ADMIN_ONLY, ADMITTED, REQUEST_BYTES, WITH_BODY, Call, problems
from aicq.http.paging import USUAL, Cursor, Limit
from aicq.http.resources.bodies import checked
from aicq.http.resources.fields import stored
from aicq.http.resources.resource import Resource, Row, Wanted
from aicq.http.resources.services import Recorder, Rows
from aicq.origin import Origin

PERIOD = {"since": "Only what is of this time or later.", "until": "Only what is of an earlier time."}

AdminRequest = Request[Any, Any, Any]

Match = Annotated[
    str | None, HeaderParameter(name="If-Match", required=True, description="The `ETag` of what was read, or `*`.")
]
MatchIfGiven = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="The `ETag` of what was read: nothing newer is deleted."),
]
TAG = ResponseHeader(name="ETag", documentation_only=True, description="To be shown in `If-Match`.")
PLACE = ResponseHeader(name="Location", documentation_only=True, description="Its path.")

Parameters = Mapping[str, tuple[Any, Any]]
"""Parameters that a resource adds to a handler: their types and their defaults, by name."""


class Calls:
    """Makes the handlers of a resource.

    Args:
        resource: What it declares.
        gate: Lets admins in.
        record: Writes the audit log.
    """

    def __init__(self, resource: Resource, *, gate: Gate, record: Recorder) -> None:
        self._resource = resource
        self._rows = Rows(resource, record)
        self._gate = gate
        self._path = f"/admin/{resource.name}"
        # The last part may hold a slash, as networks do.
        *_, last = resource.key
        kinds = {name: "path" if name == last and resource.is_text(name) else "str" for name in resource.key}
        self._keyed = self._path + "".join(f"/{{{name}:{kind}}}" for name, kind in kinds.items())
        self._key: Parameters = {name: (_path_type(name), inspect.Parameter.empty) for name in resource.key}

    def handlers(self) -> list[HTTPRouteHandler]:
        """One for each call that the resource has."""
        resource = self._resource
        made = [self._list(), self._get()]
        if resource.new_type is not None:
            made.append(self._create(resource.new_type))
        if resource.change_type is not None:
            made.append(self._change(resource.change_type))
        if resource.can_delete:
            made.append(self._delete())
        return made

    def _list(self) -> HTTPRouteHandler:
        resource = self._resource

        async def handler(
            db_session: NamedDependency[AsyncSession],
            request: AdminRequest,
            limit: Limit = USUAL,
            cursor: Cursor = None,
            **asked: Any,
        ) -> Any:
            refuse_unknown(request, {"limit", "cursor", *asked})
            # Read again, because the framework looks at no bounds and takes `null` for not there.
            given = {name: request.query_params[name] for name in asked if name in request.query_params}
            times = {name: self._time(name, given.pop(name)) for name in PERIOD if name in given}
            wanted = Wanted(
                limit=limit + 1,
                prefix=stored("q", given.pop("q", ""), str, InvalidRequest),
                filters={name: resource.fields[name].parse(text, InvalidRequest) for name, text in given.items()},
                after=None if cursor is None else resource.read_cursor(cursor),
                **times,
            )
            found = await resource.page(db_session, wanted)
            following = resource.write_cursor(found[limit - 1]) if len(found) > limit else None
            return fresh(resource.page_type([resource.show(row) for row in found[:limit]], following))

        order = "the newest first" if len(resource.key) == 1 else "by their keys, the last first"
        return self._call(
            get,
            self._path,
            handler,
            name=f"AdminList{resource.plural_title}",
            told=f"Lists {resource.plural}, {order}. {resource.told}",
            returns=resource.page_type,
            errors=(InvalidRequest,),
            parameters=self._asked(),
        )

    def _asked(self) -> Parameters:
        """The query parameters of a list besides those of all lists."""
        asked: dict[str, tuple[Any, Any]] = {}
        for name in self._resource.filters:
            told = f"Only those with this `{name}`."
            asked[name] = (
                Annotated[self._resource.fields[name].written | None, QueryParameter(description=told)],
                None,
            )
        if self._resource.search:
            told = f"Only those whose {' or '.join(self._resource.search)} begins with this, in any case."
            asked["q"] = (Annotated[str | None, QueryParameter(description=told)], None)
        for name, told in PERIOD.items() if self._resource.period else ():
            of_time = QueryParameter(description=told, schema_extra={"format": "date-time"})
            asked[name] = (Annotated[str, of_time], "")
        return asked

    def _time(self, name: str, text: str) -> datetime:
        field = self._resource.fields[str(self._resource.period)]
        moment: datetime = msgspec.structs.replace(field, name=name).parse(text, InvalidRequest)
        return moment

    def _get(self) -> HTTPRouteHandler:
        resource = self._resource

        async def handler(db_session: NamedDependency[AsyncSession], **key: str) -> Any:
            return self._shown(await self._rows.get(db_session, resource.read_key(key)))

        return self._call(
            get,
            self._keyed,
            handler,
            name=f"AdminGet{resource.title}",
            told=f"Returns {resource.one}.",
            returns=resource.row_type,
            errors=(InvalidId, NotFound),
            parameters=self._key,
            headers=[TAG],
        )

    def _create(self, new_type: type[msgspec.Struct]) -> HTTPRouteHandler:
        resource = self._resource

        async def handler(
            db_session: NamedDependency[AsyncSession],
            request: AdminRequest,
            data: JSONBody[new_type],  # type: ignore[valid-type] # made at run time
        ) -> Any:
            row = await self._rows.create(db_session, _origin(request), data, now=now_ms())
            return self._shown(row, Location=resource.path(row))

        return self._call(
            post,
            self._path,
            handler,
            name=f"AdminCreate{resource.title}",
            told=f"Adds {resource.one}.",
            returns=resource.row_type,
            errors=(*WITH_BODY, Conflict, Unprocessable),
            body=new_type,
            headers=[TAG, PLACE],
        )

    def _change(self, change_type: type[msgspec.Struct]) -> HTTPRouteHandler:
        resource = self._resource

        async def handler(
            db_session: NamedDependency[AsyncSession],
            request: AdminRequest,
            data: JSONBody[change_type],  # type: ignore[valid-type] # made at run time
            if_match: Match = None,
            **key: str,
        ) -> Any:
            if if_match is None:
                raise TagNeeded(field="If-Match")
            row = await self._rows.change(db_session, _origin(request), resource.read_key(key), data, tag=if_match)
            return self._shown(row)

        return self._call(
            patch,
            self._keyed,
            handler,
            name=f"AdminChange{resource.title}",
            told=f"Changes {resource.one}, unless somebody has changed it since it was read.",
            returns=resource.row_type,
            errors=(*WITH_BODY, InvalidId, NotFound, Conflict, Changed, Unprocessable, TagNeeded),
            body=change_type,
            parameters=self._key,
            headers=[TAG],
        )

    def _delete(self) -> HTTPRouteHandler:
        resource = self._resource

        async def handler(
            db_session: NamedDependency[AsyncSession],
            request: AdminRequest,
            if_match: MatchIfGiven = None,
            **key: str,
        ) -> None:
            await self._rows.remove(db_session, _origin(request), resource.read_key(key), tag=if_match)

        return self._call(
            delete,
            self._keyed,
            handler,
            name=f"AdminDelete{resource.title}",
            told=f"Deletes {resource.one}.",
            returns=None,
            errors=(InvalidId, NotFound, Conflict, Changed),
            parameters=self._key,
        )

    def _shown(self, row: Row, **headers: str) -> Response[Any]:
        return fresh(self._resource.show(row), ETag=self._resource.tag(row), **headers)

    def _call(
        self,
        verb: Any,
        path: str,
        handler: Any,
        *,
        name: str,
        told: str,
        returns: Any,
        errors: Sequence[type[AICQError]],
        body: type[msgspec.Struct] | None = None,
        parameters: Parameters | None = None,
        headers: Sequence[ResponseHeader] = (),
    ) -> HTTPRouteHandler:
        made: HTTPRouteHandler = verb(
            path,
            operation_id=name,
            summary=told.partition(".")[0].partition(",")[0],
            before_request=self._gate if body is None else checked(self._gate, body),
            response_description="It is done." if returns is None else "What is there now.",
            responses=problems(*ADMITTED, *errors),
            response_headers=headers,
            tags=["admin"],
            security=ADMIN_ONLY,
            operation_class=Call,
            request_max_body_size=REQUEST_BYTES,
        )(_shaped(handler, told, returns=returns, parameters=parameters or {}))
        return made


def fresh(content: Any, **headers: str) -> Response[Any]:
    """An answer that nobody is to keep."""
    return Response(content, headers={"Cache-Control": "no-store", **headers})


def _path_type(name: str) -> Any:
    return Annotated[str, contract.path(f"Its `{name}`.")]


def refuse_unknown(request: AdminRequest, known: set[str]) -> None:
    """Refuses a query that asks for something there is not, so that no filter is left out unnoticed.

    Raises:
        InvalidRequest: A parameter is unknown.
    """
    for name in request.query_params:
        if name not in known:
            raise InvalidRequest("unknown parameter", field=name)


def _origin(request: AdminRequest) -> Origin:
    return origin_of(request, "admin", request.user.id)


def _shaped(handler: Any, told: str, *, returns: Any, parameters: Parameters) -> Any:
    """Gives a handler its documentation, its answer's type, and in the place of its `**` the resource's parameters."""
    given = inspect.signature(handler)
    kept = [each for each in given.parameters.values() if each.kind is not each.VAR_KEYWORD]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in parameters.items()
    ]
    annotation = None if returns is None else Response[returns]
    handler.__signature__ = given.replace(parameters=[*kept, *added], return_annotation=annotation)
    handler.__annotations__ = {each.name: each.annotation for each in (*kept, *added)} | {"return": annotation}
    handler.__doc__ = told
    return handler
