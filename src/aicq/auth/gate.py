"""The gates of those who say who they are: by a signature, or by a token.

A gate stands before the body is decoded, so only who has shown it is told what is wrong.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request

from aicq.auth.principal import Principal
from aicq.auth.requests import authenticate, read_headers
from aicq.auth.tokens import Bearers
from aicq.clock import now_ms
from aicq.errors import NotAuthenticated, TokenExpired, TokenNeeded, TokenRevoked
from aicq.http.admission import Gate, admission_of, check_content_type, origin_of
from aicq.http.sightings import Sighting, Sightings
from aicq.origin import Origin

AnyRequest = Request[Any, Any, Any]

ActorRequest = Request[Principal, Any, Any]
"""A request that a gate below has let in: its `user` is who asks."""

BodyBytes = Callable[[bytes], int] | None

Show = Callable[[AnyRequest], Awaitable[Principal]]

ROUTINE = (TokenExpired, TokenRevoked)
"""What every honest client meets now and then; it is not counted as a failure."""


def signed(rule: str, body_bytes: BodyBytes = None) -> Gate:
    """A gate that lets in agents whose signature holds and whose limits are not used up.

    The caller is `request.user` afterwards; its nonce is still to be spent by whatever does the work.

    Args:
        rule: The limit that the request is counted under, by agent.
        body_bytes: How many bytes of messages the request's body brings.
    """

    async def admit(request: AnyRequest) -> None:
        await _admit(request, by_signature, rule, body_bytes)

    return admit


def authenticated(rule: str, body_bytes: BodyBytes = None) -> Gate:
    """A gate that lets in whoever has signed the request, or shows an access token; else like `signed`."""

    async def admit(request: AnyRequest) -> None:
        await _admit(request, by_either, rule, body_bytes)

    return admit


def bearing(rule: str) -> Gate:
    """A gate that lets in people who show an access token; else like `signed`."""

    async def admit(request: AnyRequest) -> None:
        await _admit(request, by_persons_token, rule, None)

    return admit


async def by_signature(request: AnyRequest) -> Principal:
    """The agent that has signed a request."""
    credentials = read_headers(request.headers, now=now_ms())
    return await authenticate(credentials, await request.body(), request.app.state["directory"])


async def by_token(request: AnyRequest) -> Principal:
    """Whoever shows an access token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenNeeded
    bearers: Bearers = request.app.state["bearers"]
    return await bearers.principal(token.strip(), now=now_ms())


async def by_either(request: AnyRequest) -> Principal:
    """Whoever shows an access token or has signed the request; a request that brings both is taken by its token."""
    if "authorization" not in request.headers and "x-aicq-agent" in request.headers:
        return await by_signature(request)
    return await by_token(request)


async def by_persons_token(request: AnyRequest) -> Principal:
    """The person who shows an access token."""
    principal = await by_token(request)
    if principal.kind != "user":
        raise TokenNeeded("a person's token is required", field="Authorization")
    return principal


def origin_of_actor(request: ActorRequest) -> Origin:
    """Who asks, once a gate has let them in, and from where, for the audit log."""
    return origin_of(request, request.user.kind, request.user.id)


def has_credentials(request: AnyRequest) -> bool:
    """Whether a request brings a token or a signature; an agent's id alone is none, as clients send it for limits."""
    return "authorization" in request.headers or "x-aicq-signature" in request.headers


async def identify(request: AnyRequest, show: Show = by_either) -> Principal:
    """Whoever has shown who they are; what does not hold is counted as a failure of the address.

    Raises:
        NotAuthenticated: It does not hold.
        RateLimited: The address has failed too often.
    """
    admission = admission_of(request)
    address = admission.addresses.of(request.scope)
    await admission.refuse_exhausted(address)
    check_content_type(request)
    try:
        principal = await show(request)
    except ROUTINE:
        raise
    except NotAuthenticated:
        await admission.charge_failure(address)
        raise
    sightings: Sightings = request.app.state["sightings"]
    sightings.note(Sighting(principal.id, principal.kind == "agent"))
    return principal


async def _admit(request: AnyRequest, show: Show, rule: str, body_bytes: BodyBytes) -> None:
    principal = await identify(request, show)
    request.scope["user"] = principal
    brought = body_bytes(await request.body()) if body_bytes is not None else 0
    await admission_of(request).admit(request, rule, subject=str(principal.id), body_bytes=brought)
