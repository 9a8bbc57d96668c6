"""Clusters for the tests: shared ones for looking, own ones for doing harm."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager, suppress

import dask
import pytest
from distributed import Client, LocalCluster, Nanny
from jobs import JOBS
from watching import forgotten, wait_until

import dbgkit

# Started in the background, a process ignores Ctrl-C, and so would those that tests
# start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Any port for the dashboard: another cluster of this machine may have the usual one.
SMALL = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": ":0"}


QUIET = {
    # It drops replicas of its own accord, while we look whether anything changes.
    "distributed.scheduler.active-memory-manager.start": False,
    # A nanny that takes long to start its worker again is not given up.
    "distributed.deploy.lost-worker-timeout": "120s",
}


# The recorder is off on such a cluster, also where the tests are run with it on
# (DASK_DISTRIBUTED__SCHEDULER__PRELOAD='["dbgkit.preload"]').
RECORDER_OFF = {"distributed.scheduler.preload": []}


@contextmanager
def own_cluster(**options):
    """A cluster of a test's own, with its client: it may be harmed."""
    with dask.config.set(QUIET):
        cluster = LocalCluster(**{**SMALL, **options})
        try:
            with Client(cluster) as client:
                yield client
        finally:
            # Not for ever: some tests leave nannies without a worker behind.
            with suppress(AssertionError):
                wait_until(lambda: not unsettled(cluster), "nannies are at rest", 15)
            cluster.close(timeout=60)


def unsettled(cluster):
    """Nannies whose worker is not there: `LocalCluster.close` may wait for ever then.

    ``SpecCluster.workers``, ``Nanny.process`` and ``WorkerProcess.status``.
    """
    nannies = [each for each in cluster.workers.values() if isinstance(each, Nanny)]
    return [
        each
        for each in nannies
        if each.status.name == "running"
        and (each.process is None or each.process.status.name != "running")
    ]


@pytest.fixture(scope="session")
def processes():
    """A cluster of two worker processes, which no test may harm."""
    with dask.config.set(QUIET), LocalCluster(processes=True, **SMALL) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def inproc():
    """A cluster in this process, which no test may harm."""
    with dask.config.set(QUIET), LocalCluster(processes=False, **SMALL) as cluster:
        yield cluster


@pytest.fixture(params=["processes", "inproc"])
def cluster(request):
    """Each of the shared clusters."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def client(cluster):
    """A client of each of the shared clusters, which begins with no task at all."""
    with Client(cluster) as client:
        forgotten(client)
        yield client


@pytest.fixture
def processes_client(processes):
    """A client of the shared cluster of worker processes."""
    with Client(processes) as client:
        forgotten(client)
        yield client


@pytest.fixture
def inproc_client(inproc):
    """A client of the shared cluster in this process."""
    with Client(inproc) as client:
        forgotten(client)
        yield client


@pytest.fixture
def harmable():
    """`own_cluster`: for tests that kill workers, close schedulers, fill memory."""
    return own_cluster


@pytest.fixture(autouse=True)
def no_exception_at_hand(monkeypatch):
    """The interpreter remembers no exception of another test."""
    for name in ("last_exc", "last_value", "last_type", "last_traceback"):
        monkeypatch.delattr(sys, name, raising=False)


@pytest.fixture(params=JOBS)
def job(request):
    """A collection that fails: how it is made, where, on what, with what."""
    return JOBS[request.param]


@pytest.fixture
def recorder_off():
    """On clusters of a test's own, where the tests are run with the recorder on."""
    with dask.config.set(RECORDER_OFF):
        yield


@pytest.fixture
def recorded(client):
    """A client whose cluster has the recorder on, with nothing recorded yet."""
    dbgkit.record(client=client).off()
    with dbgkit.record(client=client):
        yield client
