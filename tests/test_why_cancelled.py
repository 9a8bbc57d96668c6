"""What `why` says of cancelled futures, and of tasks of an earlier scheduler."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from distributed import Client, wait
from watching import wait_until
from why_looks import flag, from_dump, why_until
from why_tasks import inc, loop_until

import dbgkit
from dbgkit.cluster.clients import cancel_reason, state_of_future


def is_cancelled(future):
    wait_until(lambda: future.status == "cancelled", "it is cancelled")
    return future


def test_a_future_that_the_client_cancelled(processes_client, tmp_path):
    client = processes_client
    with flag(tmp_path) as path:
        future = client.submit(loop_until, path, key="mine")
        why_until("running", future)
        future.cancel(reason="took too long", msg="and nobody needs it")
        is_cancelled(future)
        found = why_until("cancelled", future)
        assert found.summary.startswith("'mine' was cancelled: as 'took too long'")
        assert found.summary.endswith("still runs it")
        assert "'took too long'" in found.evidence[0]
        assert any("has been running 'mine'" in line for line in found.evidence)
        assert not found.healthy
        # A dump does not know of futures.
        assert from_dump(client, tmp_path, "mine").cause == "unknown-key"
    other = client.submit(inc, 1, key="other")
    wait(other)
    other.cancel()
    is_cancelled(other)
    found = why_until("cancelled", other)
    assert "gave no reason" in str(found.evidence)
    assert (found.key, found.graph) == ("other", None)
    assert "submit it again" in found.advice[0]


def test_a_cluster_that_was_restarted(harmable):
    with harmable(n_workers=1) as client:
        future = client.submit(inc, 1, key="before")
        wait(future)
        client.restart()
        is_cancelled(future)
        found = dbgkit.why(future)
        assert found.summary == "'before' was cancelled: the cluster was restarted"


def start_scheduler(port, folder):
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    options = ["--port", str(port), "--host", "127.0.0.1", "--no-dashboard"]
    return subprocess.Popen(
        [*command, *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextmanager
def subprocess_scheduler(folder):
    """Its address, and what starts it anew there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = [start_scheduler(port, folder)]

    def stop():
        running[0].kill()
        running[0].wait(30)

    def restart():
        running[0] = start_scheduler(port, folder)

    try:
        yield f"tcp://127.0.0.1:{port}", (stop, restart)
    finally:
        stop()


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_was_started_anew(tmp_path):
    """Under the same address: the client finds it, and has lost its futures."""
    with (
        subprocess_scheduler(tmp_path) as (address, (stop, restart)),
        Client(address, timeout="60s", set_as_default=False) as client,
    ):
        future = client.submit(abs, -1, key="of the first")
        why_until("no-workers", future, client=client)
        stop()
        is_cancelled(future)
        restart()
        wait_until(lambda: client.status == "running", "it is connected", 60)
        found = dbgkit.why(future, client=client)
        assert found.cause == "cancelled"
        lost = "this client lost the connection to the scheduler"
        assert found.summary.endswith(lost)
        assert "'scheduler-connection-lost'" in found.evidence[0]
        started = "the scheduler that is there now was started at 2"
        assert any(line.startswith(started) for line in found.evidence)
        # By its key alone, it is known that it cannot be known.
        found = dbgkit.why("of the first", client=client)
        assert found.cause == "unknown-key"
        assert any("tasks of an earlier one" in line for line in found.evidence)


@pytest.mark.filterwarnings("ignore")
def test_a_task_that_never_reached_the_scheduler(tmp_path):
    """The scheduler could not read the graph: the future has the error."""
    with (
        subprocess_scheduler(tmp_path) as (address, _),
        Client(address, timeout="60s", set_as_default=False) as client,
    ):
        future = client.submit(inc, 1, key="unread")
        wait_until(lambda: future.status == "error", "it has failed")
        found = dbgkit.why(future, client=client)
        assert found.cause == "unknown-key"
        assert found.evidence[0].startswith("the future here is error: ")
        assert "Error" in found.evidence[0]


def test_the_state_of_a_future_has_the_reason(processes_client):
    """Contract: what `cluster.clients` reads of Dask's."""
    future = processes_client.submit(inc, 1, key="contract")
    wait(future)
    assert state_of_future(future).status == "finished"
    future.cancel(reason="for this test")
    assert cancel_reason(state_of_future(is_cancelled(future))) == "for this test"
