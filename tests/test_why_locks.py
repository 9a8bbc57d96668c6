"""Who waits for locks, events and queues, if it is no task, or nobody any more."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import pytest
from distributed import Client, Event, Lock, Queue, wait
from watching import clear_history, wait_until
from why_looks import codes, flag, why_until
from why_tasks import inc, loop_until, wait_for

import dbgkit


@pytest.fixture
def client(processes_client):
    processes_client.run_on_scheduler(clear_history)
    return processes_client


def waits(client, coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, client.loop.asyncio_loop)


async def get(client, name):
    return await Queue(name, client=client).get()


async def wait_event(client, name):
    return await Event(name, client=client).wait()


async def acquire(lock):
    return await lock.acquire()


def lock_of(client, name):
    with client.as_current():
        return Lock(name)


@pytest.mark.parametrize(
    ("what", "ask", "text"),
    [
        ("queue", get, "queue 'why-open', which is empty"),
        ("event", wait_event, "event 'why-open', which is not set"),
    ],
    ids=["queue", "event"],
)
def test_a_client_that_waits_for_what_anybody_may_fill_is_no_cause(
    client, what, ask, text
):
    queue = Queue("why-open", client=client)
    queue.qsize()  # it is there
    asking = waits(client, ask(client, "why-open"))
    seen = f"1 wait for {text}: none of the tasks"
    try:
        wait_until(lambda: seen in str(dbgkit.why().evidence), seen)
        found = dbgkit.why()
        assert (found.cause, found.healthy) == ("finished", True)
        blocked = client.submit(inc, 1, resources={"GPU": 1}, key="blocked")
        found = why_until("resources-unmet")
        assert codes(found) == ["resources-unmet"]
        assert seen in str(found.notes)
        assert dbgkit.why(blocked).notes == ()
    finally:
        if what == "queue":
            queue.put(1)
        else:
            Event("why-open", client=client).set()
        asking.result(30)


@pytest.mark.parametrize("kind", ["queue", "event", "variable"])
def test_a_task_that_waits_for_it_is_named(client, kind):
    name = f"why-named-{kind}"
    future = client.submit(wait_for, kind, name, key="waiter")
    after = client.submit(inc, future, key="after")
    try:
        for found in (why_until("lock-wait"), why_until("lock-wait", future)):
            assert found.summary == f"'waiter' waits for {kind} '{name}'"
            assert "which task or client should" in found.advice[0]
            assert not any("held" in line for line in found.evidence)
        assert dbgkit.why(after).because == "lock-wait"
    finally:
        if kind == "event":
            Event(name, client=client).set()
        elif kind == "queue":
            Queue(name, client=client).put(1)
        else:
            from distributed import Variable

            Variable(name, client=client).set(1)
        client.cancel(after)
        wait(future)


@contextmanager
def gone_waiter(client, name):
    """A client that has waited for a lock, and is gone: the scheduler counts it."""
    with Client(client.scheduler.address, set_as_default=False) as other:
        asking = waits(other, acquire(lock_of(other, name)))
        wait_until(lambda: client.run_on_scheduler(counted, name=name), "it waits")
    try:
        yield
    finally:
        asking.cancel()


def counted(dask_scheduler, name):
    return dask_scheduler.extensions["semaphores"].metrics["pending"].get(name, 0)


def divide(a, b):
    return a / b


@pytest.mark.filterwarnings("ignore:Closing semaphore")
def test_a_waiter_that_has_gone_comes_after_all_that_blocks(harmable, tmp_path):
    with harmable(n_workers=1, processes=False) as client, flag(tmp_path) as path:
        lock = lock_of(client, "why-stale")
        lock.acquire()
        with gone_waiter(client, "why-stale"):
            failed = client.submit(divide, 1, 0, key="failed")
            wait(failed)
            runs = client.submit(loop_until, path, key="runs")
            wait_until(lambda: len(codes(dbgkit.why())) == 3, "it runs")
            found = dbgkit.why()
            assert codes(found) == ["failed", "lock-wait", "running"]
            stale = found.others[0]
            assert "1 wait for lock 'why-stale', 1 hold it" in stale.evidence
            assert "somebody who has gone" in str(stale.evidence)
            (tmp_path / "go").touch()
            wait(runs)
            # Nobody can wait for what does not exist any more.
            lock.close()
            del failed, runs
            assert why_until("finished").healthy


def test_a_waiter_of_a_lock_that_is_free_is_none(harmable):
    with harmable(n_workers=1, processes=False) as client:
        lock = lock_of(client, "why-free")
        lock.acquire()
        lock.release()
        client.run_on_scheduler(miscount, name="why-free")
        assert dbgkit.why().cause == "finished"


def miscount(dask_scheduler, name):
    """As after an error while somebody waited: nothing is taken off again."""
    dask_scheduler.extensions["semaphores"].metrics["pending"][name] += 1
