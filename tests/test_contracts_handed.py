"""Contract: by which frames of Dask's client an exception tells whose error it is."""

from __future__ import annotations

import asyncio

import inner_tasks as tasks
import pytest
from distributed import Client, wait

from dbgkit.remote.recording.handed import handed_keys


def raised_by(call):
    with pytest.raises(ZeroDivisionError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("how", ["result", "gather"])
def test_an_exception_tells_the_future_that_it_was_raised_for(processes_client, how):
    client = processes_client
    failing, fine = client.submit(tasks.ratio_of, 0), client.submit(str, 1)
    wait([failing, fine])
    calls = {"result": failing.result, "gather": lambda: client.gather([fine, failing])}
    assert handed_keys(raised_by(calls[how])) == [failing.key]


@pytest.mark.parametrize("how", ["result", "gather"])
def test_it_does_after_its_client_was_closed(processes_client, how):
    address = processes_client.scheduler.address

    async def fail():
        async with Client(address, asynchronous=True, set_as_default=False) as client:
            future = client.submit(tasks.ratio_of, 0)
            keys.append(future.key)
            await (future if how == "result" else client.gather([future]))

    keys = []
    assert handed_keys(raised_by(lambda: asyncio.run(fail()))) == keys


def test_what_a_task_raises_itself_is_nobodys():
    assert handed_keys(raised_by(lambda: tasks.ratio_of(0))) == []
