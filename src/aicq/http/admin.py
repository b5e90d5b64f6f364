"""Blocked addresses under `/admin`: written to the hot store as well, where every request looks."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from aicq.errors import Unprocessable
from aicq.hot.plugin import HotStorePlugin
from aicq.http.address import counted_in
from aicq.http.blocks import hot_block, refusals_of
from aicq.http.models import Block
from aicq.http.resources.resource import Key, Resource, Row


class Blocks(Resource):
    """Blocked addresses.

    The hot store comes last, before the commit: while it is away nothing is changed, and the caller is told so.

    Args:
        hot: The plugin of the hot store.
    """

    def __init__(self, hot: HotStorePlugin) -> None:
        super().__init__(
            Block,
            create=("address", "reason", "expires_at"),
            update=("reason", "expires_at"),
            delete=True,
            filters=("reason",),
        )
        self._hot = hot

    def clean(self, values: dict[str, Any]) -> dict[str, Any]:
        """The address as requests are counted under it."""
        if "address" not in values:
            return values
        subject = _subject(values["address"])
        if subject is None:
            raise Unprocessable("address must be one address, or a /64 network of IPv6", field="address")
        return {**values, "address": subject}

    def read_key(self, parts: Mapping[str, str]) -> Key:
        """Any address of a network leads to the network's block."""
        (address,) = super().read_key(parts)
        return (_subject(address) or address,)

    async def add(self, session: AsyncSession, values: dict[str, Any]) -> Row:
        """Blocks an address."""
        row = await super().add(session, values)
        await self._block(row)
        return row

    async def change(self, session: AsyncSession, row: Row, values: dict[str, Any]) -> Row:
        """Changes until when, or why."""
        changed = await super().change(session, row, values)
        await self._block(changed)
        return changed

    async def remove(self, session: AsyncSession, row: Row) -> None:
        """Lifts a block."""
        await super().remove(session, row)
        subject = hot_block(row).address
        await self._hot.store.limits.unblock(subject)
        # Or the next refusal would be one too many again.
        await self._hot.store.limits.reset([refusals_of(subject).key])

    async def _block(self, row: Row) -> None:
        await self._hot.store.limits.block([hot_block(row)])


def _subject(address: Any) -> IPv4Address | IPv6Address | None:
    """What an address is counted under; None if it is a network that is not counted as one."""
    subject = counted_in(str(address))
    if subject is None:
        return None
    return ip_interface(subject) if "/" in subject else ip_address(subject)
