"""Pages hold all they need, and their policy admits that and nothing else."""

import base64
import hashlib
import re

import pytest

from aicq.http.pages import HOME, Page

PAGES = {"home": HOME}

each_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


def hashes(page: Page, kind: str) -> list[str]:
    inside = re.findall(rf"<{kind}[^>]*>(.*?)</{kind}>", page.content, re.DOTALL)
    return [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inside]


@each_page
def test_the_policy_admits_what_the_page_holds_and_nothing_unsafe(page: Page) -> None:
    rules = dict(rule.split(" ", 1) for rule in page.policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert [rules["style-src"]] == hashes(page, "style")
    assert [rule for rule in [rules.get("script-src")] if rule] == hashes(page, "script")
    assert "unsafe" not in page.policy
    assert not re.search(r"\s(style|on\w+)=", page.content)


@each_page
def test_a_page_names_nothing_from_elsewhere(page: Page) -> None:
    names = {"http://www.w3.org/2000/svg", "http://127.0.0.1:8080"}  # of a format, and of the reader's own service
    assert set(re.findall(r"https?://[\w./:-]+", page.content)) <= names
    loaded = re.findall(r"<(?:link|script|img|iframe)[^>]+(?:src|href)=\"([^\"]+)", page.content)
    assert all(each.startswith(("/", "data:image/svg+xml,")) for each in loaded)


@each_page
def test_every_mark_was_replaced(page: Page) -> None:
    assert not re.search(r"\{(style|script|mark|icon|version)\}", page.content)
