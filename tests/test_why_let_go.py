"""Tasks that nobody wants any more, workers that have just left: what `why` says."""

from __future__ import annotations

import operator
import os
import re
from functools import partial

import dask
import pytest
from conftest import RECORDER_OFF
from distributed import Client, Status, wait
from watching import wait_until
from why_looks import codes, flag, from_dump, same_words, why_until
from why_tasks import die_on_word, first, inc, loop_until

import dbgkit

ONCE = {"distributed.scheduler.allowed-failures": 0}


@pytest.fixture
def client(processes_client):
    return processes_client


def leave(other, futures):
    other.close()


def release(other, futures):
    futures.clear()


def cancel(other, futures):
    other.cancel(futures)


def knows(dask_scheduler, key):
    return key in dask_scheduler.tasks


def forgotten(client, key):
    wait_until(lambda: not client.run_on_scheduler(knows, key=key), "it is forgotten")


WAYS = {
    leave: "its client disconnected",
    release: "its client released it",
    cancel: "it was cancelled",
}


@pytest.mark.parametrize("let_go", WAYS, ids=lambda way: way.__name__)
def test_what_nobody_wants_has_lost_no_input_and_still_runs(client, tmp_path, let_go):
    address = client.scheduler.address
    with flag(tmp_path) as path, Client(address, set_as_default=False) as other:
        hangs = other.submit(loop_until, path, key="hangs")
        futures = [other.submit(first, hangs, key="collect")]
        del hangs
        why_until("running", "hangs", client=client)
        let_go(other, futures)
        forgotten(client, "hangs")
        found = dbgkit.why("hangs", client=client)
        assert found.cause == "unknown-key"
        assert (
            "forgotten 'hangs': no client needs it any longer; tcp://" in found.summary
        )
        assert found.summary.endswith(" still runs it")
        assert any(line.startswith(WAYS[let_go]) for line in found.evidence)
        assert any("has been running 'hangs' for" in line for line in found.evidence)
        assert any(" in loop_until: " in line for line in found.evidence)
        assert "client.restart_workers(['tcp://" in found.advice[-1]
        same_words(found, from_dump(client, tmp_path, "hangs"))
        never_ran = dbgkit.why("collect", client=client)
        assert "still runs" not in never_ran.summary


def test_what_only_a_finished_task_needed_has_lost_no_input(client):
    """Its user was in memory when the client let go of that."""
    used = client.submit(inc, 1, key="used")
    user = client.submit(inc, used, key="user")
    wait(user)
    del used
    why_until("released", "used")
    del user
    forgotten(client, "used")
    found = dbgkit.why("used")
    assert found.cause == "unknown-key"
    assert any("its client released it" in line for line in found.evidence)


def test_threads_that_run_what_nobody_wants_any_more(client, tmp_path):
    place = min(client.scheduler_info()["workers"])
    address = client.scheduler.address
    with flag(tmp_path) as path, Client(address, set_as_default=False) as other:
        left = [
            other.submit(loop_until, path, workers=[place], key=f"left-{i}")
            for i in range(2)
        ]
        for future in left:
            why_until("running", future.key, client=client)
        other.close()
        forgotten(client, "left-1")
        future = client.submit(inc, 1, workers=[place], key="mine")
        found = why_until("threads-held", future, client=client)
        assert not found.healthy
        assert place in found.summary
        assert any("running: 'left-" in line for line in found.evidence)
        assert any("has released 'left-" in line for line in found.evidence)
        assert found.advice[0].startswith(f"client.restart_workers(['{place}'])")
        assert codes(dbgkit.why(client=client)) == ["threads-held"]
        same_words(found, from_dump(client, tmp_path, "mine"))
    assert future.result() == 2


def test_what_is_queued_behind_threads_that_nobody_waits_for(client, tmp_path):
    address = client.scheduler.address
    with flag(tmp_path) as path, Client(address, set_as_default=False) as other:
        left = other.map(loop_until, [path] * 4, key=[f"left-{i}" for i in range(4)])
        for future in left:
            why_until("running", future.key, client=client)
        other.close()
        forgotten(client, "left-3")
        mine = client.map(inc, range(20), key=[f"mine-{i}" for i in range(20)])
        found = why_until("threads-held", mine[-1], client=client)
        assert client.run_on_scheduler(state_of, key="mine-19") == "queued"
        assert found.advice[0].startswith("client.restart_workers(['tcp://")
    wait(mine)


def state_of(dask_scheduler, key):
    return dask_scheduler.tasks[key].state


def test_what_only_was_queued_where_a_worker_died_is_not_retried(harmable, tmp_path):
    word, tries = str(tmp_path / "word"), str(tmp_path / "tries")
    with (
        harmable(n_workers=1, threads_per_worker=1) as client,
        dbgkit.record(client=client),
        flag(tmp_path) as path,
    ):
        # Each new worker begins with the one that kills it.
        killer = client.submit(die_on_word, word, tries, key="killer", priority=10)
        why_until("running", killer)
        behind = client.submit(loop_until, path, key="behind")
        why_until("worker-saturated", behind)
        (tmp_path / "word").touch()
        wait(killer, timeout=90)
        wait_until(lambda: dbgkit.why(behind).cause == "running", "it runs")
        found = dbgkit.why(behind)
        assert codes(found) == ["running"]
        assert not any("died" in line for line in found.evidence)


def test_tasks_that_were_given_up_are_counted_and_named(harmable, tmp_path):
    word, tries = str(tmp_path / "word"), str(tmp_path / "tries")
    with dask.config.set(ONCE), harmable(n_workers=1) as client:
        keys = ["kills", "with it"]
        futures = [client.submit(die_on_word, word, tries, key=key) for key in keys]
        for future in futures:
            why_until("running", future)
        (tmp_path / "word").touch()
        wait(futures)
        found = dbgkit.why()
        (told,) = [key for key in keys if repr(key) in found.summary]
        (other,) = set(keys) - {told}
        assert found.summary == (
            f"{told!r} failed: Dask stopped retrying it after 1 worker died while "
            "assigned to it; 1 more failed"
        )
        given_up = f"Dask also stopped retrying tasks whose workers died: {other!r}"
        assert given_up in found.evidence
        assert not any("failed, directly" in line for line in found.evidence)
        # The newest is the one that is told of: the other one is the rest.
        bad = client.map(operator.truediv, [1, 2], [0, 0], key=["bad-1", "bad-2"])
        wait(bad)
        evidence = dbgkit.why().evidence
        rest = [line for line in evidence if "failed, directly" in line]
        assert rest == [
            "1 more task has failed, directly or because a dependency failed"
        ]


def no_nanny_starts_again(client):
    """``Nanny.instantiate``, of the nannies of a cluster of this process."""
    for nanny in client.cluster.workers.values():
        nanny.instantiate = partial(stay_down, nanny)


async def stay_down(nanny):
    nanny.status = Status.failed
    return nanny.status


def test_no_workers_as_they_have_just_left(harmable):
    with harmable(n_workers=1) as client, dbgkit.record(client=client):
        no_nanny_starts_again(client)
        place = client.cluster.scheduler_address
        killer = client.submit(os._exit, 3, key="killer")
        why_until("no-workers", killer.key, client=place)
        wait_until(
            lambda: "exit status" in str(dbgkit.why("killer", client=place)),
            "its nanny has reported",
        )
        found = dbgkit.why("killer", client=place)
        assert re.match("1 worker left within the last minute", found.evidence[0])
        assert "ended with exit status 3 while it ran 'killer'" in found.evidence[1]
        assert "nannies may be restarting them" in found.advice[0]
        assert "cluster.scale" in found.advice[1]


def set_status(dask_scheduler, status):
    """What the scheduler does as its worker says so."""
    (ws,) = dask_scheduler.workers.values()
    dask_scheduler.handle_worker_status_change(status, ws, "a test")


def test_workers_that_are_still_being_set_up_are_not_paused(harmable, tmp_path):
    """A worker that a nanny starts again is there before it runs."""
    with harmable(n_workers=1, processes=False) as client:
        client.run_on_scheduler(set_status, status="init")
        future = client.submit(inc, 1, key="early")
        found = why_until("workers-starting", future)
        assert found.evidence[0].endswith(" is being set up")
        assert codes(dbgkit.why()) == ["workers-starting"]
        same_words(found, from_dump(client, tmp_path, "early"))
        client.run_on_scheduler(set_status, status="running")
        wait(future)


def test_no_workers_as_they_have_just_left_without_the_recorder(harmable):
    with dask.config.set(RECORDER_OFF), harmable(n_workers=1) as client:
        no_nanny_starts_again(client)
        place = client.cluster.scheduler_address
        killer = client.submit(os._exit, 3, key="killer")
        why_until("no-workers", killer.key, client=place)
        found = dbgkit.why("killer", client=place)
        assert "it was assigned 'killer'" in str(found.evidence)
