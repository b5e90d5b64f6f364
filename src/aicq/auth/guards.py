"""Guards that stand before handlers: who may come in. They run before a body is decoded."""

from collections.abc import Callable, Mapping
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from aicq.auth.requests import Caller, authenticate, read_headers
from aicq.clock import now_ms
from aicq.errors import NotAuthenticated, UnsupportedMediaType
from aicq.http.admission import Guard, admission_of

BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


def signed(rule: str, body_bytes: Callable[[bytes], int] = lambda _: 0) -> Guard:
    """A guard that lets in agents whose signature holds and whose limits are not used up.

    The caller is `request.user` afterwards; its nonce is still to be spent by whatever does the work.

    Args:
        rule: The limit that the request is counted under, by agent.
        body_bytes: How many bytes of messages the request's body brings.
    """

    async def admit(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        assert isinstance(connection, Request)  # noqa: S101 - an HTTP route's guards get its request
        admission = admission_of(connection)
        address = admission.addresses.of(connection.scope)
        admission.refuse_exhausted(address)
        headers = connection.headers
        check_content_type(connection, headers)
        credentials = read_headers(headers, now=now_ms())
        body = await connection.body()
        try:
            caller: Caller = await authenticate(credentials, body, connection.app.state["directory"])
        except NotAuthenticated:
            await admission.charge_failure(address)
            raise
        connection.scope["user"] = caller
        await admission.admit(connection, rule, subject=str(caller.id), body_bytes=body_bytes(body))

    return admit


async def json_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard that refuses bodies of another type than JSON."""
    check_content_type(connection, connection.headers)


def check_content_type(connection: ASGIConnection[Any, Any, Any, Any], headers: Mapping[str, str]) -> None:
    """Refuses a body that does not say it is JSON.

    Raises:
        UnsupportedMediaType: There is a body to be read, of another type.
    """
    has_body = connection.scope.get("method") in BODY_METHODS and headers.get("content-length", "0") != "0"
    if has_body and not headers.get("content-type", "").lower().startswith("application/json"):
        raise UnsupportedMediaType
