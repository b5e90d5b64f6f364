"""The API reference: the OpenAPI document as a page to read, without a script.

It is made as a tree of elements, so whatever a description holds is text. Of the document it knows what ours uses:
parameters, headers, security, bodies and answers, and schemas with references, unions, lists, maps and constraints.
"""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from xml.etree.ElementTree import Element, tostring

Document = Mapping[str, Any]
Part = Element | str

METHODS = ("get", "post", "put", "patch", "delete")

LAST = ("admin", "documents", "system")
"""What most readers do not look for."""

MANY = 20
"""So many calls are not listed until they are asked for."""

REFUSALS = "400"
"""The first status that is one."""

CREATED = "Document created, URL follows"
"""What the framework says of every 201, as of every 200 what the standard library does."""

CONSTRAINTS = {
    "format": "{}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters at most",
    "pattern": "like {}",
    "minimum": "{} or more",
    "exclusiveMinimum": "more than {}",
    "maximum": "{} at most",
    "exclusiveMaximum": "less than {}",
    "minItems": "{} or more",
    "maxItems": "{} at most",
    "default": "otherwise {}",
}
"""How a schema's constraints are told."""

ACCESS = {"readOnly": "read only", "writeOnly": "write only", "deprecated": "deprecated"}


def element(kind: str, *inside: Part, **attributes: str) -> Element:
    """An element with texts and elements inside; `class_` stands for the attribute `class`."""
    made = Element(kind, {name.rstrip("_"): value for name, value in attributes.items()})
    for part in inside:
        if isinstance(part, Element):
            made.append(part)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + part
        else:
            made.text = (made.text or "") + part
    return made


def markup(*parts: Element) -> str:
    """Elements as HTML."""
    return "".join(tostring(part, encoding="unicode", method="html") for part in parts)


def prose(text: str) -> list[Element]:
    """Paragraphs, with what stands between backticks as code."""
    paragraphs = filter(None, (part.strip() for part in re.split(r"\n\s*\n", text)))
    return [element("p", *inline(paragraph)) for paragraph in paragraphs]


def inline(text: str) -> Iterator[Part]:
    """A text, with what stands between backticks as code."""
    for place, part in enumerate(re.split(r"`([^`]+)`", text)):
        yield element("code", part) if place % 2 else part


def table(heads: tuple[str, ...], rows: list[list[Element]]) -> Element:
    """A table that scrolls by itself where it is too wide."""
    head = element("tr", *(element("th", each, scope="col") for each in heads))
    body = element("tbody", *(element("tr", *row) for row in rows))
    return element("div", element("table", element("thead", head), body), class_="wide")


def folded(name: str, title: list[Part], parts: list[Element]) -> Element:
    """A part of the page that shows its title alone until somebody opens it, searches in it or follows a link to it."""
    return element(
        "details", element("summary", element("h3", *title)), element("article", *parts, id=name), class_="part"
    )


class Reference:
    """Draws one document.

    Args:
        document: An OpenAPI document, 3.1.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._components: Document = document.get("components", {})
        groups: dict[str, list[tuple[str, str, Document]]] = {}
        for path, methods in sorted(document["paths"].items()):
            for method in filter(methods.__contains__, METHODS):
                tag = next(iter(methods[method].get("tags", [])), "other")
                groups.setdefault(tag, []).append((method, path, methods[method]))
        self._groups = {tag: groups[tag] for tag in sorted(groups, key=lambda tag: (tag in LAST, tag))}

    def introduction(self) -> str:
        """What the document says of itself, and what calls want to be shown."""
        schemes = self._components.get("securitySchemes", {}).values()
        rows = [
            [element("td", element("code", shown(each))), element("td", *inline(each.get("description", "")))]
            for each in schemes
        ]
        return markup(*prose(self._document["info"].get("description", "")), table(("Header", "What it says"), rows))

    def contents(self) -> str:
        """The list of all calls."""
        return markup(*(self._content(tag, calls) for tag, calls in self._groups.items()))

    def calls(self) -> str:
        """Every call, by its tag."""
        return markup(
            *(
                element(
                    "section", element("h2", tag.capitalize(), id=anchor(tag)), *(self._call(*each) for each in calls)
                )
                for tag, calls in self._groups.items()
            )
        )

    def schemas(self) -> str:
        """Every schema that has a name."""
        return markup(*(self._schema(name, schema) for name, schema in self._components.get("schemas", {}).items()))

    def _content(self, tag: str, calls: list[tuple[str, str, Document]]) -> Element:
        links = (
            element("li", element("a", verb(method), " ", element("code", path), href=f"#{call['operationId']}"))
            for method, path, call in calls
        )
        is_open = {"open": ""} if len(calls) < MANY else {}
        return element("details", element("summary", tag.capitalize()), element("ul", *links), **is_open)

    def _call(self, method: str, path: str, call: Document) -> Element:
        first, *parts = prose(call.get("description", "")) or [element("p")]
        first.tag = "span"
        title: list[Part] = [verb(method), " ", element("code", path), " ", first]
        if call.get("security"):
            wanted = [list(self._shown(each)) for each in call["security"]]
            told = "; or ".join(", ".join(names) if names else "nothing" for names in wanted)
            parts.append(element("p", "Wants to be shown: ", told, ".", class_="wants"))
        if call.get("parameters"):
            parts.append(table(("Parameter", "Type", ""), [self._parameter(each) for each in call["parameters"]]))
        for kind, content in call.get("requestBody", {}).get("content", {}).items():
            parts += self._body(kind, content.get("schema", {}))
        for status, answer in sorted(call["responses"].items()):
            if status < REFUSALS:
                parts += self._success(status, answer)
        refusals = [self._refusal(*each) for each in sorted(call["responses"].items()) if each[0] >= REFUSALS]
        if refusals:
            summary = element("summary", f"{len(refusals)} ways to be refused")
            parts.append(
                element("details", summary, table(("Status", "Meaning", "Content"), refusals), class_="refused")
            )
        return folded(call["operationId"], title, parts)

    def _shown(self, security: Document) -> Iterator[str]:
        for name in security:
            yield shown(self._components["securitySchemes"][name])

    def _parameter(self, parameter: Document) -> list[Element]:
        marks = ["required"] if parameter.get("required") else []
        kind = element("td", *self._type(parameter.get("schema", {}), f"in the {parameter['in']}"))
        return [cell(parameter["name"], marks), kind, element("td", *inline(parameter.get("description", "")))]

    def _body(self, kind: str, schema: Document) -> Iterator[Element]:
        yield element("h4", "Body ", *self._content_of(kind, schema))
        yield from self._fields(self._resolved(schema), is_asked=True)

    def _success(self, status: str, answer: Document) -> Iterator[Element]:
        contents = answer.get("content", {}).items()
        told = [part for kind, each in contents for part in self._content_of(kind, each.get("schema", {}))]
        yield element("h4", "Answer ", element("b", status), " ", *told)
        if answer.get("description") not in {"", HTTPStatus(int(status)).description, CREATED}:
            yield element("p", *inline(answer["description"]))
        for _, each in contents:
            yield from self._fields(self._resolved(each.get("schema", {})))

    def _refusal(self, status: str, answer: Document) -> list[Element]:
        content = [
            part
            for kind, each in answer.get("content", {}).items()
            for part in self._content_of(kind, each.get("schema", {}))
        ]
        phrase = HTTPStatus(int(status)).phrase
        told = element("td", *inline(answer.get("description", "")))
        return [element("td", element("b", status), f" {phrase}"), told, element("td", *content)]

    def _content_of(self, kind: str, schema: Document) -> Iterator[Part]:
        yield element("code", kind)
        yield " "
        yield from self._type(schema)

    def _schema(self, name: str, schema: Document) -> Element:
        told = prose(schema.get("description", ""))
        fields = list(self._fields(schema)) or [element("p", *self._type(schema))]
        return folded(anchor(name, "schema"), [element("code", name)], [*told, *fields])

    def _fields(self, schema: Document, *, is_asked: bool = False) -> Iterator[Element]:
        """The fields of an object; of those that are asked for it says which are required, of others which may lack."""
        needed = schema.get("required", [])
        rows = []
        for name, field in schema.get("properties", {}).items():
            marks = ["required"] if is_asked and name in needed else []
            marks += [] if is_asked or name in needed else ["optional"]
            marks += [word for keyword, word in ACCESS.items() if field.get(keyword)]
            told = element("td", *inline(self._resolved(field).get("description", "")))
            rows.append([cell(name, marks), element("td", *self._type(field)), told])
        if rows:
            yield table(("Field", "Type", ""), rows)

    def _resolved(self, schema: Document) -> Document:
        name = schema.get("$ref", "").removeprefix("#/components/schemas/")
        found: Document = self._components.get("schemas", {}).get(name, {}) if name else schema
        return found

    def _type(self, schema: Document, *more: str) -> Iterator[Part]:
        """What values are like, in words, with links to what has a name, and what more there is to say."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            yield element("a", element("code", name), href=f"#{anchor(name, 'schema')}")
        elif choices := schema.get("oneOf") or schema.get("anyOf") or schema.get("allOf"):
            yield from self._choices(choices)
        elif "const" in schema or "enum" in schema:
            yield from listed(schema.get("enum", [schema.get("const")]))
        elif schema.get("type") == "array":
            yield "list of "
            yield from self._type(schema.get("items", {}))
        elif schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), Mapping):
            yield "map of texts to "
            yield from self._type(schema["additionalProperties"])
        else:
            kinds = schema.get("type", "anything")
            yield kinds if isinstance(kinds, str) else " or ".join(kinds)
        known = {name: schema[name] for name in CONSTRAINTS if schema.get(name) not in (None, "")}
        if more or known:
            told = [CONSTRAINTS[name].format(plain(value)) for name, value in known.items()]
            yield element("small", ", ".join([*more, *told]))

    def _choices(self, choices: list[Document]) -> Iterator[Part]:
        for place, choice in enumerate(choices):
            if place:
                yield " or "
            yield from self._type({name: value for name, value in choice.items() if name != "default"})


def shown(scheme: Document) -> str:
    """The header by which a security scheme is met."""
    if scheme["type"] == "apiKey":
        return str(scheme["name"])
    return f"Authorization: {scheme.get('scheme', '').capitalize()}"


def verb(method: str) -> Element:
    """A method, as it is drawn everywhere."""
    return element("b", method.upper(), class_=f"verb {method}")


def cell(name: str, marks: list[str]) -> Element:
    """The cell of a name, with what there is to say of it."""
    made = element("td", element("code", name))
    if marks:
        made.append(element("small", ", ".join(marks)))
    return made


def listed(values: list[Any]) -> Iterator[Part]:
    """Values of which one is meant."""
    for place, value in enumerate(values):
        if place:
            yield " or "
        yield element("code", plain(value))


def plain(value: object) -> str:
    """A value as people write it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def anchor(name: str, kind: str = "calls") -> str:
    """Where something is found in the page."""
    return f"{kind}-{re.sub(r'[^A-Za-z0-9]+', '-', name)}"
