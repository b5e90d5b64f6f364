"""Under eight writers on two workers, connections to Postgres are cut at commits, and ended while they are idle."""

import asyncio

import pytest

from tests.faults.house import House
from tests.faults.proxy import Cut, CuttingProxy
from tests.faults.writers import Crowd

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("cut", Cut)
async def test_the_connection_is_cut_at_commits(house_behind_a_proxy: House, proxy: CuttingProxy, cut: Cut) -> None:
    async def cut_often(crowd: Crowd) -> None:
        before = proxy.cuts[cut]
        for _ in range(20):
            proxy.arm(cut)
            while proxy.is_armed:  # noqa: ASYNC110 - a proxy in another thread sets no event
                await asyncio.sleep(0.01)
            await crowd.progress(1)
        assert proxy.cuts[cut] == before + 20

    crowd = await house_behind_a_proxy.survive(cut_often)
    assert crowd.trouble == []
    assert all(sent.id for sent in crowd.sent)


async def test_connections_are_ended_and_used_before_they_close(
    house_behind_a_proxy: House, proxy: CuttingProxy
) -> None:
    async def end(crowd: Crowd) -> None:
        for _ in range(10):
            proxy.say_goodbye()
            await crowd.progress(2)

    crowd = await house_behind_a_proxy.survive(end)
    assert all("nothing was stored" in trouble for trouble in crowd.trouble)
