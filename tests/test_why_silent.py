"""What keeps a worker from answering, or the scheduler's event loop from running."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from contextlib import contextmanager

import pytest
from distributed import Client, LocalCluster
from test_why_order import until
from watching import wait_until
from why_looks import codes, flag, why_until
from why_tasks import inc, loop_until

import dbgkit
from dbgkit.diagnose.why import silent
from dbgkit.diagnose.why.cause import Cause

pytestmark = pytest.mark.usefixtures("brief_pings")


@contextmanager
def one_worker():
    """A worker with a nanny, which is killed at the end: it may not end by itself."""
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address=":0",
        ) as cluster,
        Client(cluster) as client,
    ):
        nanny = cluster.workers[0]
        try:
            yield client, nanny.pid
        finally:
            client.cancel([*client.futures])
            os.kill(nanny.pid, signal.SIGKILL)


def holds_gil(started):
    """Search in C, which does not release the GIL."""
    open(started, "w").close()
    re.match(r"(a+)+$", "a" * 60 + "b")


async def spins(started):
    """Run in the worker's event loop."""
    open(started, "w").close()
    while True:
        pass


async def sleeps(started):
    open(started, "w").close()
    time.sleep(600)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (holds_gil, "a thread besides that of its event loop is busy"),
        (spins, "the thread of its event loop is busy"),
        (sleeps, "its event loop waits in a call that blocks"),
    ],
    ids=["gil", "loop", "blocked"],
)
def test_what_keeps_a_worker_from_answering(tmp_path, task, text):
    started = tmp_path / "started"
    with one_worker() as (client, _):
        future = client.submit(task, str(started), key="busy")
        wait_until(started.exists, "it runs")
        found = why_until("worker-not-answering", future)
        assert any(text in line for line in found.evidence), found
        assert "py-spy dump" in found.advice[0]
        assert text in str(why_until("worker-not-answering").evidence)


def test_a_worker_without_a_nanny_may_do_anything():
    """As one that has none; a dump has nothing of it."""
    seen = silent.Silent("tcp://x:1", 9.0, None, None, None)
    _, evidence, _ = silent.not_answering(Cause(seen))
    assert evidence[1] == (
        "what its process does is not known: its nanny, if it has one, has not said"
    )


def test_a_worker_whose_process_is_stopped(tmp_path):
    with flag(tmp_path) as path, one_worker() as (client, pid):
        future = client.submit(loop_until, path, key="stopped")
        why_until("running", future)
        os.kill(pid, signal.SIGSTOP)
        found = why_until("worker-not-answering", future)
        stopped = "its process: it is stopped, by a signal or a debugger"
        assert stopped in found.evidence


def usage(**other):
    return {
        "status": "running",
        "seconds": 0.5,
        "loop": 0.0,
        "other": 0.0,
        "thread": None,
        "total": 0.0,
        "swapped": None,
        "faults": None,
        "load": None,
        **other,
    }


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (usage(faults=900.0, swapped=2**30), "it swaps: it reads 900 pages a second"),
        (usage(faults=900.0, swapped=0), "memory is short on its machine"),
        (usage(faults=1.0, swapped=2**30, total=0.0), "uses no processor time"),
        (
            usage(status="disk-sleep", faults=3.0, swapped=2**20),
            "1.00 MiB of its memory are swapped out",
        ),
        (usage(status="zombie"), "it has ended"),
        (usage(loop=0.4, other=0.4, total=0.9), "cannot be told from that"),
        (usage(loop=None, other=0.1, total=0.5), "an unknown share"),
    ],
)
def test_what_the_system_says_of_a_process(seen, text):
    """Machines that swap cannot be had for a test."""
    assert text in silent._of_process(seen)


# -- the scheduler ---------------------------------------------------------------


@contextmanager
def blocked(client):
    future = client.submit(inc, 1, resources={"GPU": 1}, key="gpu")
    why_until("resources-unmet", future)
    try:
        yield
    finally:
        client.run_on_scheduler(let_rest)
        del future


def let_rest(dask_scheduler):
    dask_scheduler.why_rests = True


def keep_loop_busy(dask_scheduler, spin):
    """Block the scheduler's event loop again and again."""
    loop = asyncio.get_running_loop()

    def block():
        if hasattr(dask_scheduler, "why_rests"):
            return
        end = time.monotonic() + 0.3
        while spin and time.monotonic() < end:
            pass
        if not spin:
            time.sleep(0.3)
        loop.call_later(0.001, block)

    loop.call_soon(block)


def overloaded(client):
    """The cause, once the loop is seen to be late."""
    found = until(client, lambda found: "scheduler-overloaded" in codes(found), "late")
    assert codes(found) == ["resources-unmet", "scheduler-overloaded"]
    return found.others[0]


@pytest.mark.parametrize("spin", [True, False], ids=["busy", "blocked"])
def test_what_a_late_scheduler_runs(harmable, spin):
    with harmable(n_workers=1) as client, blocked(client):
        client.run_on_scheduler(keep_loop_busy, spin=spin)
        found = overloaded(client)
        assert "ms late" in found.evidence[0]
        assert any(
            "test_why_silent.py" in e and "in block" in e for e in found.evidence
        )
        what = "it is busy itself" if spin else "it waits in a call that blocks"
        assert any(what in line for line in found.evidence), "\n".join(found.evidence)


def test_looking_leaves_no_thread_behind(harmable):
    import threading

    with harmable(n_workers=1, processes=False) as client, blocked(client):
        client.run_on_scheduler(keep_loop_busy, spin=False)
        overloaded(client)
        before = threading.active_count()
        for _ in range(3):
            dbgkit.why()
        # Python keeps the threads of its pool, and uses them again.
        assert threading.active_count() <= before + 1
