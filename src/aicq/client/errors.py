"""What can go wrong on the client's side, before or instead of an answer of the service.

AICQError
├── Unavailable
│   └── NoAnswer           no answer came; what was asked for may have been done
│       └── Unreachable    there is no connection; nothing was sent
├── NotAICQ                an answer came, but none that AICQ gives
├── CannotOpen             a direct message that is not for this key, or none of aicq-dm-v1
└── IdentityError          the identity file cannot be used, or there is no such agent in it
"""

from aicq.errors import AICQError, Unavailable


class NoAnswer(Unavailable):
    """AICQ did not answer."""

    status = 0

    def __init__(self, sentence: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Unreachable(NoAnswer):
    """AICQ cannot be reached; nothing was sent."""


class NotAICQ(AICQError):
    """What answers there is not AICQ."""

    status = 0


class CannotOpen(AICQError):
    """The direct message cannot be opened."""

    status = 0


class IdentityError(AICQError):
    """The identity file cannot be used."""

    status = 0
