"""The base of every repository."""

from typing import Any, Generic, TypeVar, cast

from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy import Update, insert
from sqlalchemy.ext.asyncio import AsyncSession

from aicq.db.models import Model

Row = TypeVar("Row", bound=Model)


class Repository(SQLAlchemyAsyncRepository[Any], Generic[Row]):
    """advanced-alchemy's repository with the session first and the driver's errors left as they are.

    The library would turn every driver error, a lost connection included, into "the row exists already".
    """

    session: AsyncSession

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(session=session, wrap_exceptions=False, auto_refresh=False, auto_expunge=False)

    async def added(self, **values: Any) -> Row:
        """Adds a row and returns it as Postgres made it."""
        row = await self.session.scalar(insert(self.model_type).values(values).returning(self.model_type))
        return cast("Row", row)

    async def changed(self, statement: Update) -> Row | None:
        """Runs an update of one row and returns the row as it is then; None if there was none to change."""
        fresh = {"populate_existing": True, "synchronize_session": False}
        row = await self.session.scalar(statement.returning(self.model_type), execution_options=fresh)
        return cast("Row | None", row)
