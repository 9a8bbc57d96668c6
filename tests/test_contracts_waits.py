"""What is read of cluster managers, event loops and shuffles in single places."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from conftest import own_cluster
from distributed import as_completed
from distributed.shuffle._shuffle import DataFrameShuffleRun

from dbgkit.cluster.why import may_grow, planned_workers


def test_a_cluster_that_adapts_says_how_far():
    with own_cluster(n_workers=1, processes=False) as client:
        assert client.cluster._adaptive is None
        assert not may_grow(client)
        client.cluster.adapt(minimum=1, maximum=5)
        assert "the cluster is adaptive, 1 to 5 workers" in planned_workers(client)
        assert may_grow(client)


def test_a_wait_for_results_has_a_deadline(inproc_client):
    assert as_completed([], timeout="60s")._deadline.expires
    assert not as_completed([])._deadline.expires


def test_a_future_has_its_callbacks():
    future = Future()
    future.add_done_callback(print)
    assert future._done_callbacks == [print]


def test_an_event_loop_has_what_it_will_call():
    async def scheduled():
        handle = asyncio.get_running_loop().call_later(60, print, "late")
        assert handle in asyncio.get_running_loop()._scheduled
        assert handle._args == ("late",)
        handle.cancel()

    asyncio.run(scheduled())


def test_a_shuffle_puts_parts_together():
    assert callable(DataFrameShuffleRun._repartition_buffers)
