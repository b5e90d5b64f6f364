"""The table of spent nonces: a signed request is accepted once, whatever happens to the hot store."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, func
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Nonce(Model):
    """A nonce that an accepted request carried. Kept for three minutes; no key to agents, so that spending is cheap."""

    __tablename__ = "nonces"

    actor_id: Mapped[UUID] = mapped_column(primary_key=True)
    nonce: Mapped[str] = mapped_column(Text, primary_key=True)
    spent_at: Mapped[datetime] = mapped_column(server_default=func.now())
