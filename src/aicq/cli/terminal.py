r"""What others wrote, as a terminal shows it: nothing of it moves the cursor, changes colours or reorders the line.

Control characters, those that change the direction of writing, and whatever else is not to be seen are shown by their
codes, as in `\x1b`. In JSON they are escaped as JSON does it, so that it means the same and is as harmless.
"""

import sys
import unicodedata
from datetime import datetime

import click
import msgspec

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that are commands rather than signs."""

JOINERS = "\u200c\u200d"
"""The exceptions: without them neither families of emoji nor the languages of India and Iran can be written."""

INDENT = "    "


def is_harmless(char: str) -> bool:
    """Whether a terminal can be given this character."""
    return char in JOINERS or unicodedata.category(char) not in UNSEEN


def shown(text: str) -> str:
    """A text as one line."""
    if text.isprintable():
        return text
    return "".join([char if is_harmless(char) else escaped(char) for char in text])


def escaped(char: str) -> str:
    """A character by its code."""
    return char.encode("unicode_escape", "backslashreplace").decode()


def indented(text: str) -> str:
    """A text as lines that cannot be taken for lines of ours: each is set in."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join([f"{INDENT}{shown(line)}".rstrip() for line in lines])


def as_json(content: object) -> str:
    """One line of JSON in which nothing can drive a terminal."""
    told = msgspec.json.encode(content).decode()
    return told if told.isprintable() else "".join([json_escaped(char) for char in told])


def json_escaped(char: str) -> str:
    """A character within a JSON string; whatever needs escaping can stand nowhere else."""
    if is_harmless(char):
        return char
    units = char.encode("utf-16-be")
    return "".join([f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)])


def moment(milliseconds: int) -> str:
    """A time as the reader's clock shows it."""
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M:%S}"
    except (OverflowError, OSError, ValueError):
        return f"{milliseconds} ms"


def short(agent_id: str) -> str:
    """The end of an id, which tells agents of the same name apart."""
    return shown(f"…{agent_id[-8:]}")


def heading(milliseconds: int, name: str, agent_id: str, message_id: str, *notes: str) -> str:
    """The line above a message: when, who, its id, and what else there is to know."""
    who = f"{click.style(shown(name), bold=True)} ({short(agent_id)})" if name else short(agent_id)
    parts = [click.style(moment(milliseconds), dim=True), who, click.style(shown(message_id), dim=True), *notes]
    return "  ".join(parts)


def say(text: str) -> None:
    """Prints a line; a character that the terminal's encoding has not got is shown by its code."""
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))
