"""Pages hold all they need, and their policy admits that and nothing else."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

import pytest
from tests.project.openapi import app

from aicq.http.pages import HOME, Page, reference_page
from aicq.http.pages.reference import ACCESS, CONSTRAINTS, Reference, anchor

REFERENCE = reference_page(app().openapi_schema.to_schema())

PAGES = {"home": HOME, "reference": REFERENCE}

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


DOCUMENT = {
    "info": {"description": "First `code` <b>.\n\nSecond."},
    "paths": {
        "/things/{id}": {
            "put": {
                "operationId": "PutThing",
                "tags": ["things"],
                "description": "</p><script>alert(1)</script>",
                "security": [{}, {"Token": []}],
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "responses": {
                    "200": {"description": "Made.", "content": {"text/plain": {"schema": {"type": "string"}}}},
                    "409": {"description": "It is there."},
                },
            }
        }
    },
    "components": {
        "securitySchemes": {"Token": {"type": "http", "scheme": "bearer", "description": "A token."}},
        "schemas": {
            "Thing": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 50, "pattern": "^[a-z]+$"},
                    "size": {
                        "oneOf": [{"type": "integer"}, {"type": "null"}],
                        "minimum": 0.0,
                        "description": "In `cm`.",
                    },
                    "kind": {"enum": ["a", "b"], "default": "a"},
                    "secret": {"type": "string", "writeOnly": True},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}, "maxItems": 9},
                    "more": {"type": "object", "additionalProperties": {"type": "boolean"}},
                },
            }
        },
    },
}


def texts(html: str) -> str:
    """What of a page is text, with single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_the_reference_tells_all_that_the_document_says() -> None:
    drawn = Reference(DOCUMENT)
    assert drawn.introduction().startswith("<p>First <code>code</code> &lt;b&gt;.</p><p>Second.</p>")
    assert "Authorization: Bearer A token." in texts(drawn.introduction())
    assert texts(drawn.contents()) == "Things PUT /things/{id}"
    told = texts(drawn.calls())
    for words in (
        "PUT /things/{id} </p><script>alert(1)</script>",
        "Wants to be shown: nothing; or Authorization: Bearer.",
        "id required string in the path, uuid",
        "Body application/json Thing",
        "name required string 1 characters or more, 50 characters at most, like ^[a-z]+$",
        "size integer or null 0 or more In cm .",
        "kind a or b otherwise a",
        "secret write only string",
        "parts list of Thing 9 at most",
        "more map of texts to boolean",
        "Answer 200 text/plain string Made.",
        "1 ways to be refused",
        "409 Conflict It is there.",
    ):
        assert words in told
    assert "size optional integer" in texts(drawn.schemas())


def test_the_reference_knows_every_keyword_that_our_document_uses() -> None:
    schemas = list(schemas_in(app().openapi_schema.to_schema()))
    shape = {"$ref", "oneOf", "anyOf", "allOf", "const", "enum", "type", "items", "properties", "additionalProperties"}
    words = {"description", "required", "title"}
    assert len(schemas) > 100
    assert {keyword for schema in schemas for keyword in schema} <= shape | words | {*CONSTRAINTS, *ACCESS}


def schemas_in(part: Any) -> Iterator[Mapping[str, Any]]:
    """Every schema in a part of the document."""
    if isinstance(part, Mapping):
        if isinstance(part.get("type"), str | list) or part.keys() & {
            "$ref",
            "oneOf",
            "anyOf",
            "allOf",
            "enum",
            "const",
        }:
            yield part
        for name, each in part.items():
            if name != "securitySchemes":
                yield from schemas_in(each)
    elif isinstance(part, list):
        for each in part:
            yield from schemas_in(each)


def test_every_call_and_schema_is_in_the_reference_and_every_link_leads_somewhere() -> None:
    document = app().openapi_schema.to_schema()
    names = set(re.findall(r' id="([^"]+)"', REFERENCE.content))
    calls = {call["operationId"] for methods in document["paths"].values() for call in methods.values()}
    assert calls | {anchor(name, "schema") for name in document["components"]["schemas"]} <= names
    assert set(re.findall(r' href="#([^"]+)"', REFERENCE.content)) <= names
