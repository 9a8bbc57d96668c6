"""What `doctor` builds on in Dask, each fact by name."""

from __future__ import annotations

import inspect
import logging

import dask
from distributed import Nanny, Worker
from distributed.nanny import WorkerProcess
from distributed.preloading import Preload, PreloadManager
from distributed.scheduler import SchedulerState

from dbgkit.remote.common.log_records import (
    _FAILED,
    _STARTING,
    error_of,
    records_of,
)
from dbgkit.remote.common.preloads import preloads_of
from dbgkit.remote.worker.doctor_modules import delayed_function


def test_servers_keep_the_records_of_their_logs(inproc):
    scheduler = inproc.scheduler
    try:
        raise KeyError("a test's")
    except KeyError:
        logging.getLogger("distributed.scheduler").info("a test's line", exc_info=True)
    record = records_of(scheduler)[0]
    assert record.msg == "a test's line"
    assert isinstance(error_of(record), KeyError)
    for worker in inproc.workers.values():
        assert isinstance(records_of(worker), list)


def test_servers_know_their_preloads(inproc):
    assert preloads_of(inproc.scheduler) == []
    assert "self.name = name" in inspect.getsource(Preload.__init__)
    # An error of a preload is logged where `get_logs` does not look.
    assert "Failed to start preload" in inspect.getsource(PreloadManager.start)


def test_a_worker_logs_plugins_that_it_starts_and_that_fail():
    source = inspect.getsource(Worker.plugin_add)
    assert f'logger.info("{_STARTING}", name)' in source
    assert f'logger.exception("{_FAILED}", name)' in source
    # One that fails stays.
    assert source.index("self.plugins[name] = plugin") < source.index(_FAILED)


def test_a_nanny_logs_plugins_and_workers_that_fail():
    plugins = inspect.getsource(Nanny.plugin_add)
    assert 'logger.exception("Nanny plugin %s failed to setup", name)' in plugins
    starts = inspect.getsource(Nanny.instantiate)
    assert '"Failed to start process"' in starts
    assert "Timed out connecting Nanny" in starts
    assert "Nanny failed to start process" in inspect.getsource(WorkerProcess.start)


def test_the_scheduler_logs_what_plugins_raise_at_transitions():
    source = inspect.getsource(SchedulerState)
    assert 'logger.info("Plugin failed with exception", exc_info=True)' in source


def test_events_of_one_topic_and_what_those_of_workers_say(harmable):
    with harmable(n_workers=1, processes=False) as client:
        events = client.cluster.scheduler.get_events("all")
        (_, msg), *_ = [event for event in events if "worker" in event[1]]
        assert msg["action"] == "add-worker"
    assert '"action": "closing-worker", "reason": reason' in inspect.getsource(Worker)


def test_the_function_of_a_delayed_one():
    def lazy():
        return 1

    assert delayed_function(dask.delayed(lazy)) is lazy
    assert delayed_function(3) is None


def test_where_workers_have_their_folders(inproc):
    for worker in inproc.workers.values():
        assert "dask-scratch-space" in worker.local_directory
