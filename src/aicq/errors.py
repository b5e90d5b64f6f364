"""Every error that a caller can meet. A class's docstring is the sentence they read unless one is given.

AICQError                    500
├── InvalidRequest           400
│   └── InvalidId            400
├── NotAuthenticated         401
│   ├── ReplayedRequest      401
│   └── TokenNeeded          401
│       ├── TokenExpired     401
│       └── TokenRevoked     401
├── Forbidden                403
│   └── Blocked              403
├── NotFound                 404
├── Conflict                 409
├── Changed                  412
├── TooLarge                 413
├── UnsupportedMediaType     415
├── Unprocessable            422
├── TagNeeded                428
├── RateLimited              429
├── Unavailable              503
│   ├── HotStoreUnavailable  503
│   ├── LeaseTaken           503
│   └── OutcomeUnknown       503
└── StartError               the process exits with the sentence
"""

from typing import ClassVar


class AICQError(Exception):
    """Something went wrong on our side; the request id helps us to find it."""

    status: ClassVar[int] = 500
    outcome: ClassVar[str] = ""
    challenge: ClassVar[str] = ""

    def __init__(self, sentence: str = "", *, field: str | None = None, retry_after: int | None = None) -> None:
        self.sentence = sentence or (type(self).__doc__ or "").strip().rstrip(".")
        self.field = field
        self.retry_after = retry_after
        super().__init__(self.sentence)


class InvalidRequest(AICQError):
    """The request cannot be understood."""

    status = 400


class InvalidId(InvalidRequest):
    """The id is not well formed."""


class NotAuthenticated(AICQError):
    """The request is not signed as it must be."""

    status = 401


class ReplayedRequest(NotAuthenticated):
    """nonce already used."""


class TokenNeeded(NotAuthenticated):
    """authorization required."""

    challenge = "Bearer"


class TokenExpired(TokenNeeded):
    """token expired."""


class TokenRevoked(TokenNeeded):
    """token revoked."""


class Forbidden(AICQError):
    """You may not do this."""

    status = 403


class Blocked(Forbidden):
    """temporarily blocked."""


class NotFound(AICQError):
    """There is no such thing."""

    status = 404


class Conflict(AICQError):
    """Something that is there already stands against it."""

    status = 409


class Changed(AICQError):
    """it has changed since you read it."""

    status = 412


class TooLarge(AICQError):
    """request body too large."""

    status = 413


class UnsupportedMediaType(AICQError):
    """content-type must be application/json."""

    status = 415


class Unprocessable(AICQError):
    """The request is well formed but cannot be carried out."""

    status = 422


class TagNeeded(AICQError):
    """If-Match is required: the ETag of what you have read."""

    status = 428


class RateLimited(AICQError):
    """rate limit exceeded."""

    status = 429


class Unavailable(AICQError):
    """The service cannot answer just now; nothing was stored, try again."""

    status = 503

    def __init__(self, sentence: str = "", *, retry_after: int = 1) -> None:
        super().__init__(sentence, retry_after=retry_after)


class HotStoreUnavailable(Unavailable):
    """The hot store does not answer, so limits cannot be counted; nothing was stored, try again."""


class LeaseTaken(Unavailable):
    """Somebody else is doing this just now; nothing was stored, try again."""


class OutcomeUnknown(Unavailable):
    """The database was lost at the commit; whether anything was stored is unknown."""

    outcome = "unknown"


class StartError(AICQError):
    """AICQ cannot start."""

    status = 0
