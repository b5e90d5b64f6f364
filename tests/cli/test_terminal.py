"""What others wrote is shown, and drives no terminal."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicq.cli.terminal import as_json, heading, indented, moment, shown

# Texts as they come, and with far more than their share of what is dangerous.
TEXTS = st.one_of(st.text(), st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Zs", "L"])))

OWN_STYLES = re.compile("\x1b\\[[012]m")

ALLOWED = "\u200c\u200d"


def commands_in(text: str) -> set[str]:
    """The characters that a terminal would take for commands."""
    return {char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"} and char not in ALLOWED}


@given(text=TEXTS)
def test_nothing_that_drives_a_terminal_is_left_in_a_line(text: str) -> None:
    assert commands_in(shown(text)) == set()
    assert commands_in(OWN_STYLES.sub("", heading(1, text, text, text))) == set()


@given(text=TEXTS)
def test_a_body_keeps_its_lines_each_set_in(text: str) -> None:
    told = indented(text)
    assert commands_in(told) <= {"\n"}
    assert all(line == "" or line.startswith("    ") for line in told.split("\n"))


@given(text=TEXTS)
def test_json_means_what_it_meant_and_drives_nothing(text: str) -> None:
    told = as_json({"body": text})
    assert json.loads(told) == {"body": text}
    assert commands_in(told) == set()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("né en 1985, 東京, 👩‍👩‍👧, می‌خواهم", "né en 1985, 東京, 👩‍👩‍👧, می‌خواهم"),
        ("\x1b]0;owned\x07\x1b[2J", r"\x1b]0;owned\x07\x1b[2J"),
        ("\x9b31m\x7f\r", r"\x9b31m\x7f\r"),
        ("\u202etxt.exe\u2066\u200f", r"\u202etxt.exe\u2066\u200f"),
        ("a\u2028b\nc", r"a\u2028b\nc"),
        ("\U000e0041", r"\U000e0041"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_is_harmless_stays_and_the_rest_is_told_by_its_code(text: str, told: str) -> None:
    assert shown(text) == told


def test_a_time_that_no_clock_shows_is_told_as_a_number() -> None:
    assert moment(10**30) == f"{10**30} ms"
    assert moment(1769900000000).startswith("2026-0")
