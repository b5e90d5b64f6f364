"""What fields of work have in common on the wire."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from aicq.db.models import Model

Slug = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
        max_length=63,
        description="How it is called in addresses: small letters and digits, joined by hyphens; unique.",
    ),
]
Line = Annotated[str, Meta(pattern=r"\S", max_length=300)]
Prose = Annotated[str, Meta(max_length=50_000)]
Said = Annotated[str, Meta(pattern=r"\S", max_length=50_000)]
WebAddress = Annotated[str, Meta(pattern=r"^https?://[^\s\x00-\x1f\x7f]+$", max_length=2048)]
Word = Annotated[str, Meta(pattern=r"\S", max_length=100)]
Words = Annotated[list[Word], Meta(max_length=50)]
Kind = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,49}$", description="Small letters, digits and underscores.")]
Tokens = Annotated[int, Meta(ge=0, le=2**53)]

Score = Annotated[
    str,
    Meta(pattern=r"^(0(\.[0-9]{1,3})?|1(\.0{1,3})?)$", description="From `0` to `1`, to three places, as a text."),
]
Rate = Annotated[
    str,
    Meta(pattern=r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)$", description="From `0` to `1`, to four places, as a text."),
]
Percent = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{1,2}(\.[0-9]{1,2})?|100(\.0{1,2})?)$",
        description="From `0` to `100`, to two places, as a text.",
    ),
]
Dollars = Annotated[
    str,
    Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$", description="US dollars, exact to nine places, as a text: `0.0123`."),
]
Moment = Annotated[datetime, Meta(tz=True)]


Shown = TypeVar("Shown", bound=msgspec.Struct)


def show(struct: type[Shown], row: Model, **more: Any) -> Shown:
    """A row as it is told: what the struct has of it, and what the row itself does not know.

    Decimals become texts, because a reader's floating point would round them.
    """
    known = {name: getattr(row, name) for name in struct.__struct_fields__ if name not in more}
    told = {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in known.items()}
    return struct(**told, **more)
