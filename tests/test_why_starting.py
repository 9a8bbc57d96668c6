"""Workers that fail to start, or do not finish starting; plugins that fail there."""

from __future__ import annotations

import time
from contextlib import contextmanager

import dask
import distributed
import pytest
from distributed import Client, LocalCluster, Nanny, wait
from distributed.diagnostics.plugin import WorkerPlugin
from watching import wait_until
from why_looks import codes, flag, from_dump, same_words, why_until
from why_tasks import inc, loop_until

import dbgkit
from dbgkit.cluster.starting import starts_here
from dbgkit.cluster.why import may_grow, none_comes_again
from dbgkit.diagnose.why import starting
from dbgkit.remote.common import why_words


class Waits(WorkerPlugin):
    """Its setup ends once a file is there; ``blocking`` the event loop meanwhile."""

    name = "licence"

    def __init__(self, path, blocking):
        self.path, self.blocking = path, blocking

    def setup(self, worker):
        if not self.blocking:
            return self.wait()
        loop_until(self.path)

    async def wait(self):
        import asyncio
        import os

        while not os.path.exists(self.path):
            await asyncio.sleep(0.02)


class Fails(WorkerPlugin):
    name = "licence"

    def setup(self, worker):
        raise RuntimeError("the licence server is down, password=hunter2secret")


class Works(WorkerPlugin):
    name = "licence"


@pytest.fixture
def soon(monkeypatch):
    """A start counts as long after a moment."""
    for where in (starting, why_words):
        monkeypatch.setattr(where, "LONG", 0.5)


@contextmanager
def preloading(client, preload):
    """The workers that are started within have a preload."""
    with dask.config.set({"distributed.worker.preload": [str(preload)]}):
        yield client.submit(inc, 1, key="early")


@pytest.mark.parametrize("blocking", [True, False])
def test_a_plugin_whose_setup_does_not_end(harmable, tmp_path, soon, blocking):
    with harmable(n_workers=0) as client, flag(tmp_path) as path:
        client.register_plugin(Waits(path, blocking))
        future = client.submit(inc, 1, key="early")
        client.cluster.scale(1)
        try:
            wait_until(lambda: "is still being" in str(dbgkit.why(future)), "it joins")
            found = why_until("start-stuck", future)
            assert found.summary == (
                "1 worker does not finish starting; 'early' waits for it"
            )
            assert " ago, and is still being set up" in found.evidence[0]
            assert "worker plugins are set up then: 'licence'" in found.evidence
            assert "py-spy dump --pid " in found.advice[0]
            assert not found.healthy
            assert "start-stuck" in codes(dbgkit.why())
        finally:
            (tmp_path / "go").touch()
        wait(future, timeout=30)


def test_a_preload_that_does_not_end(harmable, tmp_path, soon):
    path = tmp_path / "go"
    preload = tmp_path / "slow_preload.py"
    preload.write_text(
        "import os, time\n"
        f"while not os.path.exists({str(path)!r}):\n    time.sleep(0.02)\n"
    )
    with harmable(n_workers=0) as client, preloading(client, preload) as future:
        client.cluster.scale(1)
        try:
            found = why_until("start-stuck", future)
            assert "has been starting for " in found.evidence[0]
            assert "a preload or an import does not end" in found.advice[0]
        finally:
            path.touch()
        wait(future, timeout=30)


def test_a_worker_that_says_why_it_fails_to_start(harmable, tmp_path):
    with (
        harmable(n_workers=0) as client,
        preloading(client, "no_such_preload") as future,
    ):
        client.cluster.scale(1)
        found = why_until("start-failed", future)
        assert found.summary == (
            "no worker is connected, and 1 worker failed to start: "
            "ModuleNotFoundError: No module named 'no_such_preload'; 'early' cannot run"
        )
        assert found.advice[0].startswith("waiting does not help")
        assert not found.healthy
        # A nanny is no part of a dump.
        assert from_dump(client, tmp_path, "early").cause == "no-workers"


@pytest.mark.skipif(
    distributed.__version__ < "2026",
    reason="its nannies start one process after another, and may never say so",
)
def test_a_worker_whose_process_ends_as_it_starts(harmable, tmp_path):
    preload = tmp_path / "ending_preload.py"
    preload.write_text("import os\nos._exit(7)\n")
    with harmable(n_workers=0) as client, preloading(client, preload) as future:
        client.cluster.scale(1)
        found = why_until("start-failed", future)
        assert "(exited with status 7" in found.evidence[0]
        assert "if __name__ == '__main__'" in str(found.advice)
        (failed,) = starts_here(client).nannies
        assert (failed.state, failed.error) == ("failed", "")
        # WHEN nothing ends it any more, a nanny that tries again has its worker
        preload.write_text("")
        wait_until(
            lambda: future.done() or failed.name not in map(str, still_trying()),
            "it does not try any more",
            60,
        )


def still_trying():
    """Names of nannies that start one process after another: until 2025."""
    return [each.name for each in list(Nanny._instances) if each.status.name == "init"]


def test_a_plugin_that_failed_on_a_late_worker(harmable, tmp_path):
    with harmable(n_workers=1) as client, flag(tmp_path) as path:
        (first,) = client.nthreads()
        with pytest.raises(RuntimeError, match="the licence server"):
            client.register_plugin(Fails())
        client.cluster.scale(2)
        wait_until(lambda: len(client.nthreads()) == 2, "a late worker")
        (late,) = set(client.nthreads()) - {first}
        future = client.submit(loop_until, path, key="busy", workers=[late])
        why_until("running", future)
        found = dbgkit.why(future)
        assert codes(found) == ["running", "plugin-failed"]
        failed = found.others[0]
        assert failed.summary.startswith(
            "the setup of worker plugin 'licence' failed on 1 worker: RuntimeError: "
            "the licence server is down"
        )
        assert "hunter2secret" not in str(found)
        assert failed.evidence[0].startswith(f"{late}: RuntimeError")
        same_words(found, from_dump(client, tmp_path, "busy"))
        # One that has been set up again since is fine.
        client.register_plugin(Works())
        found = dbgkit.why(future)
        assert codes(found) == ["running"]
        same_words(found, from_dump(client, tmp_path, "busy"))


@pytest.mark.parametrize("processes", [True, False])
def test_no_worker_comes_in_place_of_one_that_was_retired(harmable, processes):
    with harmable(n_workers=1, processes=processes) as client:
        cluster = client.cluster
        assert not may_grow(client)
        client.retire_workers(list(client.scheduler_info()["workers"]))
        wait_until(lambda: not cluster.observed, "the cluster has noticed")
        future = client.submit(inc, 1, key="late")
        found = why_until("no-workers", future)
        assert (
            found.advice[0] == "waiting does not help: none is started in their place"
        )
        assert "cluster.scale(0), then cluster.scale(n)" in found.advice[1]
        # As the cluster itself does after `lost-worker-timeout`.
        cluster.sync(cluster.workers.pop(0).close)
        assert cluster.plan and not cluster.workers
        assert dbgkit.why(future).cause == "no-workers"
        assert none_comes_again(client) and not may_grow(client)
        cluster.scale(0)
        cluster.scale(1)
        wait_until(lambda: may_grow(client) or future.done(), "one is started")
        assert why_until("finished", future)


def test_names_of_dask(tmp_path):
    """Contract: what is read of nannies, of their logs, and of a worker's log."""
    with (
        LocalCluster(n_workers=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        (nanny,) = cluster.workers.values()
        assert nanny in set(type(nanny)._instances)
        assert nanny.scheduler_addr == client.scheduler.address
        assert hasattr(nanny, "_Server__startup_exc")
        assert nanny.process.status.name == "running"
        assert cluster._correct_state_waiting is None
        assert not cluster._lock.locked()
        assert cluster.plan == set(cluster.worker_spec) == set(cluster.workers)
        # Nannies of one process share their log: others' ends before are not its own.
        assert starts_here(client) == starting.Starts()
        client.run(end)
        wait_until(
            lambda: "exited with status 5" in starts_here(client).ended, "it is logged"
        )
        started = time.monotonic()
        wait_until(lambda: len(client.nthreads()) == 1, "it is back")
        assert time.monotonic() - started < 60
    with (
        LocalCluster(n_workers=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        assert starts_here(client) == starting.Starts()


def end(dask_worker):
    import os

    dask_worker.loop.call_later(0.1, os._exit, 5)
