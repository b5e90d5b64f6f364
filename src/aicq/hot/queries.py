"""Reads the named queries of the Postgres hot store."""

import re
from collections.abc import Mapping
from importlib import resources

_HEADING = re.compile(r"^-- (\w+) --$", re.MULTILINE)


def load() -> Mapping[str, str]:
    """The queries of `queries.sql` by the names in their headings."""
    _, *parts = _HEADING.split(resources.files("aicq.hot").joinpath("queries.sql").read_text())
    return {name: query.strip() for name, query in zip(parts[::2], parts[1::2], strict=True)}
