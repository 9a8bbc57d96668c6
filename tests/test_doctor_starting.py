"""Plugins and preloads that fail, and workers that leave as they start."""

from __future__ import annotations

import importlib
import logging
import os
import re
import signal
import subprocess
import sys

import dask
import pytest
import tasks
from dask.distributed import NannyPlugin, SchedulerPlugin, WorkerPlugin
from watching import unchanged, wait_until

import dbgkit


def findings(checkup, check):
    return [each for each in checkup.findings if each.check == check]


def finding(checkup, check):
    (found,) = findings(checkup, check)
    return found


class Licensed(WorkerPlugin):
    """Is set up on the first worker only."""

    def setup(self, worker):
        if worker.name != 0:
            raise ValueError("no licence here, password=hunter2")


class Mounts(NannyPlugin):
    def setup(self, nanny):
        if nanny.name != 0:
            raise OSError("no such disk")


class Audits(SchedulerPlugin):
    def transition(self, key, start, finish, *args, **kwargs):
        raise KeyError(key)


@pytest.fixture(scope="module")
def with_plugins():
    """A cluster with plugins that fail, on the second worker or the scheduler."""
    from conftest import own_cluster

    with own_cluster(n_workers=1) as client:
        client.register_plugin(Licensed(), name="licence")
        client.register_plugin(Mounts(), name="mounts")
        client.register_plugin(Audits(), name="audits")
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=30)
        client.gather(client.map(tasks.inc, range(3)))
        yield client


def test_plugins_that_failed_on_a_late_worker_and_its_nanny(with_plugins):
    # The cluster has it only once its nanny has started.
    late = wait_until(lambda: with_plugins.cluster.workers.get(1), "it has started")
    with unchanged(with_plugins):
        problem, _ = findings(dbgkit.doctor(), "plugins")
    assert problem.level == "problem"
    assert problem.summary == (
        "plugins 'licence', 'mounts' could not be set up: workers run without what it "
        "does"
    )
    licence, mounts = problem.evidence
    assert licence.startswith(f"licence on worker {late.worker_address}: ValueError(")
    assert "no licence here" in licence
    assert "hunter2" not in str(dbgkit.doctor())
    # Nannies of one process share their logs, so which one it was is not known.
    assert mounts.startswith("mounts on a nanny: OSError: no such disk")


def test_a_plugin_of_the_scheduler_that_raises_at_each_transition(with_plugins):
    _, warning = findings(dbgkit.doctor(), "plugins")
    assert warning.level == "warning"
    assert warning.summary.startswith("on the scheduler, plugin 'audits' raised")
    (line,) = warning.evidence
    assert line.startswith("audits in transition (")
    assert "KeyError('inc-" in line
    assert "times in the scheduler's log" in line


def test_failed_plugins_are_in_a_dump(with_plugins, tmp_path):
    with_plugins.dump_cluster_state(str(tmp_path / "dump"))
    found = finding(dbgkit.doctor(view=tmp_path / "dump.msgpack.gz"), "plugins")
    (line,) = found.evidence
    assert line.startswith("licence on worker tcp://")
    assert "ValueError: no licence here" in line
    assert "hunter2" not in str(found)


def buy():
    os.environ["DBGKIT_TEST_LICENCE"] = "1"


def test_a_plugin_that_was_set_up_again_or_removed_is_fine(harmable, tmp_path):
    class Fails(WorkerPlugin):
        def setup(self, worker):
            if not os.environ.get("DBGKIT_TEST_LICENCE"):
                raise ValueError("no licence here")

    with harmable(n_workers=1) as client:
        for name in ("one", "two"):
            with pytest.raises(ValueError, match="no licence here"):
                client.register_plugin(Fails(), name=name)
        assert len(finding(dbgkit.doctor(), "plugins").evidence) == 2
        client.unregister_worker_plugin("one")
        client.run(buy)
        client.register_plugin(Fails(), name="two")
        assert finding(dbgkit.doctor(), "plugins").level == "ok"
        client.dump_cluster_state(str(tmp_path / "dump"))
        found = finding(dbgkit.doctor(view=tmp_path / "dump.msgpack.gz"), "plugins")
        assert found.level == "ok"


def test_what_the_scheduler_does_not_log_is_not_known(harmable):
    log = logging.getLogger("distributed.scheduler")
    before = log.level
    with harmable(n_workers=1, processes=False):
        try:
            log.setLevel(logging.WARNING)
            found = finding(dbgkit.doctor(), "plugins")
        finally:
            log.setLevel(before)
    assert found.level == "ok"
    assert "whether one raises at transitions is not known" in found.summary


def test_whether_a_preload_failed_is_not_known(harmable, tmp_path):
    preload = tmp_path / "mounts.py"
    preload.write_text("def dask_setup(worker):\n    raise OSError('no such disk')\n")
    with (
        dask.config.set({"distributed.worker.preload": [str(preload)]}),
        harmable(n_workers=1),
    ):
        found = finding(dbgkit.doctor(), "plugins")
    assert found.level == "ok"
    assert f"whether preloads ({preload}) failed is not known" in found.summary


LEAVES = """
import os
import threading
import time

def leave(worker):
    while worker.status.name != "running":
        time.sleep(0.05)
    time.sleep(0.3)
    os._exit(3)

def dask_setup(worker):
    threading.Thread(target=leave, args=(worker,)).start()
"""


def test_workers_that_leave_as_they_start(harmable, tmp_path):
    preload = tmp_path / "leaves.py"
    preload.write_text(LEAVES)
    with harmable(n_workers=1) as client:
        client.restart()  # told to leave
        assert finding(dbgkit.doctor(), "worker-starts").level == "ok"
        command = [
            *(sys.executable, "-m", "distributed.cli.dask_worker"),
            *(client.scheduler.address, "--no-nanny", "--preload", str(preload)),
        ]
        both = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
        for each in both:
            each.wait(60)

        def left():
            found = finding(dbgkit.doctor(), "worker-starts")
            return found if found.level == "problem" else None

        found = wait_until(left, "the scheduler knows that they left")
        assert found.summary == "2 workers left within 30 s of joining"
        assert len(found.evidence) == 2
        assert re.search(r"left after \d\.\d s", found.evidence[0])
        assert "dbgkit.deaths()" in found.advice


def test_workers_that_cannot_read_a_registered_plugin(harmable, tmp_path, monkeypatch):
    (tmp_path / "dbgkit_plugs.py").write_text(
        "from distributed import WorkerPlugin\n\nclass Plug(WorkerPlugin):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plugs = importlib.import_module("dbgkit_plugs")
    with harmable(n_workers=1) as client:
        client.register_plugin(plugs.Plug(), name="plug")
        address = client.scheduler.address
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address]
        process = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:

            def failed():
                found = finding(dbgkit.doctor(timeout="1s"), "worker-starts")
                return found if found.level == "problem" else None

            found = wait_until(failed, "the start has failed")
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # its nanny may wait for long
            process.wait()
    assert found.summary == "the start of 1 worker failed"
    assert found.evidence[0].endswith("its start failed with ModuleNotFoundError")
    assert "client.unregister_worker_plugin(name)" in found.advice


def test_a_nanny_that_cannot_start_its_worker_again(harmable, tmp_path):
    preload = tmp_path / "needs.py"
    preload.write_text("")
    with (
        dask.config.set({"distributed.worker.preload": [str(preload)]}),
        harmable(n_workers=2) as client,
    ):
        pids = client.run(os.getpid)
        preload.write_text("raise ImportError('no module of this name')")
        os.kill(next(iter(pids.values())), signal.SIGKILL)

        def told():
            found = finding(dbgkit.doctor(), "worker-starts")
            return found if found.level == "problem" else None

        found = wait_until(told, "the nanny gave up")
    assert "nannies could not start a worker 1 time" in found.summary
    assert any("no module of this name" in line for line in found.evidence)
