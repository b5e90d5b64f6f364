"""The table of blocked addresses."""

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

from msgspec import Meta
from sqlalchemy import Text, func
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model


class Block(Model):
    """An address that is refused, until a time or for good."""

    __tablename__ = "blocks"
    __audited__ = ("reason", "expires_at")

    address: Mapped[IPv4Address | IPv6Address] = mapped_column(INET, primary_key=True)
    reason: Mapped[Annotated[str, Meta(max_length=500)]] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
