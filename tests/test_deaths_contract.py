"""What we rely on in Dask to tell how workers died: see tests/test_contracts.py."""

from __future__ import annotations

import inspect
import subprocess
import sys

import dask
from conftest import RECORDER_OFF, own_cluster
from distributed import Client, Nanny, Scheduler, Worker
from distributed import nanny as nannies
from distributed.worker_state_machine import TaskState


def test_a_nanny_tells_its_hook_of_each_exit_code():
    made = inspect.getsource(Nanny.instantiate)
    assert "on_exit=self._on_worker_exit_sync" in made
    assert list(inspect.signature(Nanny._on_worker_exit_sync).parameters) == [
        "self",
        "exitcode",
    ]
    assert "self.on_exit(r)" in inspect.getsource(nannies.WorkerProcess.mark_stopped)


def test_a_nanny_knows_process_id_address_and_environment():
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        (nanny,) = client.cluster.workers.values()
        ((address, pid),) = client.run(lambda: __import__("os").getpid()).items()
        assert (nanny.pid, nanny.worker_address) == (pid, address)
        assert isinstance(nanny.env, dict)
        assert isinstance(nanny.get_logs(n=5), list)
        assert nanny.process.on_exit == nanny._on_worker_exit_sync


def test_what_a_nanny_logs_of_an_end():
    say = nannies.WorkerProcess._death_message
    assert say(None, 17, 3) == "Worker process 17 exited with status 3"
    assert say(None, 17, -9) == "Worker process 17 was killed by signal 9"


def test_a_nanny_says_that_it_ends_a_worker_for_its_memory():
    from distributed.worker_memory import NannyMemoryManager

    source = inspect.getsource(NannyMemoryManager.memory_monitor)
    assert 'nanny.log_event("worker-restart-memory", event)' in source
    assert {'"worker"', '"pid"', '"rss"'} <= set(source.replace(":", " ").split())


def test_events_of_a_worker_that_goes():
    with own_cluster(n_workers=1, processes=False) as client:
        (address,) = client.scheduler_info(n_workers=-1)["workers"]
        client.retire_workers([address])
        events = [event for _, event in client.get_events("all")]
        (gone,) = (each for each in events if each.get("action") == "remove-worker")
        assert gone["worker"] == address and gone["expected"] is True
        assert isinstance(gone["processing-tasks"], set)
        assert gone["stimulus_id"]


def test_the_log_of_the_scheduler_names_who_went():
    assert "Remove worker addr: {ws.address} name: {ws.name} (" in inspect.getsource(
        Scheduler.remove_worker
    )


def test_other_events_about_workers():
    closing = inspect.getsource(Worker.close)
    assert '{"action": "closing-worker", "reason": reason}' in closing
    ttl = inspect.getsource(Scheduler.check_worker_ttl)
    assert '"worker-ttl-timed-out"' in ttl and '"workers"' in ttl and '"ttl"' in ttl
    restart = inspect.getsource(Scheduler.restart_workers)
    assert '{"action": "restart-workers", "workers": workers' in restart


def test_what_lives_in_a_process():
    for kind in (Client, Scheduler, Worker):
        assert list(kind._instances) is not None


def test_a_workers_task_has_dependencies_with_sizes():
    ts = TaskState("x", run_spec=None)
    assert ts.dependencies == set()
    assert ts.nbytes is None


def test_nanny_plugins_of_a_scheduler_are_pickled_and_named():
    with (
        dask.config.set(RECORDER_OFF),
        own_cluster(n_workers=0, processes=False) as client,
    ):
        assert client.cluster.scheduler.nanny_plugins == {}


HANDLER = """
import faulthandler, sys, tempfile

one, other = tempfile.TemporaryFile(), tempfile.TemporaryFile()
before = sys.getrefcount(one)
faulthandler.enable(one)
assert sys.getrefcount(one) == before + 1
faulthandler.enable(other)
assert sys.getrefcount(one) == before
faulthandler.enable(one)
faulthandler.disable()
assert sys.getrefcount(one) == before
"""


def test_python_holds_the_file_that_crashes_are_written_to():
    subprocess.run([sys.executable, "-c", HANDLER], check=True, timeout=60)


def test_the_worker_logs_what_a_task_raised_that_ends_it():
    from distributed.worker_state_machine import BaseWorker

    source = inspect.getsource(BaseWorker)
    assert 'f"execute({inst.key!r})"' in source
    assert 'logger.exception(f"Unhandled exception in async instruction for' in source


def test_what_is_let_through_ends_a_worker():
    from distributed import worker

    for function in (worker._run_task_simple, worker._run_task_async):
        source = inspect.getsource(function)
        assert "except (SystemExit, KeyboardInterrupt):" in source
        assert "except BaseException as e:" in source


def test_why_workers_close():
    assert inspect.signature(Worker.close).parameters["reason"].default == (
        "worker-close"
    )
    cli = inspect.getsource(__import__("distributed.cli.dask_worker").cli.dask_worker)
    assert 'reason=f"signal-{signum}"' in cli


def test_what_is_logged_of_signals_and_of_what_cannot_be_unpickled():
    from distributed import _signals
    from distributed.protocol import core

    assert _signals.logger.name == "distributed._signals"
    assert '"Received signal %s (%d)"' in inspect.getsource(_signals.wait_for_signals)
    assert core.logger.name == "distributed.protocol.core"
    assert 'logger.critical("Failed to deserialize", exc_info=True)' in (
        inspect.getsource(core.loads)
    )


def test_plugins_are_removed_while_a_worker_can_still_send():
    closing = inspect.getsource(Worker.close)
    assert closing.index("self.plugin_remove(") < closing.index("close-stream")
