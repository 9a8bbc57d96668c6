"""Clusters for the tests: shared ones for looking, own ones for doing harm."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections import Counter
from contextlib import closing, contextmanager, suppress
from contextvars import Context
from pathlib import Path
from typing import Any
from zlib import crc32

import dask
import pytest
from distributed import Client, LocalCluster, Nanny, Worker
from distributed.client import _global_clients
from forked import METHOD, start_fork_server
from jobs import JOBS
from watching import forgotten, wait_until

import dbgkit

# Started in the background, a process ignores Ctrl-C, and so would those that tests
# start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# However the tests are run, no terminal's width is known that is not set by a test:
# a process that starts others as it has loaded readline hands its own on.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)

# Where Python is told to write no bytecode, each of several hundred processes that
# tests start would compile what it imports, or pytest rewrite it: 0.3 s to 1 s.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Idle clusters wake up less often, as each pytest process has two of them at all times,
# besides those of its tests: Dask's own 10 ms, 20 ms and 500 ms take a quarter of what
# a machine of two cores can do.
dask.config.set(
    {
        "distributed.worker.profile.interval": "100ms",
        "distributed.admin.tick.interval": "100ms",
        "distributed.admin.system-monitor.interval": "2s",
        # What it has asked for, just after `Client.scheduler_info` has, has no workers.
        "distributed.client.scheduler-info-interval": "1h",
    }
)


def pytest_addoption(parser: Any) -> None:
    parser.addoption(
        "--one-each",
        action="store_true",
        help="run each test function once, with one of its sets of parameters",
    )


def pytest_collection_finish() -> None:
    """Keep garbage collection away from all that is there before the first test.

    Tests collect garbage many times, and each time Python would go through what was
    imported and collected: 90 ms each, most of what some of them take. Workers are
    forked off a process that does likewise (`forked`).
    """
    gc.collect()
    gc.freeze()


# The folder of all the tests' own folders.
FOLDER = pytest.StashKey[Path]()

# Files that take longest, of which none may be left to one process at the end, while
# the others have nothing to do. Most of the rest take a few seconds.
LONG = (
    "gauntlet_tasks",
    "gauntlet_random",
    "examples",
    "gauntlet_standin",
    "gauntlet_errors",
    "gauntlet_leases",
    "gauntlet_inner",
    "gauntlet_reach",
    "why_workers",
    "gauntlet_files",
    "gauntlet_inputs",
    "gauntlet_ancestors",
    "magics_states",
    "watch",
    "gauntlet_scheduler_restarted",
    "pytest_plugin",
    "gauntlet_targets",
    "replay_on_worker",
    "gauntlet_source",
    "gauntlet_on_off",
    "cli",
    "gauntlet_scripts",
    "gauntlet_causes",
    "unit_fuzz_scheduler",
    "deaths_clusters",
    "why",
    "names_of_libraries",
    "gauntlet_notask_apart",
    "gauntlet_options",
    "deaths_alone",
    "docs",
    "gauntlet_health",
    "gauntlet_fronts",
    "gauntlet_scheduler_killed",
    "mixed_versions",
)


def pytest_collection_modifyitems(config: Any, items: Any) -> None:
    """Under ``--one-each`` leave some tests out; side by side, long files run first."""
    if config.getoption("--one-each"):
        _leave_one_each(config, items)
    if not hasattr(config, "workerinput"):
        return
    counts = Counter(item.path for item in items)

    def rank(item: Any) -> Any:
        name = item.path.stem.removeprefix("test_")
        return LONG.index(name) if name in LONG else len(LONG), -counts[item.path]

    items.sort(key=rank)


def _leave_one_each(config: Any, items: Any) -> None:
    """Leave one of each function's sets of parameters.

    Which one goes by the function's name, so that of a file all parameters have their
    turn, and that each run has the same.
    """
    groups: dict[str, list[Any]] = {}
    for item in items:
        groups.setdefault(item.nodeid.partition("[")[0], []).append(item)
    chosen = {
        id(group[crc32(name.encode()) % len(group)]) for name, group in groups.items()
    }
    config.hook.pytest_deselected(
        items=[each for each in items if id(each) not in chosen]
    )
    items[:] = [each for each in items if id(each) in chosen]


# Any port for the dashboard: another cluster of this machine may have the usual one.
SMALL = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": ":0"}


QUIET = {
    # It drops replicas of its own accord, while we look whether anything changes.
    "distributed.scheduler.active-memory-manager.start": False,
    # A nanny may take long to start its worker again.
    "distributed.deploy.lost-worker-timeout": "120s",
    "distributed.worker.multiprocessing-method": METHOD,
}


# The two shared clusters are there all the time, and idle most of it; no test fills
# their memory, or measures how soon tasks are stolen.
SELDOM = {
    "distributed.scheduler.work-stealing-interval": "500ms",
    "distributed.worker.memory.monitor-interval": "500ms",
    "distributed.worker.profile.interval": "500ms",
}


# The recorder is off on such a cluster, also where the tests are run with it on
# (DASK_DISTRIBUTED__SCHEDULER__PRELOAD='["dbgkit.preload"]').
RECORDER_OFF: dict[str, list[str]] = {"distributed.scheduler.preload": []}


@contextmanager
def own_cluster(**options: Any) -> Any:
    """A cluster of a test's own, with its client: it may be harmed."""
    if options.get("processes", True):
        start_fork_server()
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


def unsettled(cluster: Any) -> Any:
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
def processes() -> Any:
    """A cluster of two worker processes, which no test may harm."""
    start_fork_server()
    with dask.config.set(QUIET):
        with dask.config.set(SELDOM):
            cluster = LocalCluster(processes=True, **SMALL)
        with cluster:
            yield cluster


@pytest.fixture(scope="session")
def inproc() -> Any:
    """A cluster in this process, which no test may harm.

    It starts in a context of its own: the client that is the current one as the first
    test asks for it would be its tasks' default client for as long as it is there.
    """
    with dask.config.set(QUIET):
        with dask.config.set(SELDOM):
            cluster = Context().run(LocalCluster, processes=False, **SMALL)
        with closing(cluster):
            yield cluster


@pytest.fixture(params=["processes", "inproc"])
def cluster(request: Any) -> Any:
    """Each of the shared clusters."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def client(cluster: Any) -> Any:
    """A client of each of the shared clusters, which begins without any task."""
    without_old_clients(cluster)
    with Client(cluster) as client:
        forgotten(client)
        yield client


@pytest.fixture
def processes_client(processes: Any) -> Any:
    """A client of the shared cluster of worker processes."""
    with Client(processes) as client:
        forgotten(client)
        yield client


def without_old_clients(cluster: Any) -> None:
    """Have workers of this process drop clients that have closed.

    ``Worker._get_client`` takes whatever client there is, and keeps it.
    """
    for worker in cluster.workers.values():
        kept = getattr(worker, "_client", None)
        if kept is not None and kept.status == "closed":
            worker._client = None


@pytest.fixture
def inproc_client(inproc: Any) -> Any:
    """A client of the shared cluster in this process."""
    without_old_clients(inproc)
    with Client(inproc) as client:
        forgotten(client)
        yield client


@pytest.fixture(scope="module")
def mortals() -> Any:
    """A client of two workers with nannies, which a file's tests kill; recorder on."""
    from deaths_tasks import recorded

    with recorded(threads_per_worker=2) as client:
        yield client


@pytest.fixture
def harmable() -> Any:
    """`own_cluster`: for tests that kill workers, close schedulers, fill memory."""
    return own_cluster


@pytest.fixture(autouse=True)
def no_scheduler_left() -> None:
    """Clients that close in the order that they came in leave Dask's setting behind."""
    try:
        Client.current()
    except ValueError:
        if dask.config.get("scheduler", None) == "dask.distributed":
            dask.config.config.pop("scheduler")


@pytest.fixture(autouse=True, scope="session")
def cache_of_its_own(request: Any, tmp_path_factory: Any) -> Any:
    """What commands keep of a list of failures is not put where the user's is."""
    request.config.stash[FOLDER] = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def no_exception_at_hand(monkeypatch: Any) -> None:
    """The interpreter remembers no exception of another test."""
    for name in ("last_exc", "last_value", "last_type", "last_traceback"):
        monkeypatch.delattr(sys, name, raising=False)


def open_clients() -> Any:
    """Clients that this process would take for the current one, the workers' apart.

    A worker of this process may have one, which stays until the last worker has
    closed: ``Worker._get_client``; such are taken off the list.
    """
    of_workers = {id(client) for client in Worker._initialized_clients}
    for number, client in list(_global_clients.items()):
        if id(client) in of_workers:
            _global_clients.pop(number, None)
    return [each for each in _global_clients.values() if each.status != "closed"]


@pytest.fixture(autouse=True)
def no_workers_client_at_hand() -> None:
    """No worker of another test has left its own client as the current one."""
    open_clients()


def forget_modules_of(folder: Path) -> None:
    """Modules that tests wrote into their folders: no worker of others has them."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(f"{folder}{os.sep}"):
            del sys.modules[name]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: Any, nextitem: Any) -> Any:
    """A file leaves no client behind, which another file's calls would then ask.

    And no module of its own, of which `doctor` would tell another file's tests. Not a
    fixture's, as one with parameters may be torn down after it. What is there between
    two files stays: garbage collection need not go through it any more.
    """
    yield
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        assert not open_clients(), f"{item.path.name} has left clients behind"
        forget_modules_of(item.config.stash[FOLDER])
        gc.freeze()


@pytest.fixture(params=JOBS)
def job(request: Any) -> Any:
    """A collection that fails: how it is made, where, on what, with what."""
    return JOBS[request.param]


@pytest.fixture
def recorder_off() -> Any:
    """On clusters of a test's own, where the tests are run with the recorder on."""
    with dask.config.set(RECORDER_OFF):
        yield


@pytest.fixture
def recorded(client: Any) -> Any:
    """A client whose cluster has the recorder on, with nothing recorded yet."""
    dbgkit.record(client=client).off()
    with dbgkit.record(client=client):
        yield client


@pytest.fixture
def brief_pings(monkeypatch: Any) -> None:
    """A worker that does not answer is waited for half as long as otherwise."""
    from dbgkit.cluster import why, workers
    from dbgkit.diagnose.why import look

    monkeypatch.setattr(look, "PING", look.PING / 2)
    monkeypatch.setattr(workers, "PROBE_LIMIT", workers.PROBE_LIMIT / 2)
    monkeypatch.setattr(why, "PROBE_LIMIT", workers.PROBE_LIMIT)
