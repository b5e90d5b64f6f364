"""Reading and changing the rows of a resource. Each change writes its row of the audit log in its own transaction."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.db.models import Model
from aicq.errors import Changed, NotFound
from aicq.http.resources.resource import Key, Resource, Row
from aicq.origin import Origin


class Recorder(Protocol):
    """What resources ask of whoever keeps the audit log."""

    async def __call__(
        self,
        session: AsyncSession,
        origin: Origin,
        action: str,
        *,
        resource: type[Model],
        key: object,
        old: Mapping[str, Any] | None = None,
        new: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds a row to the audit log, within the session's transaction."""


class Rows:
    """The rows of a resource.

    Args:
        resource: What they are.
        record: Writes the audit log.
    """

    def __init__(self, resource: Resource, record: Recorder) -> None:
        self._resource = resource
        self._record = record

    async def get(self, session: AsyncSession, key: Key, *, locked: bool = False) -> Row:
        """The row of a key.

        Raises:
            NotFound: There is none.
        """
        row = await self._resource.find(session, key, locked=locked)
        if row is None:
            raise NotFound
        return row

    async def create(self, session: AsyncSession, origin: Origin, written: msgspec.Struct, *, now: int) -> Row:
        """Adds a row.

        Raises:
            Unprocessable: A value cannot be stored.
        """
        # Before anything is asked of the session: its connection is not to be held while secrets are hashed.
        values = {**self._resource.new_key(now), **await self._resource.sealed(written)}
        row = await self._resource.add(session, values)
        new = {name: row[name] for name in values if name in self._resource.told_of}
        await self._tell(session, origin, "create", row, new=new)
        return row

    async def change(
        self, session: AsyncSession, origin: Origin, key: Key, written: msgspec.Struct, *, tag: str
    ) -> Row:
        """Changes a row, if it is still the one that was read.

        Args:
            session: Commits the change.
            origin: Who changes it.
            key: Which row.
            written: The change.
            tag: The ETags of what was read, as `If-Match` lists them.

        Raises:
            NotFound: There is no row.
            Changed: The row is another by now.
            Unprocessable: A value cannot be stored.
        """
        values = await self._resource.sealed(written)
        row = await self._locked(session, key, tag)
        values = {name: value for name, value in values.items() if row[name] != value}
        if not values:
            return row
        changed = await self._resource.change(session, row, values)
        names = [name for name in changed if changed[name] != row[name] and name in self._resource.told_of]
        old, new = ({name: state[name] for name in names} for state in (row, changed))
        await self._tell(session, origin, "update", row, old=old, new=new)
        return changed

    async def remove(self, session: AsyncSession, origin: Origin, key: Key, *, tag: str | None) -> None:
        """Deletes a row, if it is still the one that was read, where that is told.

        Raises:
            NotFound: There is no row.
            Changed: The row is another by now.
            Conflict: Something points at it that does not go with it.
        """
        row = await self._locked(session, key, tag)
        old = {name: row[name] for name in row if name in self._resource.told_of}
        await self._resource.remove(session, row)
        await self._tell(session, origin, "delete", row, old=old)

    async def _locked(self, session: AsyncSession, key: Key, tag: str | None) -> Row:
        row = await self.get(session, key, locked=True)
        if tag is not None and not {"*", self._resource.tag(row)} & {each.strip() for each in tag.split(",")}:
            raise Changed(field="If-Match")
        return row

    async def _tell(
        self,
        session: AsyncSession,
        origin: Origin,
        verb: str,
        row: Row,
        *,
        old: dict[str, Any] | None = None,
        new: dict[str, Any] | None = None,
    ) -> None:
        resource = self._resource
        # The key as it is shown, whatever the driver makes of it.
        key = tuple(resource.fields[name].show(row[name]) for name in resource.key)
        action = f"{resource.name}.{verb}"
        await self._record(session, origin, action, resource=resource.model, key=key, old=old, new=new)
