"""A table as admins see it: what is shown, what may be written, and the statements that do it."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, cast
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta
from sqlalchemy import (
    ColumnElement,
    Table,
    Text,
    Uuid,
    and_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.db.models import Model
from aicq.errors import InvalidId, InvalidRequest, Unprocessable
from aicq.http.paging import read_cursor, write_cursor
from aicq.http.resources.fields import Field, change_struct, fields_of, new_struct, page_struct, row_struct, stored
from aicq.ids import new_row_id
from aicq.logs import is_secret

Row = Mapping[str, Any]
"""A row by its columns' names, as the driver gives it."""

Key = tuple[Any, ...]

HASH = re.compile(r"(password|token|key|code)_?hash")


class Secret(msgspec.Struct, frozen=True):
    """Something that can be set and is never shown, not even as it is kept.

    Args:
        column: Where it is kept.
        seal: Hashes or encrypts it; raises Unprocessable for what cannot be one.
        min_length: The fewest characters.
        max_length: The most characters.
        told: What it is, for the documentation.
    """

    column: str
    seal: Callable[[str], Awaitable[str]]
    min_length: int
    max_length: int
    told: str


class Wanted(msgspec.Struct, frozen=True):
    """Which rows of a list are wanted.

    Args:
        limit: The most rows.
        filters: Values that columns must have.
        prefix: What the text that is searched must begin with.
        since: The earliest time of the resource's period.
        until: Its end, exclusive.
        after: The key of the row that the page before has ended with.
    """

    limit: int
    filters: Mapping[str, Any]
    prefix: str = ""
    since: datetime | None = None
    until: datetime | None = None
    after: Key | None = None


class Resource:
    """A table under `/admin`. A subclass overrides what is more than the writing of a row.

    Args:
        model: The table's model; its docstring tells what a row is.
        create: The columns that a new row may give; none: there is no such call.
        update: The columns that a change may give; none: there is no such call.
        delete: Whether rows may be deleted.
        hidden: Columns that are not shown.
        secrets: What can be set and is never shown, by the name it is written under.
        filters: The columns that a list can be asked for by their value.
        search: The columns of text of which `q` may be the beginning, whatever its case.
        period: The column of a time that `since` and `until` are about.
    """

    def __init__(
        self,
        model: type[Model],
        *,
        create: Sequence[str] = (),
        update: Sequence[str] = (),
        delete: bool = False,
        hidden: Sequence[str] = (),
        secrets: Mapping[str, Secret] | None = None,
        filters: Sequence[str] = (),
        search: Sequence[str] = (),
        period: str | None = None,
    ) -> None:
        self.model = model
        self.table = cast("Table", model.__table__)
        self.name = self.table.name
        self.plural = self.name.replace("_", " ")
        self.title = model.__name__
        singular = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.title).lower()
        self.one = f"{'an' if singular[0] in 'aeio' else 'a'} {singular}"
        self.plural_title = self.plural.title().replace(" ", "")
        self.told = (model.__doc__ or "").splitlines()[0]
        self.secrets = dict(secrets or {})
        self.can_delete = delete
        self.search = tuple(search)
        self.period = period
        self.fields = fields_of(model)
        self.key = [str(column.name) for column in self.table.primary_key.columns]
        self.filters = tuple(filters)
        kept_away = {*hidden, *(secret.column for secret in self.secrets.values())}
        self.shown = [field for name, field in self.fields.items() if name not in kept_away]
        _refuse_secrets(self.name, [field.name for field in self.shown])
        _refuse_secrets(self.name, [*create, *update, *filters, *search])
        self.changeable = [*update, *(secret.column for secret in self.secrets.values())]
        self.told_of = {*create, *self.changeable, *model.__audited__} - {*self.key}
        read = {*self.key, *(field.name for field in self.shown), *self.changeable}
        self._columns = [column for column in self.table.columns if column.name in read]
        sealed = [self._secret_field(name, secret) for name, secret in self.secrets.items()]
        self.row_type = row_struct(f"Admin{self.title}", self.shown)
        self.page_type = page_struct(f"Admin{self.title}Page", self.row_type)
        self.new_type = new_struct(f"Admin{self.title}New", [*self._writable(create), *sealed]) if create else None
        self.change_type = (
            change_struct(f"Admin{self.title}Change", [*self._writable(update), *sealed]) if update or sealed else None
        )

    def clean(self, values: dict[str, Any]) -> dict[str, Any]:
        """What is to be stored of what was written, before a transaction begins: one spelling of each thing.

        Raises:
            Unprocessable: It cannot be stored.
        """
        return values

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Adds a row and returns it."""
        return await self._write(session, insert(self.table).values(values).returning(*self._columns))

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes a row, which is locked, and returns what it is now."""
        if "updated_at" in self.table.columns:
            values = {"updated_at": func.now(), **values}
        statement = update(self.table).where(self._is(self.key_of(row))).values(values)
        return await self._write(session, statement.returning(*self._columns))

    async def remove(self, session: AsyncSession, row: Row) -> None:
        """Deletes a row, which is locked."""
        await session.execute(delete(self.table).where(self._is(self.key_of(row))))

    async def page(self, session: AsyncSession, wanted: Wanted) -> Sequence[Row]:
        """The rows that follow a key, the newest first, in one statement."""
        columns = self.table.columns
        statement = select(*self._columns).order_by(*(column.desc() for column in self._key_columns()))
        for name, value in wanted.filters.items():
            statement = statement.where(columns[name] == value)
        if wanted.prefix:
            begins = [columns[name].istartswith(wanted.prefix, autoescape=True) for name in self.search]
            statement = statement.where(or_(*begins))
        if self.period is not None and wanted.since is not None:
            statement = statement.where(columns[self.period] >= wanted.since)
        if self.period is not None and wanted.until is not None:
            statement = statement.where(columns[self.period] < wanted.until)
        if wanted.after is not None:
            statement = statement.where(self._precedes(wanted.after))
        found = await session.execute(statement.limit(wanted.limit))
        return cast("Sequence[Row]", found.mappings().all())

    async def find(self, session: AsyncSession, key: Key, *, locked: bool = False) -> Row | None:
        """The row of a key; locked against changes by others if it is about to change."""
        statement = select(*self._columns).where(self._is(key))
        if locked:
            # As weak as an UPDATE's own lock: rows that point here can be added meanwhile.
            statement = statement.with_for_update(key_share=True)
        return cast("Row | None", (await session.execute(statement)).mappings().one_or_none())

    def new_key(self, now: int) -> dict[str, Any]:
        """The id of a new row, where the caller does not give the key."""
        (*_, last) = self._key_columns()
        is_ours = self.key == [last.name] and isinstance(last.type, Uuid)
        return {last.name: new_row_id(now)} if is_ours else {}

    def read_key(self, parts: Mapping[str, str]) -> Key:
        """The key that a path tells.

        Raises:
            InvalidId: A part is not of its column's type.
        """
        # What may hold a slash comes with one before it.
        return tuple(self.fields[name].parse(parts[name].removeprefix("/"), InvalidId) for name in self.key)

    def write_cursor(self, row: Row) -> str:
        """The cursor of a page that ends with this row."""
        return write_cursor([self.fields[name].show(row[name]) for name in self.key])

    def read_cursor(self, cursor: str) -> Key:
        """The key of the row that the page before has ended with.

        Raises:
            InvalidRequest: No list of these rows has given the cursor.
        """
        fields = [self.fields[name] for name in self.key]
        parts = read_cursor(cursor, [field.written for field in fields])
        return tuple(
            stored("cursor", part, field.read, InvalidRequest) for field, part in zip(fields, parts, strict=True)
        )

    def is_text(self, name: str) -> bool:
        """Whether a column holds any text, or what is written with a slash."""
        return isinstance(self.table.columns[name].type, Text | INET)

    def key_of(self, row: Row) -> Key:
        """A row's key."""
        return tuple(row[name] for name in self.key)

    def show(self, row: Row) -> msgspec.Struct:
        """What is shown of a row."""
        values = ((field, row[field.name]) for field in self.shown)
        return self.row_type(**{field.name: None if value is None else field.show(value) for field, value in values})

    def path(self, row: Row) -> str:
        """Where a row is found."""
        key = "/".join(quote(str(self.fields[name].show(row[name])), safe="/:") for name in self.key)
        return f"/admin/{self.name}/{key}"

    def tag(self, row: Row) -> str:
        """The ETag of a row: a digest of its key and of all that a change can change.

        What moves by itself, such as a room's last position, is left out: it would refuse changes it has no part in.
        """
        columns = [*self.key, *self.changeable, *(name for name in ("deleted_at",) if name in row)]
        text = msgspec.json.encode([row[name] for name in columns], enc_hook=str)
        return f'"{hashlib.sha256(text).hexdigest()[:32]}"'

    async def sealed(self, written: msgspec.Struct) -> dict[str, Any]:
        """The columns' values of what was written: checked, cleaned, secrets sealed."""
        values: dict[str, Any] = {}
        for name in written.__struct_fields__:
            value = getattr(written, name)
            if value is UNSET:
                continue
            secret = self.secrets.get(name)
            if secret is None:
                values[name] = stored(name, value, self.fields[name].read, Unprocessable)
            else:
                values[secret.column] = None if value is None else await secret.seal(value)
        return self.clean(values)

    def _writable(self, names: Sequence[str]) -> list[Field]:
        return [self.fields[name] for name in names]

    def _secret_field(self, name: str, secret: Secret) -> Field:
        text = Annotated[str, Meta(min_length=secret.min_length, max_length=secret.max_length, description=secret.told)]
        return msgspec.structs.replace(self.fields[secret.column], name=name, written=text)

    def _key_columns(self) -> list[Any]:
        return [self.table.columns[name] for name in self.key]

    def _is(self, key: Key) -> ColumnElement[bool]:
        return and_(*(column == part for column, part in zip(self._key_columns(), key, strict=True)))

    def _precedes(self, key: Key) -> ColumnElement[bool]:
        columns = self._key_columns()
        return tuple_(*columns) < tuple_(
            *(literal(part, column.type) for column, part in zip(columns, key, strict=True))
        )

    async def _write(self, session: AsyncSession, statement: Any) -> Row:
        return cast("Row", (await session.execute(statement)).mappings().one())


def _refuse_secrets(table: str, names: Sequence[str]) -> None:
    for name in names:
        if is_secret(name) or HASH.search(name):
            raise ValueError(f"{table}.{name} looks like a secret and is neither hidden nor declared as one")
