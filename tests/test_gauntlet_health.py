"""The user's process stays healthy: Ctrl-C, children, inputs that block, disks."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import dask
import pexpect
import psutil
import pytest
from dask import delayed
from distributed import get_worker, wait
from distributed.protocol.pickle import dumps
from watching import wait_until

import dbgkit
from dbgkit import errors
from dbgkit.replays.nodes import read_spec
from dbgkit.replays.standin import reading
from dbgkit.source import Reader


def environment(**variables):
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path, **variables}


# -- Ctrl-C --------------------------------------------------------------------

PROMPT = """
import signal, time
import dbgkit
from dask import delayed

def ratio(a, b):
    return a / b

before = signal.getsignal(signal.SIGINT)
for _ in range(2):
    try:
        delayed(ratio)(1, 0).compute(scheduler="sync")
    except ZeroDivisionError:
        dbgkit.debug()
    print("as before:", signal.getsignal(signal.SIGINT) is before, flush=True)
print("going on", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("stopped by Ctrl-C", flush=True)
"""


@pytest.mark.parametrize("command", ["c", "q"])
def test_ctrl_c_is_the_scripts_again_after_a_prompt(tmp_path, command):
    script = tmp_path / "job.py"
    script.write_text(PROMPT)
    child = pexpect.spawn(
        sys.executable, [str(script)], encoding="utf8", timeout=60, env=environment()
    )
    for _ in range(2):
        child.expect_exact("(Pdb) ")
        child.sendline(command)
        child.expect_exact("as before: True")
    child.expect_exact("going on")
    child.sendintr()
    child.expect_exact("stopped by Ctrl-C")
    child.expect(pexpect.EOF)


# -- children ------------------------------------------------------------------

PARENT = """
import sys, time
import dbgkit
from dask import delayed

def waits(x, secret):
    print("the task runs", flush=True)
    if x == "sleeps":
        time.sleep(600)
    while True:
        pass

def fails_once(x, secret, flag=sys.argv[2]):
    import os
    if not os.path.exists(flag):
        open(flag, "w").close()
        raise ValueError(x)
    open(flag + ".again", "w").write(str(os.getpid()))
    waits(x, secret)

if __name__ == "__main__":
    work = delayed(fails_once)(sys.argv[1], "an-input-that-nobody-else-reads")
    if sys.argv[3] == "forked":
        import threading
        work = delayed(fails_once)(sys.argv[1], threading.Lock())
    try:
        work.compute(scheduler="sync")
    except ValueError as error:
        dbgkit.replay(error, where="process", timeout="300s")
"""


@pytest.mark.parametrize("made", ["spawned", "forked"])
@pytest.mark.parametrize("how", ["sleeps", "spins"])
def test_a_child_ends_with_its_parent(tmp_path, how, made):
    script, flag, folder = tmp_path / "job.py", tmp_path / "flag", tmp_path / "temp"
    script.write_text(PARENT)
    folder.mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(script), how, str(flag), made],
        env=environment(TMPDIR=str(folder)),
        stdout=subprocess.DEVNULL,
    )
    try:
        again = tmp_path / "flag.again"
        wait_until(lambda: again.exists() and again.read_text(), "it runs again", 60)
        child = psutil.Process(int(again.read_text()))
        assert child.ppid() == parent.pid
        for path in folder.rglob("*"):
            assert path.is_dir() or b"nobody-else" not in path.read_bytes()
    finally:
        parent.kill()
        parent.wait(10)
    wait_until(lambda: not child.is_running(), "the child has ended too", 15)
    wait_until(lambda: not any(folder.iterdir()), "nothing stays behind", 5)


def test_a_child_has_a_limit_of_its_own():
    """Also where it lets no other thread run: the system ends it."""
    text = """
        import os, resource
        from dbgkit.replays.lifeline import Lifeline
        line = Lifeline(os.getppid(), "no such folder", 10.0)
        line.begin()
        soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
        assert 10 <= soft / os.cpu_count() <= 120, soft
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], env=environment(), timeout=60
    )
    assert done.returncode == 0


def test_without_room_for_a_child_a_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ZeroDivisionError) as caught:
        delayed(ratio)(1, 0).compute(scheduler="sync")
    with pytest.raises(errors.NotHere, match=r"temporary folder.*missing"):
        dbgkit.replay(caught.value, where="process")


def ratio(a, b):
    return a / b


# -- inputs that block ---------------------------------------------------------


class Blocks:
    """Unpickled in the process that made the cluster, it waits for long."""

    def __reduce__(self):
        return wait_here, ()


def wait_here():
    if multiprocessing.parent_process() is None:
        time.sleep(600)
    return Blocks()


def takes(blocks, number):
    return 1 / number


def test_an_input_that_blocks_costs_its_time_limit(processes_client):
    client = processes_client
    future = client.submit(takes, client.submit(Blocks, key="blocks"), 0, key="took")
    wait(future)
    began = time.monotonic()
    with pytest.raises(errors.WaitTimedOut, match="'blocks' was not unpickled here"):
        dbgkit.replay(future, timeout="2s")
    assert time.monotonic() - began < 15
    # The client goes on, and a worker can read it.
    assert client.submit(ratio, 6, 3).result(timeout=10) == 2
    with dbgkit.replay(future, where="worker") as replay:
        assert replay.outcome == "same"


def test_a_run_spec_that_blocks_does_so_too():
    began = time.monotonic()
    with pytest.raises(errors.WaitTimedOut, match="'the-key' was not unpickled here"):
        read_spec(dumps(Blocks()), "the-key", Reader(limit=0.3))
    assert time.monotonic() - began < 10


def test_what_is_read_in_a_thread_finds_the_stand_in_and_raises_its_own():
    reader = Reader(limit=10.0)
    with reading(stand_in := object()):
        assert reader.loads(dumps(AsksForWorker())) is stand_in
    with pytest.raises(pickle.UnpicklingError):
        reader.loads(b"no pickle")


class AsksForWorker:
    def __reduce__(self):
        return get_worker, ()


# -- who is to blame -----------------------------------------------------------


def own_pid():
    return os.getpid()


@pytest.fixture
def frozen(harmable):
    """A client, and a worker's process that is stopped while it holds an input."""
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
        harmable(n_workers=2, processes=True) as client,
    ):
        first, _ = client.scheduler_info()["workers"]
        made = client.submit(list, range(5), workers=[first], key="made")
        future = client.submit(takes, made, 0, workers=[first], key="took")
        wait(future)
        pid = client.run(own_pid, workers=[first])[first]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield made, future, first
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_frozen_worker_is_named(frozen):
    _, future, address = frozen
    began = time.monotonic()
    with pytest.raises(errors.DbgkitError) as caught:
        dbgkit.replay(future, timeout="4s")
    assert time.monotonic() - began < 30
    text = str(caught.value)
    assert address in text and "made" in text
    assert "scheduler's answer" not in text and "overloaded" not in text
