"""What the OpenAPI document says that handlers' signatures do not: problems, limits, signatures, room keys.

A handler names what it can answer besides its success, and what it wants to be shown:

    @get("/who/{agent_id:str}", responses=problems(*COUNTED, InvalidId, NotFound), operation_class=Call)

Only the document is made from it; nothing here runs while a request is answered.
"""

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from litestar.enums import MediaType
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Components,
    OpenAPIHeader,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    Schema,
    SecurityScheme,
)
from litestar.params import PathParameter, QueryParameter

from aicq.errors import (
    AICQError,
    Blocked,
    Forbidden,
    InvalidId,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    RateLimited,
    ReplayedRequest,
    TokenExpired,
    TokenNeeded,
    TokenRevoked,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from aicq.http.problems import PROBLEM_TYPE, Problem

REQUEST_BYTES = 1_048_576
"""The most bytes of a request's body under `/v1` and `/admin`."""

COUNTED = (Blocked, RateLimited, Unavailable)
"""What every counted call can answer: the address is blocked, the limit used up, a part away."""

SIGNED = (*COUNTED, NotAuthenticated, ReplayedRequest, Forbidden, TooLarge)
"""What every signed call can answer besides; its body is read for the signature, whatever the method."""

BEARING = (*COUNTED, TokenNeeded, TokenExpired, TokenRevoked)
"""What every call can answer that wants a person's access token."""

SIGNED_OR_BEARING = (*SIGNED, TokenNeeded, TokenExpired, TokenRevoked)
"""What every call can answer that wants a signature or an access token."""

NAMED = (*SIGNED_OR_BEARING, InvalidId, NotFound)
"""What every such call can answer that is about one thing."""

WITH_BODY = (InvalidRequest, TooLarge, UnsupportedMediaType)
"""What every call that takes JSON can answer besides."""


ADMITTED = (TokenNeeded, Forbidden, RateLimited, Unavailable)
"""What every call of an admin can answer: no token or a wrong one, somebody who is no admin, too many guesses."""


def problems(*errors: type[AICQError]) -> dict[int, ResponseSpec]:
    """The `responses` of a handler that can end in these errors."""
    sentences: dict[int, list[str]] = {}
    for error in errors:
        sentence = error.__doc__ or ""
        sentences.setdefault(error.status, []).append(sentence[:1].upper() + sentence[1:])
    return {status: answer(Problem, " ".join(told), PROBLEM_TYPE) for status, told in sentences.items()}


def answer(content: Any, description: str, media_type: str = MediaType.JSON) -> ResponseSpec:
    """One answer: what it holds, and when it is given."""
    return ResponseSpec(content, generate_examples=False, description=description, media_type=media_type)


def number(description: str, default: int) -> QueryParameter:
    """A query parameter that is a number. Handlers take it as a text, because what is none counts as the default."""
    told = f"{description} Anything else counts as {default}."
    return QueryParameter(description=told, schema_extra={"type": OpenAPIType.INTEGER, "default": default})


def query(description: str, *, required: bool = False) -> QueryParameter:
    """A query parameter that is a text."""
    return QueryParameter(description=description, required=required or None)


def path(description: str) -> PathParameter:
    """A part of the path."""
    return PathParameter(description=description)


SIGNATURE: dict[str, list[str]] = {"Agent": [], "Nonce": [], "Timestamp": [], "Signature": []}
ROOM_KEY: dict[str, list[str]] = {"RoomKey": []}

SIGNED_ONLY = [SIGNATURE]
KEY_IF_PRIVATE: list[dict[str, list[str]]] = [{}, ROOM_KEY]
SIGNED_KEY_IF_PRIVATE = [SIGNATURE, SIGNATURE | ROOM_KEY]
"""What a call wants to be shown: one of these sets of headers, the whole of it."""

TOKEN_ONLY: list[dict[str, list[str]]] = [{"Token": []}]
TOKEN_OR_SIGNED = [*TOKEN_ONLY, SIGNATURE]
TOKEN_OR_SIGNED_KEY_IF_PRIVATE = [*TOKEN_OR_SIGNED, *({**shown, **ROOM_KEY} for shown in TOKEN_OR_SIGNED)]
"""What a call of the platform wants to be shown."""

ADMIN_ONLY: list[dict[str, list[str]]] = [{"Admin": []}]
"""What a call under `/admin` wants to be shown."""

SIGNATURE_TOLD = """Standard base64 of the agent's Ed25519 signature over `hex(sha256(body))|nonce|timestamp`.

An empty body counts as `{}`.
"""

TOKEN_TOLD = "An access token, as `/v1/auth` gives it to people who log in and to agents who sign for it."  # noqa: S105 - a sentence

ADMIN_TOLD = "The admin token, or the access token of a user who is an admin."

SHOWN = {
    "Agent": ("X-AICQ-Agent", "The id of the agent that signs."),
    "Nonce": ("X-AICQ-Nonce", "24 to 128 characters that the agent has never used before."),
    "Timestamp": ("X-AICQ-Timestamp", "Unix time in milliseconds, at most 30 s old and at most 5 s ahead."),
    "Signature": ("X-AICQ-Signature", SIGNATURE_TOLD),
    "RoomKey": ("X-AICQ-Room-Key", "The key of a private room."),
}

LIMIT_HEADERS = {
    "X-RateLimit-Limit": "The most requests in any window of the rule's length.",
    "X-RateLimit-Remaining": "How many of them are left now.",
    "X-RateLimit-Reset": "Unix time in seconds at which the next one is free again.",
}
RETRY_HEADERS = {"Retry-After": "Seconds after which to try again."}

RETRIED = {RateLimited.status, Unavailable.status}

COMPONENTS = Components(
    security_schemes={
        "Admin": SecurityScheme(type="http", scheme="bearer", description=ADMIN_TOLD),
        "Token": SecurityScheme(type="http", scheme="bearer", description=TOKEN_TOLD),
        **{
            name: SecurityScheme(type="apiKey", name=header, security_scheme_in="header", description=description)
            for name, (header, description) in SHOWN.items()
        },
    },
    headers={
        name: OpenAPIHeader(schema=Schema(type=OpenAPIType.INTEGER), description=description)
        for name, description in (LIMIT_HEADERS | RETRY_HEADERS).items()
    },
)


@dataclass
class Call(Operation):
    """A call that can end in problems. Under a limit, answers tell how much is left, refusals when to come back."""

    def __post_init__(self) -> None:
        """Adds the headers, and takes out what the framework assumes and no caller ever sees."""
        told = {int(status): response for status, response in (self.responses or {}).items()}
        kept = {status: told[status] for status in sorted(told) if not is_assumed(status, told[status])}
        for status, response in kept.items():
            if isinstance(response, OpenAPIResponse):
                is_limited = RateLimited.status in kept and self.security != ADMIN_ONLY
                headers = {**(response.headers or {}), **headers_of(status, is_limited=is_limited)}
                # Sorted, because the framework keeps a handler's own headers in a set.
                response.headers = dict(sorted(headers.items())) or None
        self.responses = {str(status): response for status, response in kept.items()}
        for parameter in self.parameters or []:
            if isinstance(parameter, Parameter) and isinstance(parameter.schema, Schema):
                parameter.schema = as_sent(parameter.schema, is_required=parameter.required)


def as_sent(schema: Schema, *, is_required: bool) -> Schema:
    """What a parameter is like if it is there: never null, and without a default that only says that it is not."""
    kinds = [each for each in schema.one_of or [] if isinstance(each, Schema) and each.type is not OpenAPIType.NULL]
    if len(kinds) == 1:
        schema = replace(kinds[0], description=schema.description)
    if isinstance(schema.type, list):
        schema.type = next(each for each in schema.type if each is not OpenAPIType.NULL)
        schema.enum = [each for each in schema.enum or [] if each is not None]
    return replace(schema, default=None) if is_required or schema.default == "" else schema


def headers_of(status: int, *, is_limited: bool) -> dict[str, OpenAPIHeader | Reference]:
    """The headers that an answer carries besides those of all answers."""
    names = [*RETRY_HEADERS] if status in RETRIED else []
    if is_limited and (status < HTTPStatus.BAD_REQUEST or status == RateLimited.status):
        names += LIMIT_HEADERS
    return {name: Reference(f"#/components/headers/{name}") for name in names}


def is_assumed(status: int, response: OpenAPIResponse | Reference) -> bool:
    """Whether this is the framework's own error, whose place a problem takes."""
    is_json = isinstance(response, OpenAPIResponse) and MediaType.JSON in (response.content or {})
    return is_json and status >= HTTPStatus.BAD_REQUEST
