"""What Postgres refuses, as errors that name the field: the models' metadata knows a constraint's columns."""

import re
from functools import cache

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Table
from sqlalchemy.exc import DBAPIError

from aicq.db.models import Model
from aicq.errors import AICQError, Conflict, Unavailable, Unprocessable

DATA_ERROR = "22"
NOT_NULL = "23502"
FOREIGN_KEY = "23503"
UNIQUE = "23505"
CHECK = "23514"
RESTRICT = "23001"
TOO_LONG = "54000"
IN_EACH_OTHERS_WAY = frozenset({"40001", "40P01", "55P03"})

WORD = re.compile(r"\w+")


def violation(error: DBAPIError) -> AICQError | None:
    """What to tell a caller whose values, or whose moment, Postgres has refused; None if something else went wrong."""
    refused = error.driver_exception
    state = str(getattr(refused, "sqlstate", None) or "")
    constraint = str(getattr(refused, "constraint_name", None) or "")
    table = str(getattr(refused, "table_name", None) or "")
    field = _field(constraint)
    is_delete = (error.statement or "").lstrip().upper().startswith("DELETE")
    told: AICQError | None = None
    if state == NOT_NULL:
        column = str(getattr(refused, "column_name", None) or "")
        told = Unprocessable(f"{column} is required", field=column)
    elif state == UNIQUE:
        told = Conflict(f"{field or 'it'} is taken already", field=field)
    elif state == RESTRICT or (state == FOREIGN_KEY and is_delete):
        told = Conflict(f"{table} still point at it")
    elif state == FOREIGN_KEY:
        told = Unprocessable(f"{field or 'a value'} points at nothing", field=field)
    elif state == CHECK:
        told = Unprocessable(_rule(constraint, table, field), field=field)
    elif state in IN_EACH_OTHERS_WAY:
        told = Unavailable()
    elif state == TOO_LONG:
        told = Unprocessable("a value is too long")
    elif state.startswith(DATA_ERROR):
        told = Unprocessable("a value cannot be stored")
    return told


def _rule(constraint: str, table: str, field: str | None) -> str:
    """A check in words: its own name, or that the field it is named for is not allowed."""
    rule = constraint.removeprefix(f"ck_{table}_")
    return f"{field} is not allowed" if not rule or rule == field else rule.replace("_", " ")


def _field(constraint: str) -> str | None:
    """The column to blame: of several the last, since keys begin with what a thing belongs to; of a check the first."""
    return _fields().get(constraint)


@cache
def _fields() -> dict[str, str]:
    found: dict[str, str] = {}
    for table in Model.metadata.tables.values():
        for constraint in table.constraints:
            if constraint.name is None:
                continue
            if isinstance(constraint, CheckConstraint):
                named = _named(table, str(constraint.sqltext))[:1]
            elif isinstance(constraint, ForeignKeyConstraint):
                named = list(constraint.column_keys)[-1:]
            else:
                named = [column.name for column in getattr(constraint, "columns", ())][-1:]
            found.update({str(constraint.name): name for name in named})
        for index in table.indexes:
            named = _named(table, " ".join(str(expression) for expression in index.expressions))
            found.update({str(index.name): name for name in named[-1:]})
    return found


def _named(table: Table, text: str) -> list[str]:
    """The table's columns that occur in a piece of SQL, in their order."""
    return [word for word in WORD.findall(text.replace(f"{table.name}.", "")) if word in table.columns]
