"""The gauntlet: tasks that take locks and semaphores, on real clusters.

A task that failed without letting go holds its lock still, as its worker refreshes it.
"""

from __future__ import annotations

import gc
import time
import uuid
from contextlib import contextmanager

import pytest
import standin_tasks as tasks
from distributed import Event, Lock, Semaphore, wait
from jobs import submitter
from watching import entered, unchanged, wait_until

import dbgkit
from dbgkit import errors
from dbgkit.model import Notice

LIMIT = "3s"


def leases(dask_scheduler):
    extension = dask_scheduler.extensions["semaphores"]
    return (
        {name: sorted(ids) for name, ids in extension.leases.items() if ids},
        dict(extension.max_leases),
    )


@contextmanager
def leases_unchanged(client):
    """Fail unless the scheduler knows the same locks, and leases of them, as before."""
    with unchanged(client):
        before = client.run_on_scheduler(leases)
        yield
        assert client.run_on_scheduler(leases) == before


@pytest.fixture
def name():
    """Of a lock: what an earlier test's task holds, it holds still."""
    return f"standin-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def failed(client):
    """Submit a call and wait until it has failed; its locks are closed at the end."""
    return submitter(client)


@pytest.fixture
def failed_there(processes_client):
    """As `failed`, on worker processes."""
    return submitter(processes_client)


def replayed(client, future, function, *, outcome="same", local=None, **options):
    """Replay: outcome, frame and locals are as given; cluster and locks as before.

    Returns what was noted, and what was told on the way.
    """
    told = []
    options.setdefault("timeout", LIMIT)
    with leases_unchanged(client):
        replay = dbgkit.replay(future, notify=told.append, **options)
        assert replay.outcome == outcome, (replay.exception, replay.notes)
        entered(replay, function.__name__, **(local or {}))
        notes = replay.notes
        replay.close()
        del replay
        gc.collect()
    return notes, [event.text for event in told if isinstance(event, Notice)]


@pytest.mark.parametrize("where", ["here", "process"])
def test_a_lock_that_is_free_is_taken_and_given_back(
    processes_client, failed_there, name, where
):
    future = failed_there(tasks.with_lock, name, 4)
    notes, _ = replayed(
        processes_client,
        future,
        tasks.with_lock,
        local={"half": 2.0},
        where=where,
        timeout="20s",
    )
    assert notes == ()


@pytest.mark.parametrize("function", [tasks.keep_lock, tasks.keep_semaphore])
def test_a_lock_that_the_failed_task_still_holds_is_not_waited_for(
    client, failed, name, function
):
    future = failed(function, name, 4)
    worker = dbgkit.locate(future).worker
    start = time.monotonic()
    notes, told = replayed(client, future, function)
    assert time.monotonic() - start < 20
    (text,) = told
    assert worker in text
    assert "no longer runs any task" in text
    assert text in notes


@pytest.mark.parametrize("where", ["process", "worker"])
def test_nor_is_it_elsewhere(processes_client, failed_there, name, where):
    future = failed_there(tasks.keep_lock, name, 4)
    notes, _ = replayed(
        processes_client, future, tasks.keep_lock, where=where, timeout="20s"
    )
    assert any("no longer runs any task" in note for note in notes)


def test_nor_one_that_came_as_an_argument(processes_client, failed_there, name):
    # Nothing refreshes it, as it was made where no worker is to be found.
    future = failed_there(tasks.keep_given_lock, Lock(name), 4)
    notes, _ = replayed(processes_client, future, tasks.keep_given_lock)
    assert any("no longer runs any task" in note for note in notes)


def test_a_lock_without_a_name_is_the_replays_alone(client, failed):
    future = failed(tasks.nameless_lock, 4)
    replayed(client, future, tasks.nameless_lock, local={"locked": True})


@pytest.mark.parametrize("where", ["here", "worker"])
def test_a_coroutine_awaits_its_lock(client, failed, name, where):
    future = failed(tasks.await_lock, name, 4)
    replayed(client, future, tasks.await_lock, local={"half": 2.0}, where=where)


@contextmanager
def held_by_a_task(client, name):
    """A lock that a running task holds; gives its key and its worker."""
    held, done = Event(f"{name}-held"), Event(f"{name}-done")
    held.clear(), done.clear()
    task = client.submit(tasks.hold_until, name, held.name, done.name, pure=False)
    assert held.wait(timeout=30)
    (worker,) = [
        address for address, keys in client.processing().items() if task.key in keys
    ]
    try:
        yield task.key, worker
    finally:
        done.set()
        wait(task, timeout=30)


@pytest.mark.parametrize("where", ["here", "worker"])
def test_the_lock_of_a_running_task_is_never_bypassed(client, failed, name, where):
    future = failed(tasks.with_lock, name, 4)
    with held_by_a_task(client, name) as (key, worker):
        before = client.run_on_scheduler(leases)
        start = time.monotonic()
        with pytest.raises(errors.StandInLacks) as caught:
            dbgkit.replay(future, timeout="6s", where=where)
        text = str(caught.value)
        assert time.monotonic() - start < 20
        assert f"the lock {name!r}" in text
        assert worker in text
        assert key in text
        assert client.run_on_scheduler(leases) == before


def test_a_lock_that_is_let_go_of_meanwhile_is_taken(client, failed, name):
    future = failed(tasks.with_lock, name, 4)
    with held_by_a_task(client, name):
        Event(f"{name}-done").set()
        with dbgkit.replay(future, timeout="20s") as replay:
            assert replay.outcome == "same"


def test_a_lock_that_this_process_holds_is_named_so(client, failed, name):
    future = failed(tasks.with_lock, name, 4)
    with Lock(name), pytest.raises(errors.StandInLacks, match="this process"):
        dbgkit.replay(future, timeout="1s")


def test_the_tasks_own_limit_is_kept(client, failed, name):
    future = failed(tasks.try_lock, name, 4)
    with held_by_a_task(client, name), dbgkit.replay(future) as replay:
        assert "4, as False" in str(replay.exception)


def test_locks_of_a_replay_are_refreshed_by_nobody_afterwards(
    processes_client, failed_there, name
):
    from dbgkit.cluster.clients import event_loop
    from dbgkit.remote.common.leases import refreshed_by

    future = failed_there(tasks.with_lock, name, 4)
    before = len(refreshed_by(event_loop(processes_client)))
    with dbgkit.replay(future, timeout=LIMIT):
        wait_until(
            lambda: len(refreshed_by(event_loop(processes_client))) <= before,
            "nothing is refreshed",
        )


def test_a_semaphore_with_a_lease_left_is_shared(client, failed, name):
    semaphore = Semaphore(max_leases=2, name=name)
    future = failed(tasks.take_one_of_two, name, 4)
    with semaphore:
        replayed(client, future, tasks.take_one_of_two)
    semaphore.close()


def test_a_worker_keeps_its_time_limit_the_first_time_too(harmable, tmp_path):
    path = tmp_path / "there"
    path.touch()
    with harmable(n_workers=1) as client:
        future = submitter(client)(tasks.hang_or_fail, str(path))
        path.unlink()
        start = time.monotonic()
        replay = dbgkit.replay(future, where="worker", timeout="2s")
        assert replay.outcome == "timeout"
        assert time.monotonic() - start < 12
        path.touch()
