"""Errors as RFC 9457 problem details that also carry `error`, the sentence that AICQ clients read."""

from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.types import ExceptionHandlersMap
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from aicq.db.engine import is_away
from aicq.errors import AICQError, InvalidRequest, Unavailable
from aicq.http.violations import violation

log = structlog.get_logger("aicq.http")

PROBLEM_TYPE = "application/problem+json"


class Problem(msgspec.Struct, omit_defaults=True):
    """What every error answer looks like.

    Args:
        type: Always `about:blank`: the status says what kind of problem it is.
        title: The status in words.
        status: The HTTP status.
        detail: One sentence about what is wrong.
        error: The same sentence, where AICQ clients look for it.
        field: The field, header or parameter that is wrong, if it is one.
        outcome: `unknown` if what was asked for may have been done; in every other case it was not.
        request_id: Under which the request stands in the log.
    """

    title: str
    status: int
    detail: str
    error: str
    type: str = "about:blank"
    field: str = ""
    outcome: str = ""
    request_id: str = ""


def problem(request: Request[Any, Any, Any], error: AICQError) -> Response[Problem]:
    """The answer to one of our errors."""
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    if error.challenge:
        headers["WWW-Authenticate"] = error.challenge
    return answer(
        request, error.status, error.sentence, field=error.field or "", outcome=error.outcome, headers=headers
    )


def answer(
    request: Request[Any, Any, Any],
    status: int,
    sentence: str,
    *,
    field: str = "",
    outcome: str = "",
    headers: dict[str, str],
) -> Response[Problem]:
    """A problem with this status and this sentence."""
    content = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=sentence,
        error=sentence,
        field=field,
        outcome=outcome,
        request_id=str(request.scope.get("aicq.request_id", "")),
    )
    return Response(content, status_code=status, headers=headers, media_type=PROBLEM_TYPE)


FRAMEWORK_SENTENCES = {
    HTTPStatus.NOT_FOUND: "not found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method not allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request body too large",
}


GONE = "client disconnected prematurely"
"""How Litestar tells of a caller who left amid its own body; nobody reads the answer, and it is no error of ours."""


def from_framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Litestar's own errors: no such route, wrong method, oversize, a body that is no JSON."""
    if isinstance(error.__cause__, SerializationException):
        return problem(request, InvalidRequest("invalid JSON body"))
    if error.detail == GONE:
        return problem(request, InvalidRequest("the request ended before its body did"))
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return from_bug(request, error)
    sentence = FRAMEWORK_SENTENCES.get(HTTPStatus(error.status_code), error.detail)
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return answer(request, error.status_code, sentence, headers=headers)


def from_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Problem]:
    """A parameter or a body that is not as documented."""
    extra = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    if not extra or extra.get("source") == "body" or "data" in str(extra.get("key", "data")):
        return problem(request, InvalidRequest("invalid JSON body"))
    return problem(request, InvalidRequest(f"invalid {extra['key']}", field=str(extra["key"])))


def from_encoding(request: Request[Any, Any, Any], _: UnicodeDecodeError) -> Response[Problem]:
    """A body that is no UTF-8; the framework's decoder lets the codec's own error through."""
    return problem(request, InvalidRequest("invalid JSON body"))


def from_depth(request: Request[Any, Any, Any], _: RecursionError) -> Response[Problem]:
    """A body of brackets within brackets; the decoder gives up where Python would run out of stack."""
    return problem(request, InvalidRequest("invalid JSON body"))


def from_database(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Postgres is away, or refuses; what it said, unless a value was to blame, goes to the log only."""
    refused = violation(error) if isinstance(error, DBAPIError) else None
    if refused is not None:
        return problem(request, refused)
    log.error("database failed", error=type(error).__name__, exc_info=error)
    return problem(request, Unavailable() if is_away(error) else AICQError())


def from_bug(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Whatever nobody foresaw."""
    log.error("unexpected error", error=type(error).__name__, exc_info=error)
    return problem(request, AICQError())


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    AICQError: problem,
    HTTPException: from_framework,
    ValidationException: from_validation,
    UnicodeDecodeError: from_encoding,
    RecursionError: from_depth,
    DBAPIError: from_database,
    PoolTimeoutError: from_database,
    asyncpg.PostgresError: from_database,
    asyncpg.InterfaceError: from_database,
    asyncpg.InternalClientError: from_database,
    OSError: from_database,
    Exception: from_bug,
}
