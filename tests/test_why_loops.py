"""Tasks that are run again and again: live, and from a dump."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager

import dask
import pytest
from conftest import RECORDER_OFF
from distributed import Client, Reschedule, wait
from test_why_order import until
from watching import clear_history, wait_until
from why_looks import codes, flag, from_dump, why_until
from why_tasks import inc, loop_until

import dbgkit
from dbgkit.remote.scheduler import why_loops


@pytest.fixture
def client(processes_client):
    processes_client.run_on_scheduler(clear_history)
    return processes_client


def never_ready(path):
    """Fail, each time with another message, until a file is there."""
    time.sleep(0.02)
    if not os.path.exists(path):
        raise OSError(f"not ready at {time.time()}")


def not_here(path):
    """Ask to be run elsewhere, until a file is there."""
    time.sleep(0.02)
    if not os.path.exists(path):
        raise Reschedule


def die():
    os._exit(3)


def same_as_dumped(client, tmp_path, found, target=None):
    dumped = from_dump(client, tmp_path, target)
    assert (dumped.cause, dumped.because) == (found.cause, found.because)
    assert (dumped.summary, dumped.key) == (found.summary, found.key)
    assert dumped.chain == found.chain
    return dumped


def test_a_task_with_very_many_retries(client, tmp_path):
    path = str(tmp_path / "ready")
    future = client.submit(never_ready, path, retries=10_000, key="never-1")
    after = client.submit(inc, future, key="after")
    found = why_until("retry-loop")
    assert found.summary == "'never-1' fails, and is tried again and again: OSError"
    assert found.evidence[0].startswith("'never-1': ")
    assert " attempts failed since 2" in found.evidence[0]
    assert "the last error: OSError: not ready at " in found.evidence[1]
    assert " retries left of those that it was submitted with" in found.evidence[2]
    assert "1 task waits for it" in found.evidence
    assert not found.healthy
    dumped = same_as_dumped(client, tmp_path, found)
    assert "the last error: OSError: not ready at " in dumped.evidence[1]
    waits = dbgkit.why(after)
    assert (waits.cause, waits.because) == ("waiting-on", "retry-loop")
    same_as_dumped(client, tmp_path, waits, "after")
    (tmp_path / "ready").touch()
    wait(future)
    assert dbgkit.why(future).cause == "finished"
    client.cancel(after)


def test_a_task_that_raises_reschedule_for_ever(client, tmp_path):
    future = client.submit(not_here, str(tmp_path / "ready"), key="never-2")
    found = why_until("retry-loop", future)
    assert found.summary == "'never-2' raises Reschedule again and again"
    assert found.evidence[0].startswith("'never-2' raised Reschedule ")
    assert "count its attempts" in found.advice[1]
    same_as_dumped(client, tmp_path, found, "never-2")
    (tmp_path / "ready").touch()
    wait(future)


@contextmanager
def retries(future):
    """A client that has a task run again whenever it has failed."""
    over = threading.Event()

    def retry():
        while not over.is_set():
            wait(future)
            future.retry()

    thread = threading.Thread(target=retry)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_client_that_retries_for_ever(client, tmp_path):
    path = str(tmp_path / "ready")
    with Client(client.scheduler.address, set_as_default=False) as other:
        future = other.submit(never_ready, path, key="never-3")
        with retries(future):
            found = why_until("retry-loop", "never-3", client=client)
            assert found.summary.endswith("tried again and again: OSError")
            called = [line for line in found.evidence if " called retry() " in line]
            assert len(called) == 1 and called[0].startswith(f"{other.id} called")
            assert until(client, lambda found: found.cause == "retry-loop", "loop")
            dumped = same_as_dumped(client, tmp_path, found, "never-3")
            assert any("which one is not recorded" in e for e in dumped.evidence)
        wait(future)


def test_a_few_retries_are_no_loop(client, tmp_path):
    future = client.submit(never_ready, str(tmp_path / "x"), retries=3, key="few")
    wait(future)
    assert codes(dbgkit.why()) == ["failed"]
    assert dbgkit.why("few").cause == "failed"


def test_what_was_retried_and_has_failed_for_good_has_failed(client, tmp_path):
    future = client.submit(never_ready, str(tmp_path / "x"), key="over")
    for _ in range(7):
        wait(future)
        future.retry()
    wait(future)
    assert dbgkit.why(future).cause == "retry-loop"  # a moment ago

    def failed():
        client.run_on_scheduler(age, key="over", seconds=60)
        return dbgkit.why(future).cause == "failed"

    wait_until(failed, "failed")


def age(dask_scheduler, key, seconds):
    """Let what the log has of a task be older."""
    log = dask_scheduler.transition_log
    for at, entry in enumerate(log):
        if entry[0] == key:
            log[at] = entry._replace(timestamp=entry.timestamp - seconds)


def test_attempts_before_a_key_was_submitted_again_are_no_loop(client, tmp_path):
    for _ in range(why_loops.OFTEN + 1):
        failed = client.submit(never_ready, str(tmp_path / "x"), key="again")
        wait(failed)
        del failed
        wait_until(lambda: not client.run_on_scheduler(knows, key="again"), "forgotten")
    with flag(tmp_path) as path:
        running = client.submit(loop_until, path, key="again")
        found = why_until("running", running)
        assert codes(dbgkit.why()) == ["running"]
        assert from_dump(client, tmp_path, "again").cause == "running"
    assert found.healthy


def knows(dask_scheduler, key):
    return key in dask_scheduler.tasks


def test_what_runs_is_not_taken_for_what_ran_by_its_key_before(client, tmp_path):
    """The last heartbeat told of an earlier life of the key."""
    address = min(client.scheduler_info()["workers"])
    (tmp_path / "before").mkdir()
    (tmp_path / "now").mkdir()
    with flag(tmp_path / "before") as path:
        before = client.submit(loop_until, path, workers=[address], key="again")
        wait_until(lambda: client.run_on_scheduler(heard, key="again"), "it was heard")
    wait(before)
    del before
    wait_until(lambda: not client.run_on_scheduler(knows, key="again"), "forgotten")
    with flag(tmp_path / "now") as path:
        running = client.submit(loop_until, path, workers=[address], key="again")
        wait_until(lambda: client.run_on_scheduler(knows, key="again"), "submitted")
        # The next heartbeat comes half a second after that one.
        assert dbgkit.why().key == "again"
    wait(running)


def heard(dask_scheduler, key):
    """Whether a heartbeat has told that a task is executed."""
    workers = dask_scheduler.workers.values()
    return any(ts.key == key for ws in workers for ts in ws.executing)


def heals(folder, slow):
    """Fail six times and then no more; from some run on, wait for a file."""
    runs = len(os.listdir(folder))
    open(os.path.join(folder, str(runs)), "x").close()
    if runs < 6:
        raise OSError("not ready")
    while runs >= slow and not os.path.exists(folder + "-go"):
        time.sleep(0.02)


def test_a_task_that_no_longer_fails_is_told_by_what_it_does(client, tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    future = client.submit(heals, str(folder), 6, retries=10, key="heals")
    wait_until(lambda: len(os.listdir(folder)) == 7, "the last run")

    def runs():
        client.run_on_scheduler(age, key="heals", seconds=60)
        return dbgkit.why(future).cause == "retrying"

    wait_until(runs, "retrying")
    assert codes(dbgkit.why()) == ["retrying"]
    (tmp_path / "runs-go").touch()
    wait(future)


def test_what_was_done_and_is_computed_again_is_no_loop(harmable, tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    few = {"distributed.scheduler.allowed-failures": 0, **RECORDER_OFF}
    with dask.config.set(few), harmable(n_workers=1) as client:
        killed = client.submit(die, retries=3, key="deadly")
        wait(killed)
        found = dbgkit.why(killed)
        assert "1 worker died" in found.summary
        # Retries are for what tasks raise.
        assert not any("attempts" in line for line in found.evidence)
        future = client.submit(heals, str(folder), 7, retries=10, key="heals")
        wait(future)
        (worker,) = client.scheduler_info()["workers"]
        client.restart_workers([worker])
        assert why_until("retrying", future).cause == "retrying"
        (tmp_path / "runs-go").touch()
        wait(future)


def test_a_log_that_has_rolled_over_says_at_least(client, tmp_path):
    future = client.submit(not_here, str(tmp_path / "ready"), key="rolls")
    why_until("retry-loop", future)
    client.run_on_scheduler(forget_beginning, key="rolls")
    found = why_until("retry-loop", future)
    assert " raised Reschedule at least " in found.evidence[0]
    (tmp_path / "ready").touch()
    wait(future)


def forget_beginning(dask_scheduler, key):
    log = dask_scheduler.transition_log
    del log[[entry[0] for entry in log].index(key)]


def test_a_task_whose_workers_die(harmable, tmp_path, monkeypatch):
    monkeypatch.setattr(why_loops, "OFTEN", 2)  # a worker takes a while to start
    many = {"distributed.scheduler.allowed-failures": 1_000, **RECORDER_OFF}
    with dask.config.set(many), harmable(n_workers=1) as client:
        future = client.submit(die, key="deadly")
        after = client.submit(inc, future, key="after")

        def died():
            return client.run_on_scheduler(suspicious, key="deadly") > 1

        wait_until(died, "two workers died", 60)
        found = why_until("retry-loop", "deadly")
        assert found.summary == (
            "workers die with 'deadly', which is sent to others again and again"
        )
        assert " workers died while 'deadly' was assigned to it" in found.evidence[0]
        assert not any("wait" in line for line in found.advice)
        assert dbgkit.why().cause == "retry-loop"
        assert dbgkit.why(after).because == "retry-loop"
        same_as_dumped(client, tmp_path, found, "deadly")
        client.cancel([future, after])


def suspicious(dask_scheduler, key):
    ts = dask_scheduler.tasks.get(key)
    return ts.suspicious if ts is not None else 0


def test_private_names_of_dask_are_there(client):
    """Contract: what loops, averages and errors in logs are read from."""
    future = client.submit(inc, 1, key="contract-1")
    wait(future)
    assert client.run_on_scheduler(scheduler_names, key="contract-1") == []


def scheduler_names(dask_scheduler, key):
    ts = dask_scheduler.tasks[key]
    wanted = [
        (dask_scheduler, "time_started"),
        (dask_scheduler, "monitor"),
        (ts, "waiters"),
        (ts, "retries"),
        (ts.prefix, "state_counts"),
        (ts.prefix, "all_durations"),
    ]
    missing = [name for owner, name in wanted if not hasattr(owner, name)]
    if not ts.prefix.state_counts["memory"]:
        missing.append("transitions into memory")
    entry = dask_scheduler.transition_log[-1]
    return missing if len(entry) >= 6 else [*missing, "entries of the log"]
