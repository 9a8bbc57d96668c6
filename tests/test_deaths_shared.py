"""Deaths where clusters share a host, and workers come and go on purpose."""

from __future__ import annotations

import os
import signal
import tempfile

import dask
import pytest
from conftest import own_cluster
from deaths_tasks import PATIENT, leave, loop, workers
from distributed import wait
from watching import wait_until

import dbgkit
from dbgkit.remote.common.boxes import read_box
from dbgkit.remote.worker.black_box_folders import boxes_in, folder_in


@pytest.fixture(scope="module")
def client():
    """A cluster of three workers, the recorder on; each test may have one of them."""
    with (
        dask.config.set(PATIENT),
        own_cluster(n_workers=3, threads_per_worker=1) as client,
        dbgkit.record(client=client),
    ):
        yield client


def nanny_of(client, worker):
    nannies = client.cluster.workers.values()
    return next(each for each in nannies if each.worker_address == worker)


def boxes_of(client):
    """What the boxes of a cluster's workers say, dead or alive."""
    address = client.cluster.scheduler_address
    boxes = map(read_box, boxes_in([folder_in(tempfile.gettempdir())]))
    return [box for box in boxes if box is not None and box["scheduler"] == address]


def test_a_nanny_that_kills_its_worker_as_it_closes_leaves_no_box(client):
    worker, pid = next(iter(workers(client).items()))
    nanny = nanny_of(client, worker)
    os.kill(pid, signal.SIGSTOP)  # it cannot close by itself
    let_go = client.cluster.scheduler.remove_worker
    client.cluster.sync(let_go, worker, stimulus_id="scale-down", expected=True)
    client.cluster.sync(nanny.close, timeout=0.5)
    assert pid not in [box["pid"] for box in boxes_of(client)]


def test_a_task_that_ended_after_the_last_heartbeat_did_not_run(client, tmp_path):
    worker = next(iter(workers(client)))
    end = tmp_path / "end"
    future = client.submit(loop, str(end), key="done", workers=[worker])

    def keep(dask_scheduler):
        """Have the heartbeat that tells of the task be the last one."""
        plugins = dask_scheduler.plugins.items()
        (store,) = (each for name, each in plugins if "dbgkit-deaths" in name)
        told = "done" in str(store.executing)
        if told:
            store.ticking.stop()
        return told

    wait_until(lambda: client.run_on_scheduler(keep), "a heartbeat")
    end.touch()
    wait(future)
    client.retire_workers([worker])
    (death,) = (each for each in dbgkit.deaths(client=client) if each.worker == worker)
    assert (death.verdict, death.ran) == ("closed-on-purpose", ())


def test_clusters_of_one_host_tell_their_own_deaths_alone(client):
    with (
        dask.config.set(PATIENT),
        own_cluster(n_workers=1, threads_per_worker=1) as other,
    ):
        recorder = dbgkit.record(client=other)
        ((worker, pid),) = workers(other).items()
        here = {*workers(client).values()}
        futures = [
            client.submit(leave, 4, key="left-here", pure=False),
            other.submit(leave, 5, key="left-there", pure=False),
        ]
        for future in futures:
            assert "KilledWorker" in repr(future.exception(timeout=30))
        (there,) = dbgkit.deaths(client=other)
        assert (there.worker, there.pid, there.exit_code) == (worker, pid, 5)
        assert there.keys == ("left-there",)
        deaths = dbgkit.deaths(client=client)
        (death,) = (each for each in deaths if each.verdict == "exit")
        assert death.pid in here
        assert (death.exit_code, death.keys) == (4, ("left-here",))
        other.wait_for_workers(1, timeout=60)
        wait_until(lambda: boxes_of(client), "a worker is back")
        recorder.off()
        assert not boxes_of(other)
        assert boxes_of(client)
