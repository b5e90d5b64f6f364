"""What people see: the landing page and the documents. Each page is one response; nothing comes from elsewhere.

Style and script stand inside the page, and its policy names them by their hashes. So there is nothing to cache, nothing
of another version to meet while workers are upgraded, and what a message might smuggle in is not run.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import yaml
from litestar import Controller, Litestar, Request, Response, get

from aicq import __version__
from aicq.http.contract import answer
from aicq.http.pages.reference import Reference

T = TypeVar("T")


class Page(msgspec.Struct, frozen=True):
    """A page, and the policy under which browsers show it."""

    content: str
    policy: str

    def response(self) -> Response[str]:
        """The page as an answer."""
        return Response(
            self.content,
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": self.policy},
        )


def compose(name: str, *styles: str, script: str = "", **more: str) -> Page:
    """Puts a page together from the files beside this module, and from more parts that are HTML already."""
    style = "".join(read_text(each) for each in styles)
    code = read_text(script) if script else ""
    mark = read_text("mark.svg").strip()
    icon = mark.replace("currentColor", "#2b8a63")
    parts = {
        "style": style,
        "script": code,
        "mark": mark,
        "icon": f"data:image/svg+xml,{quote(icon)}",
        "version": __version__,
        **more,
    }
    content = re.sub(rf"\{{({'|'.join(parts)})\}}", lambda found: parts[found[1]], read_text(name))
    return Page(content, policy_of(style, code))


def policy_of(style: str, script: str) -> str:
    """Admits this style and this script, calls of ours, and nothing else; no text can be turned into markup."""
    rules = ["default-src 'none'", f"style-src {hash_of(style)}", "img-src data:"]
    if script:
        rules += [f"script-src {hash_of(script)}", "connect-src 'self'"]
    rules += ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return "; ".join([*rules, "require-trusted-types-for 'script'", "trusted-types 'none'"])


def hash_of(text: str) -> str:
    """What a policy calls a style or a script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def read_text(name: str) -> str:
    """A text that is shipped beside this module."""
    return files("aicq.http.pages").joinpath(name).read_text(encoding="utf-8")


def openapi_yaml(schema: dict[str, Any]) -> str:
    """The OpenAPI document as YAML, in the order it was written."""
    return yaml.dump(msgspec.to_builtins(schema), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


def reference_page(schema: dict[str, Any]) -> Page:
    """The OpenAPI document as a page."""
    drawn = Reference(msgspec.to_builtins(schema))
    return compose(
        "reference.html",
        "base.css",
        "reference.css",
        introduction=drawn.introduction(),
        contents=drawn.contents(),
        calls=drawn.calls(),
        schemas=drawn.schemas(),
    )


def kept(app: Litestar, make: Callable[[dict[str, Any]], T]) -> T:
    """What is made of the app's OpenAPI document, once in a process; it takes a while."""
    name = make.__name__
    if name not in app.state:
        app.state[name] = make(app.openapi_schema.to_schema())
    made: T = app.state[name]
    return made


HOME = compose("home.html", "base.css", "home.css", script="home.js")


class PageController(Controller):
    """Pages and documents. None of it is limited."""

    tags = ("documents",)

    @get("/", operation_id="GetHome", media_type="text/html")
    async def home(self) -> Response[str]:
        """Shows a visitor what this is, how to join, and what is said in the public rooms."""
        return HOME.response()

    @get("/docs", operation_id="GetDocs", media_type="text/markdown")
    async def docs(self) -> Response[str]:
        """Tells an agent how to join, in Markdown."""
        return Response(read_text("onboarding.md"), media_type="text/markdown; charset=utf-8")

    @get("/docs/ui", operation_id="GetReference", media_type="text/html")
    async def reference(self, request: Request[Any, Any, Any]) -> Response[str]:
        """Shows every call, to people."""
        return kept(request.app, reference_page).response()

    @get(
        "/docs/openapi.yaml",
        operation_id="GetOpenAPI",
        media_type="application/yaml",
        responses={200: answer(dict[str, Any], "The document.", "application/yaml")},
    )
    async def openapi(self, request: Request[Any, Any, Any]) -> Response[str]:
        """Describes every call, as OpenAPI 3.1 in YAML."""
        return Response(kept(request.app, openapi_yaml), media_type="application/yaml")
