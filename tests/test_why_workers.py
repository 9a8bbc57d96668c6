"""Why tasks do not move on clusters that are damaged: live, and from a dump."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import dask
import pytest
from conftest import RECORDER_OFF
from distributed import Client, LocalCluster, wait
from watching import wait_until
from why_looks import codes, flag, from_dump, plain, same_words, why_until
from why_tasks import (
    SlowToSend,
    SlowWorker,
    die_then_loop,
    first,
    inc,
    loop_until,
    worker_address,
)

import dbgkit

pytestmark = pytest.mark.usefixtures("brief_pings")


@contextmanager
def stopped(client, address):
    """A worker whose process is stopped, as if it swapped or kept the GIL."""
    pid = client.run(os.getpid, workers=[address])[address]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield address
    finally:
        os.kill(pid, signal.SIGCONT)


def dump_despite(client, address, tmp_path, target):
    """A dump although a worker is stopped, for which Dask itself waits for ever.

    The scheduler drops its connections to the worker.
    """
    with ThreadPoolExecutor(1) as pool:
        dumping = pool.submit(from_dump, client, tmp_path, target)

        def dumped():
            client.run_on_scheduler(hang_up, address=address)
            return dumping.done()

        wait_until(dumped, "a dump")
        return dumping.result()


def hang_up(dask_scheduler, address):
    dask_scheduler.rpc.remove(address)


def test_no_workers(harmable, tmp_path):
    with harmable(n_workers=0, processes=False) as client:
        future = client.submit(inc, 1, key="alone")
        found = why_until("no-workers", future)
        assert not found.healthy
        assert "cluster.scale" in found.advice[0]
        same_words(found, from_dump(client, tmp_path, "alone"))
        assert dbgkit.why().cause == "no-workers"


def test_workers_starting(tmp_path, monkeypatch):
    with flag(tmp_path) as path:
        monkeypatch.setenv("WHY_START", path)
        with (
            LocalCluster(
                n_workers=0,
                processes=False,
                worker_class=SlowWorker,
                dashboard_address=":0",
            ) as cluster,
            Client(cluster) as client,
        ):
            future = client.submit(inc, 1, key="early")
            why_until("no-workers", future)
            cluster.scale(1)
            try:
                found = why_until("workers-starting", future)
                assert found.healthy
                assert "the cluster has asked for 1 more worker" in found.evidence
                # No dump holds what the cluster manager is about to do.
                assert from_dump(client, tmp_path, "early").cause == "no-workers"
            finally:  # or the cluster would wait for it as it closes
                (tmp_path / "go").touch()
            wait(future)


def test_workers_starting_of_an_adaptive_cluster(harmable, tmp_path):
    with harmable(n_workers=0, processes=False) as client:
        future = client.submit(inc, 1, resources={"X": 1}, key="early")
        why_until("no-workers", future)
        # Its first look is an hour away.
        client.cluster.adapt(minimum=0, maximum=3, interval="1h")
        found = why_until("workers-starting", future)
        assert "the cluster is adaptive, 0 to 3 workers" in found.evidence
        # No dump holds what the cluster manager is about to do.
        dumped = from_dump(client, tmp_path, "early")
        assert (dumped.cause, dumped.key) == ("no-workers", "early")
        same_words(dbgkit.why("early", client=client.scheduler.address), dumped)


def test_workers_paused_for_their_memory(tmp_path):
    full = {
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.terminate": False,
        "distributed.worker.memory.pause": 0.001,
    }
    with (
        dask.config.set(full),
        LocalCluster(n_workers=1, memory_limit="1 GiB", dashboard_address=":0") as c,
        Client(c) as client,
    ):
        why_until("paused-for-good")
        future = client.submit(inc, 1, key="held up")
        found = why_until("paused-for-good", future)
        assert "'held up' cannot run" in found.summary
        assert any("of 1.00 GiB in use" in line for line in found.evidence)
        assert not found.healthy
        same_words(found, from_dump(client, tmp_path, "held up"))


def test_worker_not_answering(harmable, tmp_path):
    with harmable() as client, flag(tmp_path) as path:
        future = client.submit(loop_until, path, key="stuck")
        why_until("running", future)
        address = client.run_on_scheduler(place_of, key="stuck")
        with stopped(client, address):
            found = why_until("worker-not-answering", future)
            assert found.summary == f"{address} does not answer"
            (seen,) = (each for each in found.evidence if each.startswith("as the s"))
            assert seen.startswith(
                "as the scheduler sees it: its port takes connections; its nanny "
                "answers; another worker of its host answers (process "
            )
            same_words(found, dump_despite(client, address, tmp_path, "stuck"))
            why_until("worker-not-answering")


def place_of(dask_scheduler, key):
    return dask_scheduler.tasks[key].processing_on.address


def test_transfer_stuck_as_its_sender_does_not_answer(harmable, tmp_path):
    with harmable() as client:
        sender, receiver = sorted(client.scheduler_info()["workers"])
        value = client.submit(inc, 1, key="value", workers=[sender])
        wait(value)
        with stopped(client, sender):
            future = client.submit(inc, value, key="taker", workers=[receiver])
            found = why_until("transfer-stuck", future)
            assert receiver in found.summary
            assert any(
                line.startswith(f"'value' from {sender}: flight")
                for line in found.evidence
            )
            assert f"{sender} does not answer" in found.evidence
            same_words(found, dump_despite(client, sender, tmp_path, "taker"))
        wait(future)
        assert future.result() == 3


def test_transferring(harmable, tmp_path):
    with harmable() as client, flag(tmp_path) as path:
        sender, receiver = sorted(client.scheduler_info()["workers"])
        value = client.submit(SlowToSend, path, key="value", workers=[sender])
        wait(value)
        future = client.submit(first, value, key="taker", workers=[receiver])
        wait_until(lambda: ": flight" in str(dbgkit.why(future).evidence), "flight")
        found = dbgkit.why(future)
        assert (found.cause, found.healthy) == ("transferring", True)
        assert found.summary == f"inputs of 'taker' are on their way at {receiver}"
        assert found.evidence[0].startswith(f"'value' from {sender}: flight")
        same_words(found, from_dump(client, tmp_path, "taker"))
        (tmp_path / "go").touch()
        wait(future)


def test_lost_dependencies(harmable, tmp_path):
    """A scattered value cannot be computed again once its worker is gone."""
    with harmable(processes=False) as client:
        holder = min(client.scheduler_info()["workers"])
        value = client.scatter([1, 2, 3], workers=[holder], hash=False)[0]
        future = client.submit(inc, value, key="needs it", resources={"GPU": 1})
        why_until("resources-unmet", future)
        # Retiring the worker would save the value.
        client.run(close, workers=[holder], wait=False)
        found = why_until("lost-dependencies", future)
        assert repr(value.key) in found.summary
        assert any("forgotten at" in line for line in found.evidence)
        dumped = from_dump(client, tmp_path, "needs it")
        assert (dumped.cause, dumped.summary) == (found.cause, found.summary)
        assert plain(dumped.evidence) == plain(found.evidence)


async def close(dask_worker):
    await dask_worker.close(nanny=False)


def test_retrying_after_a_worker_has_died(harmable, tmp_path):
    # With the recorder on, it is known that it ran.
    off = dask.config.set(RECORDER_OFF)
    with off, harmable(n_workers=1) as client, flag(tmp_path) as path:
        future = client.submit(die_then_loop, path, str(tmp_path / "t"), key="deadly")
        found = why_until("retrying", future)
        assert "1 worker died while assigned to it" in found.evidence
        same_words(found, from_dump(client, tmp_path, "deadly"))


def test_failed_as_it_killed_its_workers(harmable):
    once = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with once, harmable(n_workers=1) as client:
        future = client.submit(os._exit, 3, key="killer")
        wait(future)
        found = dbgkit.why(future)
        assert found.summary == (
            "'killer' failed: Dask stopped retrying it after 1 worker died while "
            "assigned to it"
        )


def test_scheduler_overloaded(harmable, tmp_path):
    with harmable(n_workers=1) as client:
        end = time.monotonic() + 60
        future = client.submit(inc, 1, resources={"GPU": 1}, key="gpu")
        why_until("resources-unmet")
        client.run_on_scheduler(keep_busy, end=end)
        told = [dbgkit.why()]
        while len(codes(told[-1])) < 2 and time.monotonic() < end:
            told.append(dbgkit.why())
        found = told[-1]
        assert codes(found) == ["resources-unmet", "scheduler-overloaded"]
        assert "ms late" in found.others[0].evidence[0]
        # No dump holds how late the loop is, and each says so.
        dumped = from_dump(client, tmp_path)
        assert codes(dumped) == ["resources-unmet"]
        assert dumped.summary == found.summary
        assert "the delay of the scheduler's event loop" in dumped.notes[0]
        client.run_on_scheduler(let_rest)
        del future
        why_until("finished")


def keep_busy(dask_scheduler, end):
    """Block the scheduler's event loop again and again."""
    from asyncio import get_running_loop

    def block():
        if time.monotonic() < end and not hasattr(dask_scheduler, "why_rests"):
            time.sleep(0.27)
            loop.call_later(0.001, block)

    loop = get_running_loop()
    loop.call_soon(block)


def let_rest(dask_scheduler):
    dask_scheduler.why_rests = True


def test_unexplained_says_what_was_ruled_out(harmable, tmp_path):
    """A restriction that is lifted behind the scheduler's back starts nothing."""
    with harmable(processes=False) as client:
        future = client.submit(inc, 1, workers=["127.0.0.1:1"], key="forsaken")
        why_until("restrictions-unmet", future)
        client.run_on_scheduler(lift, key="forsaken")
        found = why_until("unexplained", future)
        assert all(line.startswith("ruled out: ") for line in found.evidence)
        assert len(found.evidence) == 3
        same_words(found, from_dump(client, tmp_path, "forsaken"))
        assert codes(dbgkit.why()) == ["unexplained"]


def lift(dask_scheduler, key):
    dask_scheduler.tasks[key].worker_restrictions = None


def test_a_worker_that_dies_while_it_is_asked(harmable, tmp_path):
    """What the others tell is not lost, and nothing hangs."""
    from dbgkit.cluster.link import Link
    from dbgkit.cluster.why import probe_workers

    with harmable() as client, flag(tmp_path) as path:
        futures = [
            client.submit(loop_until, path, pure=False, key=f"run-{i}")
            for i in range(2)
        ]
        for future in futures:
            why_until("running", future)
        one, other = (
            client.run_on_scheduler(place_of, key=future.key) for future in futures
        )
        with stopped(client, one):
            before = time.monotonic()
            told = probe_workers(Link(client, 30.0), {one: ["run-0"], other: ["run-1"]})
            assert time.monotonic() - before < 15
        assert set(told) == {other}


def test_the_end_of_a_chain_is_a_transfer(harmable, tmp_path):
    with harmable() as client:
        addresses = sorted(client.scheduler_info()["workers"])
        parts = [
            client.submit(worker_address, key=f"part-{i}", workers=[address])
            for i, address in enumerate(addresses)
        ]
        wait(parts)
        with stopped(client, addresses[0]):
            taken = client.submit(first, *parts, key="all", workers=[addresses[1]])
            after = client.submit(inc, taken, key="after")
            found = why_until("waiting-on", after)
            wait_until(
                lambda: codes(dbgkit.why(after))[1] == "transfer-stuck", "transfer"
            )
            assert found.key == "all"
