"""What an answer says: the thing that was asked for, or an error of the service, raised by its own name."""

from typing import TypeVar

import httpx
import msgspec

from aicq import errors
from aicq.client.errors import NoAnswer, NotAICQ
from aicq.errors import AICQError, InvalidRequest, OutcomeUnknown

Thing = TypeVar("Thing")

KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AICQError) and kind.status
]
"""Every error that has a status, the more general before the more special."""

BY_STATUS = {kind.status: kind for kind in reversed(KINDS)}
BY_SENTENCE = {(kind.status, kind().sentence): kind for kind in KINDS}


class Problem(msgspec.Struct, frozen=True):
    """What of a problem detail the client reads."""

    error: str
    field: str = ""
    outcome: str = ""


def read_answer(answer: httpx.Response, kind: type[Thing]) -> Thing:
    """Reads what was asked for.

    Raises:
        NotAICQ: It is something else.
    """
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise not_aicq(answer) from None


def error_in(answer: httpx.Response) -> AICQError:
    """The error that an answer tells of."""
    try:
        told = msgspec.json.decode(answer.content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if answer.is_server_error:
            return NoAnswer(f"A gateway before AICQ answered {answer.status_code}", retry_after=seconds(answer))
        return not_aicq(answer)
    error = kind_of(answer.status_code, told)(told.error)
    error.field = told.field or None
    error.retry_after = seconds(answer)
    return error


def kind_of(status: int, told: Problem) -> type[AICQError]:
    """The class of an error; for a status that has none, that of its hundred, as RFC 9110 has it."""
    if told.outcome == OutcomeUnknown.outcome:
        return OutcomeUnknown
    general = AICQError if status >= AICQError.status else InvalidRequest
    return BY_SENTENCE.get((status, told.error)) or BY_STATUS.get(status, general)


def seconds(answer: httpx.Response) -> int | None:
    """When to come again, if the answer tells."""
    told = answer.headers.get("retry-after", "")
    return int(told) if told.isascii() and told.isdecimal() and len(told) < 10 else None  # noqa: PLR2004 - or it is no wait


def not_aicq(answer: httpx.Response) -> NotAICQ:
    """What to say of an answer that is none of AICQ's."""
    url = answer.request.url
    return NotAICQ(f"What answers at {url.scheme}://{url.netloc.decode()} with {answer.status_code} is not AICQ")
