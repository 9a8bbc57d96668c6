"""Tasks whose workers died: what killed them, and what was only there."""

from __future__ import annotations

import os
import pickle
import time

import dask
import pytest
from conftest import own_cluster
from distributed import Client, wait
from distributed.scheduler import KilledWorker
from watching import unchanged, wait_until

import dbgkit
from dbgkit.remote.common.pickles import ran_last

STRICT = {
    "distributed.scheduler.allowed-failures": 0,  # a death is final
    "distributed.scheduler.worker-saturation": "inf",  # workers have a queue
}


def leave(path):
    """End the worker once a file is there."""
    while not os.path.exists(path):
        time.sleep(0.01)
    os._exit(3)


def stay(path, number):
    """Run for as long as the file is not there, and longer."""
    while not os.path.exists(path):
        time.sleep(0.01)
    time.sleep(30)
    return number


def executing(dask_scheduler):
    return {ts.key for ws in dask_scheduler.workers.values() for ts in ws.executing}


def killed(client, path, threads=1, runs=1):
    """A killer and three others on one worker, which has ended."""
    killer = client.submit(leave, path, key="killer", priority=10)
    keys = [f"other-{number}" for number in range(3)]
    wait_until(lambda: "killer" in client.run_on_scheduler(executing), "it runs")
    others = [
        client.submit(stay, path, number, key=key) for number, key in enumerate(keys)
    ]
    wait_until(
        lambda: len(client.run_on_scheduler(executing)) == threads, "threads are taken"
    )
    open(path, "w").close()
    wait([killer, *others], timeout=30)
    return killer, others


@pytest.fixture(scope="module", params=[1, 2], ids=["one-thread", "two-threads"])
def dead(request, tmp_path_factory):
    """A client of a cluster where a task killed its only worker; its futures; a dump.

    The recorder was off.
    """
    path = tmp_path_factory.mktemp("dead")
    off = {"distributed.scheduler.preload": []}
    threads = request.param
    with (
        dask.config.set({**STRICT, **off}),
        own_cluster(n_workers=1, threads_per_worker=threads) as client,
    ):
        killer, others = killed(client, str(path / "go"), threads)
        client.wait_for_workers(1, timeout=60)
        # A dump has the configuration of workers only, and these are forked.
        client.run(dask.config.set, STRICT)
        client.dump_cluster_state(str(path / "dump"))
        yield client, killer, others, f"{path}/dump.msgpack.gz"


@pytest.fixture(scope="module", params=[1, 2], ids=["one-thread", "two-threads"])
def recorded_dead(request, tmp_path_factory):
    """As `dead`, with the recorder on."""
    path = tmp_path_factory.mktemp("dead") / "go"
    threads = request.param
    with (
        dask.config.set(STRICT),
        own_cluster(n_workers=1, threads_per_worker=threads) as client,
        dbgkit.record(client=client),
    ):
        killer, others = killed(client, str(path), threads)
        report = dbgkit.failures(client=client)
        wait_until(lambda: dbgkit.deaths(client=client).deaths[0].ran_known, "a report")
        client.wait_for_workers(1, timeout=60)
        yield client, killer, others, threads
        assert report.total + report.bystanders == 4


# -- with the recorder: it is known what ran -----------------------------------


def test_what_waited_in_the_queue_is_no_failure(recorded_dead):
    client, _, _, threads = recorded_dead
    with unchanged(client):
        report = dbgkit.failures(client=client)
    assert report.total == threads
    assert report.bystanders == 4 - threads
    *failed, bystanders = report.groups
    assert sum(group.count for group in failed) == threads
    assert (bystanders.role, bystanders.count) == ("bystanders", 4 - threads)
    assert "killer" not in bystanders.keys
    assert "while running 'killer'" in bystanders.message
    assert "they were only there" in bystanders.message
    were = f"{4 - threads} were only on a worker that another task killed"
    assert were in str(report)


def test_of_two_that_ran_it_is_not_known_which(recorded_dead):
    client, _, _, threads = recorded_dead
    failed, _ = dbgkit.failures(client=client).groups
    if threads == 1:
        assert failed.keys == ("killer",)
        assert not failed.role
        assert "not known" not in failed.message
    else:
        assert set(failed.keys) == {"killer", "other-0"}
        assert failed.role == "suspects"
        assert failed.message.endswith("which of them is to blame is not known")


def test_the_last_failure_is_the_killer(recorded_dead):
    client, _, _, threads = recorded_dead
    with unchanged(client):
        failure = dbgkit.locate(client=client)
    if threads == 1:
        assert failure.key == "killer"
        assert (failure.killed, failure.role) == (True, "")
        assert "failed because of it, as they were on the same worker" in str(failure)
    else:
        assert failure.key in ("killer", "other-0")
        assert failure.role == "suspect"


def test_what_was_only_there_leads_to_the_killer(recorded_dead):
    _, _, others, threads = recorded_dead
    failure = dbgkit.locate(others[2])
    if threads == 1:
        assert (failure.key, failure.asked) == ("killer", "other-2")
        again = dbgkit.replay(others[2], timeout=60)
        assert (again.outcome, again.failure.key) == ("died", "killer")
    else:
        assert failure.key in ("killer", "other-0")
        assert failure.asked == "other-2"
        shown = " ".join(str(failure).split())
        assert "'other-2' failed with it, as it was on the same worker" in shown
        assert "because of it" not in shown


# -- without it ----------------------------------------------------------------


def test_without_the_recorder_all_are_suspects(dead):
    client, _, _, dump = dead
    for options in ({"client": client}, {"view": dump}):
        report = dbgkit.failures(**options)
        (group,) = report.groups
        assert (report.total, report.bystanders) == (4, 0)
        assert (group.count, group.role) == (4, "suspects")
        assert group.message == (
            "its worker died; which of the tasks assigned to it is to blame is not "
            "known"
        )
        assert "died while running" not in str(report)


def test_what_ran_at_the_last_heartbeat_comes_first(dead):
    client, _, _, _ = dead
    (group,) = dbgkit.failures(client=client).groups
    failure = dbgkit.locate(client=client)
    ran = {"killer", "other-0"}
    assert {group.example.key, failure.key} <= ran
    told = [note for note in failure.notes if "last heartbeat" in note]
    assert "'killer'" in told[0]
    assert "other-2" not in told[0]
    assert failure.role == "suspect"
    assert "which died" in str(failure)
    assert "which it killed" not in str(failure)


def test_a_suspect_is_located_as_it_is(dead):
    _, _, others, _ = dead
    failure = dbgkit.locate(others[2])
    assert (failure.key, failure.asked, failure.role) == ("other-2", None, "suspect")
    assert "which task killed the worker is not known" in str(failure)
    assert failure.to_json()["role"] == "suspect"


def test_ones_own_task_brings_the_killer_of_its_worker_first(tmp_path):
    # GIVEN another client's task that kills the worker under one's own, and a newer
    # failure of the other client
    with (
        dask.config.set(STRICT),
        own_cluster(n_workers=1, threads_per_worker=1) as other,
        Client(other.cluster, set_as_default=False) as own,
        dbgkit.record(client=other),
    ):
        path = str(tmp_path / "go")
        killer = other.submit(leave, path, key="killer")
        wait_until(lambda: "killer" in other.run_on_scheduler(executing), "it runs")
        mine = own.submit(stay, path, 1, key="mine")
        waits = own.submit(lambda: 1 / 0, key="newer", workers=["tcp://nowhere"])
        assert waits.status == "pending"
        open(path, "w").close()
        wait([killer, mine], timeout=30)
        newer = other.submit(lambda: 1 / 0, pure=False)
        wait(newer, timeout=30)
        # THEN it comes first for whose it is
        first = dbgkit.failures(client=own).groups[0]
        assert first.keys == ("killer",)
        first = dbgkit.failures(client=other).groups[0]
        assert first.exception_type == "ZeroDivisionError"


def test_one_task_that_killed_its_worker_is_to_blame(tmp_path):
    with (
        dask.config.set(STRICT),
        own_cluster(n_workers=1, threads_per_worker=1) as client,
    ):
        (tmp_path / "go").touch()
        future = client.submit(leave, str(tmp_path / "go"), key="killer")
        wait(future, timeout=30)
        (group,) = dbgkit.failures(client=client).groups
        assert (group.role, group.count) == ("", 1)
        assert dbgkit.locate(future).role == ""


# -- what Dask says ------------------------------------------------------------


def test_what_killed_worker_holds(dead):
    """``Scheduler.remove_worker``: it pickles `KilledWorker`, of ``WorkerState.clean``.

    It is read without being loaded.
    """
    client, _, _, _ = dead

    def read(dask_scheduler):
        return dask_scheduler.tasks["killer"].exception

    exception = client.run_on_scheduler(read)
    assert isinstance(exception, bytes)
    loaded = pickle.loads(exception)
    assert isinstance(loaded, KilledWorker)
    assert ran_last(exception) == set(loaded.last_worker.executing) >= {"killer"}


@pytest.mark.parametrize("exception", [b"", b"junk", pickle.dumps(ValueError(1)), None])
def test_what_is_no_killed_worker_has_none(exception):
    assert ran_last(exception) == frozenset()


def test_events_that_anyone_can_log_change_nothing(dead):
    client, _, _, _ = dead
    before = dbgkit.failures(client=client).to_json()

    def log(dask_scheduler):
        for tasks in (["killer"], 3, [["unhashable"]], "killer", None):
            event = {"action": "remove-worker", "worker": "x", "expected": True}
            dask_scheduler.log_event("all", {**event, "processing-tasks": tasks})
        dask_scheduler.log_event("all", {"action": "remove-worker"})

    client.run_on_scheduler(log)
    after = dbgkit.failures(client=client).to_json()
    assert after["groups"] == before["groups"]
