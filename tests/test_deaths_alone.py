"""Deaths of workers that have no nanny: as much as is there, and no more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask
import pytest
from conftest import RECORDER_OFF, own_cluster
from deaths_tasks import boxes_of, crash, loop, raise_it, terminate
from distributed import wait
from watching import wait_until

import dbgkit
from dbgkit.cluster import workers
from dbgkit.remote.common.boxes import read_box, remove_box


def fork_a_crash(path):
    """Have a forked child crash, and run on."""
    child = os.fork()
    if child == 0:
        crash()
    os.waitpid(child, 0)
    loop(path)


def faulthandler_is_on():
    import faulthandler

    return faulthandler.is_enabled()


@contextmanager
def alone(client, name, log, *more):
    """A worker process without a nanny; ends with the block, if it still is there."""
    command = [sys.executable, "-m", "dask", "worker", client.scheduler.address]
    options = ["--no-nanny", "--nthreads", "1", "--name", name, "--no-dashboard"]
    folder = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": folder}
    before = len(client.scheduler_info(n_workers=-1)["workers"])
    with open(log, "w") as file:
        process = subprocess.Popen(
            [*command, *options, *more], env=environment, stdout=file, stderr=file
        )
    try:
        client.wait_for_workers(before + 1, timeout=60)
        yield process
    finally:
        process.kill()
        process.wait(20)
        for box in boxes_of(process.pid):  # nobody of its cluster is left to do so
            remove_box(box)


@pytest.fixture(scope="module")
def client():
    """A scheduler that gives a task up as its worker dies, the recorder on."""
    final = {"distributed.scheduler.allowed-failures": 0}
    with (
        dask.config.set(final),
        own_cluster(n_workers=0) as client,
        dbgkit.record(client=client),
    ):
        yield client


@pytest.fixture(scope="module")
def sibling(client, tmp_path_factory):
    """A worker that lives on, and can read what one of the same host left."""
    with alone(client, "sibling", tmp_path_factory.mktemp("log") / "log") as process:
        yield process


@pytest.fixture
def mortal(client, tmp_path):
    """A worker to die: its process, its address."""
    with ExitStack() as stack:
        process = stack.enter_context(alone(client, "mortal", tmp_path / "log"))
        addresses = client.run(os.getpid)
        (address,) = (each for each, pid in addresses.items() if pid == process.pid)
        yield process, address


def seen(box):
    """Whether a task was seen in its loop."""
    return any(" in loop" in task["line"] for task in read_box(str(box))["tasks"])


def death_of(client, address):
    def found():
        deaths = dbgkit.deaths(client=client)
        return next((each for each in deaths if each.worker == address), None)

    return wait_until(found, f"{address} has died")


def test_with_nobody_to_read_it_the_last_heartbeat_is_told(client, mortal, tmp_path):
    process, address = mortal
    assert list(client.run(os.getpid)) == [address]
    future = client.submit(loop, str(tmp_path / "never"), key="beat", workers=[address])

    def beaten(dask_scheduler):
        stores = dask_scheduler.plugins.items()
        return [each.executing for name, each in stores if "dbgkit-deaths" in name]

    wait_until(lambda: "beat" in str(client.run_on_scheduler(beaten)), "a heartbeat")
    os.kill(process.pid, signal.SIGKILL)
    wait(future)
    death = death_of(client, address)
    assert death.verdict == "unknown"
    assert [(each.key, each.found_in) for each in death.ran] == [("beat", "heartbeat")]
    assert any("last heartbeat" in note for note in death.notes)


def test_faulthandler_is_on_in_a_worker_of_its_own(client, mortal):
    _, address = mortal
    assert client.run(faulthandler_is_on, workers=[address]) == {address: True}


def test_a_kill_is_unknown_but_what_ran_is_not(client, sibling, mortal, tmp_path):
    process, address = mortal
    future = client.submit(
        loop, str(tmp_path / "never"), key="loop-alone", workers=[address]
    )
    (box,) = map(Path, boxes_of(process.pid))
    wait_until(lambda: seen(box), "its line is there")
    os.kill(process.pid, signal.SIGKILL)
    wait(future)
    process.wait(20)
    death = death_of(client, address)
    assert death.verdict == "unknown"
    assert "its process is no longer running" in death.evidence
    assert (death.exit_code, death.signal, death.nanny) == (None, "", "")
    (task,) = death.ran
    assert task.key == "loop-alone" and task.line.endswith("in loop")


def test_a_crash_is_known_by_its_stack(client, sibling, mortal):
    process, address = mortal
    wait(client.submit(crash, key="crash-alone", workers=[address]))
    process.wait(20)
    death = death_of(client, address)
    assert (death.verdict, death.signal) == ("signal", "SIGSEGV")
    (task,) = death.ran
    assert task.key == "crash-alone" and task.line.endswith("in crash")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_crash_of_a_forked_child_is_not_the_workers(
    client, sibling, mortal, tmp_path
):
    process, address = mortal
    never = str(tmp_path / "never")
    future = client.submit(fork_a_crash, never, key="forks", workers=[address])
    (box,) = map(Path, boxes_of(process.pid))
    wait_until(lambda: seen(box), "the child has crashed")
    wait_until(lambda: not read_box(str(box))["stack"], "what it wrote is dropped")
    os.kill(process.pid, signal.SIGKILL)
    wait(future)
    process.wait(20)
    death = death_of(client, address)
    assert (death.verdict, death.signal, death.stack) == ("unknown", "", "")
    (task,) = death.ran
    assert not task.crashed and task.line.endswith("in loop")


def test_a_port_that_is_used_again(client, sibling, tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    never = str(tmp_path / "never")
    with ExitStack() as stack:
        for name in ("first", "second"):
            one = alone(client, name, tmp_path / name, "--worker-port", str(port))
            process = stack.enter_context(one)
            future = client.submit(loop, never, key=f"on-{name}", workers=[name])
            pid = process.pid
            wait_until(lambda pid=pid: boxes_of(pid), "the worker has its box")
            (box,) = map(Path, boxes_of(pid))
            wait_until(lambda: seen(box), "its line is there")  # noqa: B023
            process.kill()
            process.wait(20)
            wait(future)
        deaths = {each.name: each.keys for each in dbgkit.deaths(client=client)}
    assert deaths["first"] == ("on-first",)
    assert deaths["second"] == ("on-second",)


def test_one_that_does_not_answer_is_not_waited_for(
    client, sibling, mortal, monkeypatch
):
    process, address = mortal
    process.kill()
    process.wait(20)
    wait_until(lambda: len(client.run(os.getpid)) == 1, "it is gone")
    monkeypatch.setattr(workers, "PROBE_LIMIT", 0.5)
    sibling.send_signal(signal.SIGSTOP)
    try:
        deaths = dbgkit.deaths(client=client)
    finally:
        sibling.send_signal(signal.SIGCONT)
    assert deaths[0].worker == address
    assert any("did not answer" in note for note in deaths.notes)


def test_no_nannys_line_is_taken_for_one_that_had_none(tmp_path):
    with (
        dask.config.set(RECORDER_OFF),
        own_cluster(n_workers=1) as client,
        alone(client, "alone", tmp_path / "log") as process,
    ):
        pids = client.run(os.getpid)
        ((other, pid),) = (each for each in pids.items() if each[1] != process.pid)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: dbgkit.deaths().total, f"{other} is gone")
        process.kill()
        wait_until(lambda: dbgkit.deaths().total == 2, "both are gone")
        client.wait_for_workers(1, timeout=60)  # the nanny is there to be asked
        (death,) = dbgkit.deaths(limit=1)
        assert death.worker != other
        assert (death.verdict, death.pid, death.signal) == ("unknown", None, "")


def test_no_more_is_claimed_than_is_known(client, sibling, mortal):
    process, address = mortal
    process.kill()
    process.wait(20)
    death = death_of(client, address)
    assert death.verdict == "unknown"
    assert "broke without notice" in death.evidence[0]
    assert not death.ran and not death.stack


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_was_sent_a_signal_is_told(client, sibling, mortal, sent):
    # GIVEN a worker without a nanny, which does not tell its scheduler why it ends
    process, address = mortal
    process.send_signal(sent)
    process.wait(20)
    death = death_of(client, address)
    assert (death.verdict, death.signal) == ("signal", sent.name)
    assert f"was sent {sent.name}" in death.summary


def test_what_c_code_wrote_to_standard_error_is_told(client, sibling, mortal):
    process, address = mortal
    wait(client.submit(terminate, key="terminates", workers=[address]))
    process.wait(30)
    death = death_of(client, address)
    assert death.signal == "SIGABRT"
    assert "terminate called after throwing an instance of 'Bad'" in death.stderr
    assert "  what():  token=<hidden>" in death.stderr
    assert "terminate called" in str(death)


def test_what_a_task_raised_is_told_without_a_nanny(client, sibling, mortal):
    process, address = mortal
    wait(client.submit(raise_it, "status", key="exits-alone", workers=[address]))
    process.wait(30)
    death = death_of(client, address)
    assert death.summary.endswith("ended because 'exits-alone' raised SystemExit: 7")
    (task,) = death.ran
    assert task.line.endswith("in raise_it")


def test_a_worker_that_does_not_answer_is_lost(tmp_path):
    with (
        dask.config.set({"distributed.scheduler.worker-ttl": "1s"}),
        own_cluster(n_workers=0) as client,
        dbgkit.record(client=client),
        alone(client, "stopped", tmp_path / "log") as process,
    ):
        (address,) = client.run(os.getpid)
        os.kill(process.pid, signal.SIGSTOP)
        death = death_of(client, address)
        assert death.verdict == "lost-connection"
        assert "no heartbeat" in death.evidence[0]
