"""The gate of signed requests. It stands before the body is decoded, so only who has signed is told what is wrong."""

from collections.abc import Callable
from typing import Any

from litestar import Request

from aicq.auth.requests import authenticate, read_headers
from aicq.clock import now_ms
from aicq.errors import NotAuthenticated
from aicq.http.admission import Gate, admission_of, check_content_type


def signed(rule: str, body_bytes: Callable[[bytes], int] = lambda _: 0) -> Gate:
    """A gate that lets in agents whose signature holds and whose limits are not used up.

    The caller is `request.user` afterwards; its nonce is still to be spent by whatever does the work.

    Args:
        rule: The limit that the request is counted under, by agent.
        body_bytes: How many bytes of messages the request's body brings.
    """

    async def admit(request: Request[Any, Any, Any]) -> None:
        admission = admission_of(request)
        address = admission.addresses.of(request.scope)
        await admission.refuse_exhausted(address)
        check_content_type(request)
        credentials = read_headers(request.headers, now=now_ms())
        body = await request.body()
        try:
            caller = await authenticate(credentials, body, request.app.state["directory"])
        except NotAuthenticated:
            await admission.charge_failure(address)
            raise
        request.scope["user"] = caller
        await admission.admit(request, rule, subject=str(caller.id), body_bytes=body_bytes(body))

    return admit
