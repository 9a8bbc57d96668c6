"""A worker dies while it is asked: nothing hangs, and what others know is told."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import own_cluster
from distributed import wait
from watching import forgotten, started_again, wait_until
from why_looks import codes, why_until
from why_tasks import inc, loop_until

import dbgkit

SOON = 15.0  # seconds: half of what a verb may take by default


@pytest.fixture(scope="module")
def client():
    with own_cluster(n_workers=2, threads_per_worker=1) as client:
        yield client


@pytest.fixture
def running(client, tmp_path):
    """A task that runs on, and the address of its worker."""
    forgotten(client)
    path = tmp_path / "go"
    future = client.submit(loop_until, str(path), key="runs")
    try:
        why_until("running", future)
        yield future, client.run_on_scheduler(place_of, key="runs")
    finally:
        path.touch()
        wait(future)


def place_of(dask_scheduler, key):
    return dask_scheduler.tasks[key].processing_on.address


def asked(dask_scheduler, address):
    """Whether the scheduler waits for a worker's answer, or to be let in."""
    pool = dask_scheduler.rpc
    return bool(pool.occupied.get(address) or pool._connecting.get(address))


def told_while_dying(client, address, call, *args):
    """What a call tells while a worker first answers nothing, and dies once asked."""
    pid = client.run(os.getpid, workers=[address])[address]
    with ThreadPoolExecutor(1) as pool:
        os.kill(pid, signal.SIGSTOP)
        before = time.monotonic()
        calling = pool.submit(call, *args)
        try:
            wait_until(
                lambda: client.run_on_scheduler(asked, address=address),
                "the worker is asked",
            )
        finally:
            os.kill(pid, signal.SIGKILL)
            started_again(client, address, 2)
        told = calling.result(60)
        assert time.monotonic() - before < SOON
    return told


def test_why(client, running):
    future, address = running
    found = told_while_dying(client, address, dbgkit.why, future)
    assert (found.cause, found.key) == ("worker-not-answering", "runs")
    assert found.summary == f"{address} does not answer"
    again = why_until("retrying", future)
    # With the recorder on it is known what ran.
    told = {
        f"1 worker died {how}" for how in ("while assigned to it", "while running it")
    }
    assert told & set(again.evidence)


def test_why_of_the_whole_cluster(client, running):
    _, address = running
    gpu = client.submit(inc, 1, resources={"GPU": 1}, key="gpu")
    why_until("resources-unmet", gpu)
    found = told_while_dying(client, address, dbgkit.why)
    assert codes(found) == ["worker-not-answering", "resources-unmet"]


def test_story(client, running):
    _, address = running
    told = told_while_dying(client, address, dbgkit.story, "runs")
    said = [moment.what for moment in told.moments if moment.found_in == "scheduler"]
    assert said[:2] == ["released -> waiting", "waiting -> processing"]
    assert any(address in note for note in told.notes)


def test_doctor(client, running):
    _, address = running
    checkup = told_while_dying(client, address, dbgkit.doctor)
    (found,) = [each for each in checkup.findings if each.check == "workers"]
    assert found.level == "problem"
    assert any(address in line for line in found.evidence)
    assert {each.check for each in checkup.findings} >= {"versions", "worker-logs"}
