"""Futures of `Client.get_executor()`, of an event loop, and of other executors."""

from __future__ import annotations

import asyncio
import concurrent.futures

import pytest
from distributed import Future as DaskFuture
from tasks import add, ratio
from watching import unchanged

import dbgkit
from dbgkit.errors import NotFailed
from dbgkit.targets.executors import wrapped_future


def failed(executor, *args):
    future = executor.submit(ratio, *args)
    with pytest.raises(ZeroDivisionError):
        future.result(timeout=30)
    return future


@pytest.mark.parametrize("as_list", [False, True])
def test_an_executors_future_is_a_target(client, as_list):
    with client.get_executor(pure=False) as executor:
        future = failed(executor, 3, 0)
        target = [future] if as_list else future
        with unchanged(client):
            failure = dbgkit.locate(target)
        assert failure.message == "division by zero"
        assert failure.key == wrapped_future(future).key
        again = dbgkit.replay(target)
        assert (again.outcome, again.args) == ("same", (3, 0))
        entered = dbgkit.debug(target, prompt=False)
        assert entered.outcome == "same"
        (group,) = dbgkit.failures().groups[:1]
        assert failure.key in group.keys


def test_what_its_map_raises_is_a_target(client):
    with client.get_executor(pure=False) as executor:
        with pytest.raises(ZeroDivisionError) as caught:
            list(executor.map(ratio, range(5), [1, 1, 0, 1, 1]))
        again = dbgkit.replay(caught.value)
        assert (again.outcome, again.args) == ("same", (2, 0))


def test_a_future_of_an_event_loop_is_a_target(client):
    async def run():
        loop = asyncio.get_running_loop()
        with client.get_executor(pure=False) as executor:
            future = loop.run_in_executor(executor, ratio, 7, 0)
            await asyncio.wait([future])
            return future

    future = asyncio.run(run())
    assert dbgkit.locate(future).message == "division by zero"
    assert dbgkit.locate(future.exception()).message == "division by zero"


def test_what_has_not_failed_is_refused(client):
    with client.get_executor() as executor:
        future = executor.submit(add, 1, 2)
        assert future.result(timeout=30) == 3
        with pytest.raises(NotFailed, match="it is finished"):
            dbgkit.locate(future)


def test_an_executor_of_this_process_leads_to_its_exception(client):
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        future = executor.submit(ratio, 1, 0)
        concurrent.futures.wait([future])
        failure = dbgkit.locate(future)
        assert (failure.kind, failure.key) == ("none", None)
        future = executor.submit(add, 1, 0)
        concurrent.futures.wait([future])
        with pytest.raises(NotFailed, match="this Future has not failed: it is fini"):
            dbgkit.locate(future)
        with pytest.raises(NotFailed, match="it is pending"):
            dbgkit.locate(concurrent.futures.Future())


def test_what_an_executors_future_holds(client):
    """``ClientExecutor._wrap_future``: a callback that closes over Dask's future."""
    with client.get_executor() as executor:
        future = executor.submit(add, 1, 2)
        assert isinstance(wrapped_future(future), DaskFuture)
        assert future.result(timeout=30) == 3
        assert isinstance(wrapped_future(future), DaskFuture)
