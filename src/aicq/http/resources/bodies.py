"""Reading bodies strictly: what is wrong with one is told with the field that it is wrong in."""

import re
from functools import wraps
from typing import Any

import msgspec
from litestar import Request

from aicq.errors import InvalidRequest, Unprocessable
from aicq.http.admission import Gate

AT = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
MISSING = re.compile(r"Object missing required field `(.*)`")


def checked(gate: Gate, wanted: type[msgspec.Struct]) -> Gate:
    """The gate, and after it a look at the body: the framework would take `"5"` for a number and name no field."""
    decode = msgspec.json.Decoder(wanted).decode

    @wraps(gate)
    async def admit(request: Request[Any, Any, Any]) -> None:
        await gate(request)
        try:
            decode(await request.body())
        except msgspec.ValidationError as error:
            raise told(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InvalidRequest("invalid JSON body") from None

    return admit


def told(message: str) -> Unprocessable:
    """What msgspec finds wrong, with the field it is wrong in."""
    at = AT.search(message)
    where = at[1] if at else ""
    what = message[: at.start()] if at else message
    if match := UNKNOWN.fullmatch(what):
        return Unprocessable("unknown field", field=f"{where}.{match[1]}".lstrip("."))
    if match := MISSING.fullmatch(what):
        field = f"{where}.{match[1]}".lstrip(".")
        return Unprocessable(f"{field} is required", field=field)
    if what.startswith("Invalid enum value"):
        what = "not one of the values there are"
    sentence = what.replace("`", "").replace(" | null", " or null")
    sentence = sentence[:1].lower() + sentence[1:]
    return Unprocessable(f"{where}: {sentence}" if where else sentence, field=where or None)
