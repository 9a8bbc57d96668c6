"""Blocks that overlap, options that hold after a client has closed, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager

import hard_tasks
import pytest
from distributed import Client, wait
from jobs import delayed_job, failed_compute

import dbgkit
from dbgkit.errors import NotHere
from dbgkit.replays import capture
from dbgkit.replays.capture import capturing
from dbgkit.replays.planning import Wanted

NAMES = ("__exit__", "__aexit__")


def hooks():
    return {name: Client.__dict__[name] for name in NAMES}


@contextmanager
def unwatched():
    """``Client`` as it is where the plugin of pytest does not watch the test."""
    active = list(capture._active)
    capture._active.clear()
    capture._take_off_hooks()
    before = hooks()
    assert before["__exit__"].__module__.startswith("distributed")
    try:
        yield before
        assert hooks() == before
    finally:
        if active:
            capture._put_hooks()
            capture._active.extend(active)


# -- blocks that overlap ---------------------------------------------------------


def test_nested_blocks_leave_the_client_as_it_was():
    with unwatched() as before:
        with dbgkit.debugging(), dbgkit.debugging():
            within = hooks()
            assert within != before
            with dbgkit.debugging():
                assert hooks() == within
            assert hooks() == within
        assert hooks() == before


@pytest.mark.parametrize("first", [0, 1])
def test_blocks_that_end_in_another_order_than_they_began(first):
    with unwatched() as before:
        blocks = [dbgkit.debugging(), dbgkit.debugging()]
        for block in blocks:
            block.__enter__()
        blocks[first].__exit__(None, None, None)
        assert hooks() != before
        blocks[1 - first].__exit__(None, None, None)
        assert hooks() == before


def test_blocks_in_threads():
    began, may_end = threading.Barrier(5), [threading.Event() for _ in range(4)]

    def work(index):
        with dbgkit.debugging():
            began.wait(10)
            may_end[index].wait(10)

    with unwatched() as before:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        began.wait(10)
        for index in (2, 0, 3, 1):
            assert hooks() != before
            may_end[index].set()
            threads[index].join(10)
        assert hooks() == before


def test_many_blocks_at_once():
    def work():
        for _ in range(300):
            with dbgkit.debugging():
                pass

    with unwatched():
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)


def test_what_others_put_around_ours_stays():
    with unwatched() as before:
        with dbgkit.debugging():
            ours = Client.__dict__["__exit__"]

            def theirs(self, kind, value, tb):
                return ours(self, kind, value, tb)

            Client.__exit__ = theirs
        try:
            assert Client.__dict__["__exit__"] is theirs
            with dbgkit.debugging():
                pass
            assert Client.__dict__["__exit__"] is theirs
        finally:
            Client.__exit__ = before["__exit__"]


def closing_failure(address):
    """What a client raised that has closed because of it."""
    with pytest.raises(ZeroDivisionError) as caught, Client(address):
        delayed_job().compute()
    return caught.value


def test_each_thread_takes_by_its_own_options(processes):
    address, taken = processes.scheduler_address, {}
    both = threading.Barrier(2)

    def work(times):
        with capturing(Wanted(times=times), lambda event: None) as taking:
            both.wait(30)
            error = closing_failure(address)
            both.wait(30)
            taken[times] = [one.plan.times for one in taking.taken]
            assert dbgkit.replay(error, times=times).tally == {"same": times}

    threads = [threading.Thread(target=work, args=(n,)) for n in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert taken == {2: [2], 3: [3]}


def test_what_a_thread_of_the_block_raises_is_taken_too(processes):
    errors = []

    def work():
        errors.append(closing_failure(processes.scheduler_address))

    with capturing(Wanted(), lambda event: None) as taking:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)
        assert [one.exception for one in taking.taken] == errors
        assert dbgkit.replay(errors[0]).outcome == "same"


# -- options ---------------------------------------------------------------------


def test_options_hold_when_the_client_has_closed(processes):
    with capturing(Wanted(), lambda event: None):
        error = closing_failure(processes.scheduler_address)
        again = dbgkit.replay(error, where="process", times=2)
        assert (again.where, again.tally) == ("process", {"same": 2})
        plan = dbgkit.replay(error, times=4, dry_run=True)
        assert plan.times == 4
        again = dbgkit.debug(error, where="process", prompt=False)
        assert (again.where, again.outcome) == ("process", "same")
        with pytest.raises(NotHere, match=r"where='worker' needs the client.*inside"):
            dbgkit.replay(error, where="worker")
        with pytest.raises(NotHere, match=r"scope='ancestors'.*debugging\(scope="):
            dbgkit.replay(error, scope="ancestors")


def test_ancestors_are_taken_where_they_are_asked_for(processes):
    with capturing(Wanted(scope="ancestors"), lambda event: None):
        error = closing_failure(processes.scheduler_address)
        again = dbgkit.replay(error, scope="ancestors")
    assert (again.scope, again.outcome) == ("ancestors", "same")


def test_options_that_there_are_not_are_refused_before_anything_is_run():
    with pytest.raises(TypeError, match="wherever"):
        dbgkit.debugging(wherever="process")
    with pytest.raises(ValueError, match="where='there'"):
        dbgkit.debugging(where="there")
    with pytest.raises(ValueError, match="times=0"):
        dbgkit.debugging(times=0)


def test_options_hold_without_a_cluster_too():
    error = failed_compute(delayed_job(), ZeroDivisionError, scheduler="threads")
    again = dbgkit.debug(error, where="process", times=2, prompt=False)
    assert (again.where, again.tally) == ("process", {"same": 2})
    again = dbgkit.debug(error, times=2, prompt=False)
    assert (again.where, again.tally) == ("here", {"same": 2})
    assert dbgkit.debug(error, where="here", prompt=False).exception is error


JOB = """
import os, sys, time, threading
import dask, distributed
import dbgkit
from distributed import Client

def leave(x):
    if "DBGKIT_SLOW" in os.environ and os.getpid() == int(os.environ["DBGKIT_SLOW"]):
        print("RUNS AGAIN", flush=True)
        for _ in range(600):
            time.sleep(0.1)
    raise ValueError(f"cannot take {x} in {os.getpid() - os.getppid()}")

def compute():
    with Client(processes=False, n_workers=1, dashboard_address=":0"):
        dask.delayed(leave)(4).compute()
"""


@pytest.fixture
def script(tmp_path):
    """Writes a script of the job and some more, and gives its path."""

    def write(body):
        path = tmp_path / "job.py"
        path.write_text(JOB + textwrap.dedent(body))
        return str(path)

    return write


def run(*command):
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_dbgkit_run_where_process_when_the_client_closes_first(script):
    path = script('if __name__ == "__main__":\n    compute()\n')
    done = run("-m", "dbgkit", "run", "--where", "process", path)
    assert done.returncode == 1
    assert "failed in a process of its own in the same way" in done.stdout


def test_debugging_where_and_times_when_the_client_closes_first(script):
    path = script(
        """
        if __name__ == "__main__":
            with dbgkit.debugging(where="process", times=2):
                compute()
        """
    )
    done = run(path)
    assert done.returncode == 1
    assert "failed 2 of 2 times in processes of their own: 2 same" in done.stdout


def test_debugging_on_a_worker_is_refused_in_one_line(script):
    path = script(
        """
        if __name__ == "__main__":
            with dbgkit.debugging(where="worker"):
                compute()
        """
    )
    done = run(path)
    assert done.returncode == 1
    lines = [row for row in done.stderr.splitlines() if row.startswith("dbgkit: ")]
    assert len(lines) == 1
    assert "where='worker' needs the client" in lines[0]
    assert "ValueError: cannot take 4" in done.stderr.splitlines()[-1]


# -- Ctrl-C ----------------------------------------------------------------------

INTERRUPTED = {
    "run": """
        if __name__ == "__main__":
            os.environ["DBGKIT_SLOW"] = str(os.getpid())
            import dask
            cluster = distributed.LocalCluster(n_workers=1, dashboard_address=":0")
            with cluster, Client(cluster):
                dask.delayed(leave)(4).compute()
        """,
    "debugging": """
        if __name__ == "__main__":
            os.environ["DBGKIT_SLOW"] = str(os.getpid())
            with dbgkit.debugging():
                cluster = distributed.LocalCluster(n_workers=1, dashboard_address=":0")
                with cluster, Client(cluster):
                    dask.delayed(leave)(4).compute()
        """,
    "asynchronous": """
        import asyncio

        async def main():
            async with dbgkit.debugging():
                async with distributed.LocalCluster(
                    n_workers=1, dashboard_address=":0", asynchronous=True
                ) as cluster, Client(cluster, asynchronous=True) as client:
                    await client.submit(leave, 4)

        if __name__ == "__main__":
            os.environ["DBGKIT_SLOW"] = str(os.getpid())
            asyncio.run(main())
        """,
}


def interrupted(*command):
    """What a script said that got Ctrl-C as its task ran again."""
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        for line in process.stdout:
            if line.startswith("RUNS AGAIN"):
                break
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode, err


def test_ctrl_c_under_dbgkit_run_is_one_line(script):
    path = script(INTERRUPTED["run"])
    code, said = interrupted("-m", "dbgkit", "run", path)
    assert code == 130
    after = [
        line for line in said.splitlines() if line.startswith("dbgkit: the replay")
    ]
    assert len(after) == 1
    assert "Traceback" not in said[said.index(after[0]) :].replace("Traceback: ", "")
    assert after[0].startswith("dbgkit: the replay of 'leave-")
    assert "was stopped by Ctrl-C, at" in after[0]
    assert after[0].endswith("in leave")


def test_ctrl_c_in_a_debugging_block_is_one_line(script):
    code, said = interrupted(script(INTERRUPTED["debugging"]))
    assert code == 1
    assert "KeyboardInterrupt" not in said
    lines = [line for line in said.splitlines() if line.startswith("dbgkit: ")]
    assert len(lines) == 1
    assert "was stopped by Ctrl-C" in lines[0]
    assert said.splitlines()[-1].startswith("ValueError: cannot take 4")


def test_ctrl_c_in_an_asynchronous_block_stops_the_replay(script):
    code, said = interrupted(script(INTERRUPTED["asynchronous"]))
    assert code != 0
    lines = [line for line in said.splitlines() if line.startswith("dbgkit: ")]
    assert lines == ["dbgkit: the replay was stopped"]


def test_ctrl_c_says_which_replay_was_stopped(processes_client, monkeypatch):
    future = processes_client.submit(hard_tasks.ask_worker, 4, pure=False)
    wait(future, timeout=30)
    monkeypatch.setattr(hard_tasks, "get_worker", interrupt_once)
    with pytest.raises(KeyboardInterrupt, match=r"'ask_worker-.*in interrupt_once"):
        dbgkit.replay(future)


def interrupt_once():
    signal.raise_signal(signal.SIGINT)
