"""What a column is on the wire: its type and its bounds, read from the model, its column and its checks."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Enum,
    Float,
    Integer,
    Numeric,
    SmallInteger,
    String,
    inspect,
)
from sqlalchemy.dialects.postgresql import INET

from aicq.db.models import Model
from aicq.errors import AICQError, InvalidRequest, Unprocessable

MAX_TEXT = 10_000
"""Characters of a text whose column says nothing of its length."""

MAX_ADDRESS = 49

DECIMAL = r"^-?[0-9]+(\.[0-9]+)?$"
MAX_DECIMAL = 50

BITS: Sequence[tuple[type[Integer], int]] = ((SmallInteger, 16), (BigInteger, 64), (Integer, 32))

BETWEEN = re.compile(r"(\w+|\w+\(\w+\)) BETWEEN (\S+) AND (\S+)")
LENGTH = re.compile(r"(?:char_)?length\((\w+)\) (<=|>=) (\d+)")
BOUND = re.compile(r"(\w+) (<=|>=|<|>) (-?[\d.]+)")
CHOICE = re.compile(r"(\w+) IN \(('[^()]*')\)")
PATTERN = re.compile(r"(\w+) ~ '(.*)'", re.DOTALL)

BOUNDS = {"<=": "le", ">=": "ge", "<": "lt", ">": "gt"}
LENGTHS = {"<=": "max_length", ">=": "min_length"}


Bounds = dict[str, Any]
"""What `msgspec.Meta` takes; or `choices`, the values there are."""

Convert = Callable[[Any], Any]


class Field(msgspec.Struct, frozen=True):
    """A column as it is shown and written.

    Args:
        name: The column's.
        shown: The type that it is shown as.
        written: The same with the bounds of what may be written.
        nullable: Whether there may be none.
        required: Whether a row cannot be without it and the database has no default for it.
        show: From what the driver gives to what is shown.
        read: From what was written to what the driver takes; raises ValueError for what the type cannot tell.
    """

    name: str
    shown: Any
    written: Any
    nullable: bool
    required: bool
    show: Convert
    read: Convert

    def parse(self, text: str, otherwise: type[AICQError]) -> Any:
        """What the driver takes of a value that stands in a path or a query.

        Raises:
            AICQError: `otherwise`; the text is none of this type.
        """
        try:
            value = msgspec.convert(text, self.written, strict=False)
        except msgspec.ValidationError:
            raise otherwise(f"invalid {self.name}", field=self.name) from None
        return stored(self.name, value, self.read, otherwise)


def stored(name: str, value: Any, read: Convert, otherwise: type[AICQError]) -> Any:
    """What the driver takes of a value.

    Raises:
        AICQError: `otherwise`; it cannot be stored.
    """
    if value is None:
        return None
    if not is_storable(value):
        raise otherwise(f"{name} must not contain U+0000", field=name)
    try:
        return read(value)
    except ValueError:
        raise otherwise(f"{name} is not well formed", field=name) from None


def is_storable(value: Any) -> bool:
    """Whether Postgres can keep a text, or each text within."""
    if isinstance(value, str):
        return "\x00" not in value
    if isinstance(value, dict):
        return all(is_storable(part) for pair in value.items() for part in pair)
    return not isinstance(value, list) or all(map(is_storable, value))


def given(change: msgspec.Struct) -> dict[str, Any]:
    """What a change gives, by field; what it leaves out stays out.

    Raises:
        Unprocessable: Postgres cannot keep a value.
    """
    values = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    return {name: stored(name, value, _read_given, Unprocessable) for name, value in values.items()}


def read_moment(name: str, text: str) -> datetime:
    """A moment, as a query tells it.

    Raises:
        InvalidRequest: It is none, or has no time zone.
    """
    try:
        return _read_time(msgspec.convert(text, Annotated[datetime, Meta(tz=True)]))
    except (msgspec.ValidationError, ValueError):
        raise InvalidRequest(f"invalid {name}", field=name) from None


def fields_of(model: type[Model]) -> dict[str, Field]:
    """The fields of a model, by their columns' names."""
    hints = get_type_hints(model, include_extras=True)
    bounds = _bounds(model)
    found = {}
    for attribute in inspect(model).column_attrs:
        (column,) = attribute.columns
        if not isinstance(column, Column):
            continue  # a view of what lies beside the row
        hint = _without_none(get_args(hints[attribute.key])[0])
        name = str(column.name)  # SQLAlchemy's names may be more than texts
        found[name] = _field(name, column, hint, bounds.get(name, {}))
    return found


def row_struct(name: str, fields: list[Field]) -> type[msgspec.Struct]:
    """The struct that a row is shown as."""
    return msgspec.defstruct(
        name,
        [(field.name, field.shown | None if field.nullable else field.shown) for field in fields],
        module=__name__,
    )


def page_struct(name: str, row: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The struct of a page of a list."""
    cursor = Annotated[str | None, Meta(description="The `cursor` of the next page; null if this is the last.")]
    return msgspec.defstruct(name, [("items", list[row]), ("next", cursor)], module=__name__)  # type: ignore[valid-type] # made at run time


def new_struct(name: str, fields: list[Field]) -> type[msgspec.Struct]:
    """The struct that a new row is read from; what the database has a default for may be left out."""
    required = [(field.name, field.written) for field in fields if field.required]
    optional = [(field.name, _optional(field), UNSET) for field in fields if not field.required]
    return msgspec.defstruct(name, [*required, *optional], forbid_unknown_fields=True, kw_only=True, module=__name__)


def change_struct(name: str, fields: list[Field]) -> type[msgspec.Struct]:
    """The struct that a change is read from; what is left out stays as it is."""
    optional = [(field.name, _optional(field), UNSET) for field in fields]
    return msgspec.defstruct(name, optional, forbid_unknown_fields=True, kw_only=True, module=__name__)


def _optional(field: Field) -> Any:
    return field.written | None | UnsetType if field.nullable else field.written | UnsetType


def _field(name: str, column: Column[Any], hint: Any, bounds: Bounds) -> Field:
    show: Convert = _same
    read: Convert = _same
    match column.type:
        case Enum(enum_class=None):
            bounds = {"choices": column.type.enums}
        case INET():
            hint, bounds = str, {"max_length": MAX_ADDRESS}
            show, read = str, _read_address
        case Integer():
            bounds = _within(bounds, bits=next(bits for kind, bits in BITS if isinstance(column.type, kind)))
        case String():
            bounds = {"max_length": MAX_TEXT, **bounds}
        case Numeric() if not isinstance(column.type, Float):
            hint, bounds = str, {"pattern": DECIMAL, "max_length": MAX_DECIMAL}
            show, read = "{:f}".format, Decimal
        case DateTime():
            bounds = {"tz": True}
            read = _read_time
    return Field(
        name=name,
        shown=_bounded(hint, {kind: bound for kind, bound in bounds.items() if kind == "choices"}, column.doc),
        written=_bounded(hint, bounds, column.doc),
        nullable=bool(column.nullable),
        required=not column.nullable and column.server_default is None and column.default is None,
        show=show,
        read=read,
    )


def _bounded(hint: Any, bounds: Bounds, told: str | None) -> Any:
    """The type with its bounds; one that the model itself annotates stays as it is."""
    if get_origin(hint) is Annotated:
        return hint
    if "choices" in bounds:
        return Literal[tuple(bounds["choices"])]
    return Annotated[hint, Meta(**bounds, description=told)]


def _same(value: Any) -> Any:
    return value


def _read_given(value: Any) -> Any:
    return _read_time(value) if isinstance(value, datetime) else value


def _read_time(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError from None


def _read_address(text: str) -> IPv4Address | IPv6Address:
    """Reads an address, or a network in the sense of Postgres' `inet`: an address with a length."""
    address = ip_interface(text) if "/" in text else ip_address(text)
    if getattr(address, "scope_id", None):
        raise ValueError
    return address


def _within(bounds: Bounds, *, bits: int) -> Bounds:
    """The checks' bounds, and those of the column's bits where there is none."""
    most = 2 ** (bits - 1)
    low = {} if bounds.keys() & {"ge", "gt"} else {"ge": -most}
    high = {} if bounds.keys() & {"le", "lt"} else {"le": most - 1}
    return {**low, **high, **bounds}


def _without_none(hint: Any) -> Any:
    """The type of what is there if there is something."""
    if type(None) not in get_args(hint) or get_origin(hint) is Annotated:
        return hint
    found: Any = None
    for part in get_args(hint):
        if part is not type(None):
            found = part if found is None else found | part
    return found


def _bounds(model: type[Model]) -> dict[str, Bounds]:
    """What the table's checks say of single columns, where they say it simply; the rest Postgres tells by itself."""
    found: dict[str, Bounds] = {}
    for constraint in model.__table__.constraints:  # type: ignore[attr-defined] # a model has a table
        if isinstance(constraint, CheckConstraint):
            for column, bound in _read_check(str(constraint.sqltext)):
                found.setdefault(column, {}).update(bound)
    return found


def _read_check(text: str) -> Iterator[tuple[str, Bounds]]:
    if " OR " in text:
        return
    for part in BETWEEN.sub(r"\1 >= \2 AND \1 <= \3", text).split(" AND "):
        if match := LENGTH.fullmatch(part):
            yield match[1], {LENGTHS[match[2]]: int(match[3])}
        elif match := BOUND.fullmatch(part):
            yield match[1], {BOUNDS[match[2]]: float(match[3]) if "." in match[3] else int(match[3])}
        elif match := CHOICE.fullmatch(part):
            yield match[1], {"choices": re.findall(r"'([^']*)'", match[2])}
        elif (match := PATTERN.fullmatch(part)) and "[:" not in match[2]:
            yield match[1], {"pattern": match[2]}
