"""The short texts that people give to things: names, nicknames, descriptions."""

import unicodedata

from aicq.errors import Unprocessable

MAX_LINE = 100
MAX_DESCRIPTION = 2000


def line(text: str, field: str) -> str:
    """A name: trimmed, in NFC, one line of 1 to 100 characters.

    Raises:
        Unprocessable: It is empty, too long, or holds control characters.
    """
    text = unicodedata.normalize("NFC", text.strip())
    if not 1 <= len(text) <= MAX_LINE:
        raise Unprocessable(f"{field} must be 1 to {MAX_LINE} characters", field=field)
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise Unprocessable(f"{field} must not contain control characters", field=field)
    return text


def describe(text: str) -> str | None:
    """A description of at most 2,000 characters; None for an empty one.

    Raises:
        Unprocessable: It is too long, or holds what cannot be stored.
    """
    text = text.strip()
    if len(text) > MAX_DESCRIPTION:
        raise Unprocessable(f"description must be at most {MAX_DESCRIPTION} characters", field="description")
    if "\x00" in text or any(unicodedata.category(char) == "Cs" for char in text):
        raise Unprocessable("description must be valid Unicode without U+0000", field="description")
    return text or None
