"""What a worker's last moments say: what tasks raised, first lines, logs, memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import dask
import dask.bag as db
import deaths_tasks as tasks
import pytest
from conftest import RECORDER_OFF, own_cluster
from deaths_tasks import PATIENT, boxes_of, die, gone, pooled, workers
from distributed import wait
from watching import wait_until

import dbgkit
from dbgkit.model import Deaths
from dbgkit.remote.common.boxes import read_box
from dbgkit.render.saying import put_text


@pytest.fixture
def client(mortals):
    """A cluster with both workers there."""
    mortals.wait_for_workers(2, timeout=60)
    return mortals


@pytest.fixture(scope="module")
def logged(mortals):
    """A death of a task that logs, and ends its worker at once."""
    return die(mortals, tasks.log_and_leave, key="logs")[1]


@pytest.fixture(scope="module")
def grown(mortals):
    """A death of a task that took more and more memory."""
    return die(mortals, tasks.grow_and_die, key="grows")[1]


RAISED = {
    "exit": "SystemExit: token=<hidden>",
    "status": "SystemExit: 7",
    "interrupt": "KeyboardInterrupt: stop it",
}


@pytest.mark.parametrize("function", [tasks.raise_it, tasks.raise_it_later])
@pytest.mark.parametrize("kind", RAISED)
def test_what_a_task_raised_that_ends_its_worker_is_told(client, kind, function):
    key = f"{kind}-{function.__name__}"
    _, death = die(client, function, kind, key=key)
    assert death.verdict == "exit" and death.signal == ""
    assert f"ended because {key!r} raised {RAISED[kind]}" in death.summary
    (task,) = death.ran
    assert (task.raised, task.ended) == (RAISED[kind], False)
    assert task.line.endswith(f" in {function.__name__}")
    assert "hunter2" not in str(death) and "hunter2" not in json.dumps(death.to_json())


def test_failures_and_why_tell_what_was_raised(client):
    future, death = die(client, tasks.raise_it, "status", key="told-everywhere")
    groups = dbgkit.failures(client=client).groups
    (group,) = (each for each in groups if future.key in each.keys)
    assert "raised SystemExit: 7" in group.message
    assert group.location.endswith("in raise_it")
    assert death.summary in " ".join(dbgkit.why(future, client=client).evidence)


@pytest.mark.parametrize("function", [tasks.raise_it, tasks.raise_it_later])
@pytest.mark.parametrize("kind", tasks.FAILURES)
def test_other_exceptions_are_failures_and_no_deaths(client, kind, function):
    before = workers(client)
    future = client.submit(function, kind, key=f"{kind}-{function.__name__}")
    wait(future)
    assert future.status == "error"
    assert workers(client) == before
    found = {each.key: each for each in dbgkit.recordings(client=client)}
    recording = found[future.key]
    assert recording.exception_type == type(tasks.FAILURES[kind]()).__name__
    assert recording.gap == ""


def test_a_replay_dies_of_an_interrupt_as_its_worker_did(client):
    future, _ = die(client, tasks.raise_it, "interrupt", key="replayed")
    with dbgkit.replay(future, client=client) as replay:
        assert (replay.where, replay.outcome) == ("process", "died")
        assert replay.crash.startswith("it raised KeyboardInterrupt('stop it')")


def raised_in(box):
    return [task["raised"] for task in read_box(box)["tasks"] if task["raised"]]


def test_what_a_process_pool_raised_is_told():
    with pooled() as client:
        ((worker, pid),) = workers(client).items()
        with dask.annotate(executor="pool"):
            task = dask.delayed(tasks.raise_it)("exit", dask_key_name=("pooled", 1))
        future = client.compute(task, optimize_graph=False)
        (box,) = boxes_of(pid)
        wait_until(lambda: raised_in(box), "it has raised")
        # Its loop has ended, but Python waits for the pool's processes.
        os.kill(pid, signal.SIGKILL)
        wait(future)
        death = gone(client, worker)
        (ended,) = death.ran
        assert ended.key == ("pooled", 1)
        assert ended.raised == RAISED["exit"]
        assert ended.line.endswith("in raise_it")


def test_what_a_task_raised_that_was_there_before_the_recorder(tmp_path):
    started, go = tmp_path / "started", tmp_path / "go"
    with (
        dask.config.set({**PATIENT, **RECORDER_OFF}),
        own_cluster(n_workers=1, threads_per_worker=1) as client,
    ):
        (worker,) = workers(client)
        future = client.submit(
            tasks.start_then_raise, str(started), str(go), key="earlier"
        )
        wait_until(started.exists, "it runs")
        with dbgkit.record(client=client):
            go.touch()
            wait(future)
            (task,) = gone(client, worker).ran
            assert (task.key, task.raised) == ("earlier", "SystemExit: 9")
            assert task.line.endswith("in start_then_raise")
            client.wait_for_workers(1, timeout=60)


# -- deaths before anybody could look --------------------------------------------------


def first_lines(function):
    code = function.__code__
    return (f"{code.co_filename}:{code.co_firstlineno} in {code.co_name}",)


def test_a_quick_death_has_the_first_line_of_its_function(client):
    future, death = die(client, tasks.leave_at_once, key="at-once")
    (task,) = death.ran
    assert task.first_lines == first_lines(tasks.leave_at_once)
    if not task.line:
        assert "in the function at" in " ".join(str(death).split())
    groups = dbgkit.failures(client=client).groups
    (group,) = (each for each in groups if future.key in each.keys)
    assert group.location.endswith("in leave_at_once")


def test_of_a_fused_task_each_function_is_named(client):
    before = set(workers(client))
    bag = db.from_sequence([8, 8], npartitions=1)
    future = client.compute(bag.map(tasks.add_one).map(tasks.leave_with))
    wait(future)
    deaths = [each for each in dbgkit.deaths(client=client) if each.worker in before]
    (task,) = deaths[0].ran
    assert deaths[0].exit_code == 9
    assert task.first_lines == (
        *first_lines(tasks.add_one),
        *first_lines(tasks.leave_with),
    )


def test_what_is_not_written_in_python_has_no_first_line(client):
    _, death = die(client, os._exit, 5, key="builtin")
    (task,) = death.ran
    assert (task.first_lines, task.line, death.exit_code) == ((), "", 5)


# -- what was logged -------------------------------------------------------------------


def test_the_last_warnings_and_errors_are_told(logged):
    assert logged.logged_known
    warning, *_ = (line for line in logged.logged if "my.library" in line.text)
    # Another task of this worker may have failed before.
    error = [line for line in logged.logged if line.level == "ERROR"][-1]
    assert (warning.level, warning.times) == ("WARNING", 30)
    assert warning.text == "my.library: try 29 failed"
    assert error.level == "ERROR" and "(Custom: m)" in error.text
    assert 0 <= error.age <= warning.age < 60
    assert "hunter2" not in str(logged) + json.dumps(logged.to_json())
    assert "the last of 30" in str(logged)


def test_a_worker_that_logged_nothing_is_told_so(client):
    # GIVEN a worker on which no other test's task has failed
    before = set(workers(client))
    die(client, tasks.leave_at_once, 4, key="before-silent")
    client.wait_for_workers(2, timeout=60)
    (fresh,) = set(workers(client)) - before
    # WHEN it dies in silence THEN that is told
    _, death = die(client, tasks.leave_at_once, 4, key="silent", workers=[fresh])
    assert death.worker == fresh
    assert death.logged_known and not death.logged
    assert "no warning and no error" in str(death)


def test_without_the_recorder_it_is_not_recorded():
    with (
        dask.config.set({**PATIENT, **RECORDER_OFF}),
        own_cluster(n_workers=1, threads_per_worker=1) as client,
    ):
        wait(client.submit(tasks.log_and_leave, key="unrecorded"))
        client.wait_for_workers(1, timeout=60)
        (death,) = dbgkit.deaths(client=client)
        assert not death.logged_known and not death.memory_history
        assert "logged" in str(death) and "not recorded" in str(death)


# -- memory ----------------------------------------------------------------------------


def test_memory_before_the_end_is_told(grown):
    ages, sizes = zip(*grown.memory_history, strict=True)
    assert list(ages) == sorted(ages, reverse=True)
    assert 2 <= len(sizes) <= 61
    assert sizes[-1] > sizes[0] + 200_000_000
    assert json.loads(json.dumps(grown.to_json()))["memory_history"][-1][1] == sizes[-1]


def test_memory_is_a_line_of_bars_where_there_are_any(grown, tmp_path):
    deaths = Deaths((grown,), 1)
    for shown in (str(deaths), deaths._repr_mimebundle_()["text/html"]):
        assert "█ " in shown
    path = tmp_path / "plain.txt"
    with path.open("w", encoding="ascii") as file:
        put_text(str(deaths), file)
    assert "# " in path.read_text()


# -- workers that closed, but not on purpose -------------------------------------------


def test_a_worker_that_closes_itself_tells_what_it_logged(client):
    worker = next(iter(workers(client)))

    def close_it(dask_worker):
        logging = __import__("logging")
        logging.getLogger("my.plugin").error("giving up")
        dask_worker.loop.add_callback(dask_worker.close, nanny=False)

    client.run(close_it, workers=[worker])
    wait_until(lambda: worker not in client.nthreads(), "it is gone")
    death = gone(client, worker)
    assert death.verdict == "exit" and "without giving a reason" in death.summary
    assert "my.plugin: giving up" in [line.text for line in death.logged]


def test_a_worker_that_cannot_unpickle_a_task_is_told(tmp_path, monkeypatch):
    (tmp_path / "only_of_the_client.py").write_text("def work():\n    return 1\n")
    with (
        dask.config.set(PATIENT),
        own_cluster(n_workers=1, threads_per_worker=1) as client,
        dbgkit.record(client=client),
    ):
        monkeypatch.syspath_prepend(str(tmp_path))  # not that of its workers
        only_of_the_client = __import__("only_of_the_client")
        wait(client.submit(only_of_the_client.work, key="not-there", pure=False))
        (death,) = dbgkit.deaths(client=client)
        assert death.verdict == "exit" and "could not unpickle" in death.summary
        assert "No module named 'only_of_the_client'" in death.summary


def test_off_leaves_pythons_log_records_as_they_were(recorder_off):
    def factory():
        logging = __import__("logging")
        return type(logging.getLogRecordFactory()).__name__

    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        (before,) = client.run(factory).values()
        recorder = dbgkit.record(client=client)
        assert list(client.run(factory).values()) == ["LogWatch"]
        recorder.off()
        assert list(client.run(factory).values()) == [before]


ENDS_ITS_CLUSTER = """
import sys
from distributed import Client, LocalCluster
import dbgkit
from deaths_tasks import raise_it
from watching import wait_until

cluster = LocalCluster(n_workers=1, processes=False, dashboard_address=":0")
client = Client(cluster)
loop = cluster.loop.asyncio_loop
client.submit(raise_it, "exit")
wait_until(loop.is_closed, "the loop has ended")
try:
    dbgkit.deaths(client=client)
except dbgkit.errors.SchedulerGone as error:
    print(error, flush=True)
__import__("os")._exit(0)
"""


def test_a_task_that_ended_the_client_too_is_told():
    run = subprocess.run(
        [sys.executable, "-c", ENDS_ITS_CLUSTER],
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "the client's event loop has ended" in run.stdout, run.stderr
