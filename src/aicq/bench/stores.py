"""The product's own hot stores, for what is measured of them alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from aicq.db.engine import connect_pool
from aicq.errors import StartError
from aicq.hot.base import HotStore
from aicq.hot.postgres import PostgresHotStore
from aicq.hot.redis import RedisHotStore


class Store(msgspec.Struct, frozen=True):
    """A hot store that the product keeps.

    Args:
        kind: Which one.
        url: Where it is.
    """

    kind: str
    url: str


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[HotStore]:
    """The product's hot store, in the epoch that it is in.

    Raises:
        StartError: It is in none.
    """
    pool = None
    if store.kind == "postgres":
        pool = await connect_pool(store.url, name="aicq bench", size=8)
    hot: HotStore = RedisHotStore(store.url) if pool is None else PostgresHotStore(pool, store.url)
    await hot.open()
    try:
        epoch = (await hot.probe()).epoch
        if epoch is None:
            raise StartError("The hot store bears no epoch's mark.")
        hot.epoch = epoch
        yield hot
    finally:
        await hot.close()
        if pool is not None:
            await pool.close()


async def version_of(store: Store) -> str:
    """The server's name and version."""
    async with opened(store) as hot:
        return (await hot.probe()).version
