"""The base of every repository."""

from typing import Any, Generic, TypeVar

from advanced_alchemy.repository import SQLAlchemyAsyncRepository
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
