"""A scheduler that is killed while inputs are computed again: one clear line each."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from commands import dask_command, ended, environment, start
from dask import delayed
from distributed import Client, wait
from watching import wait_until

import dbgkit
from dbgkit import errors

WHERE = (None, "process", "worker")
COMMANDS = {None: "debug", "process": "replay", "worker": "replay"}
LIMIT = 40.0  # seconds from the kill until each has ended


def hold(folder, name):
    """Quick at first; once there is a file `again`, it goes on until there is `go`."""
    folder = Path(folder)
    if (folder / "again").exists():
        (folder / f"runs-{name}-{time.monotonic_ns()}").touch()
        while not (folder / "go").exists():
            time.sleep(0.05)
    return 0


def ratio(a, b):
    return a / b


SCRIPT = """
import sys
from dask import delayed
from distributed import Client
from test_gauntlet_scheduler_killed import hold, ratio
from pathlib import Path

if __name__ == "__main__":
    with Client(sys.argv[1]):
        total = delayed(ratio)(1, delayed(hold)(sys.argv[2], "run"))
        try:
            total.compute()
        finally:
            Path(sys.argv[2], "again").touch()
"""


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    """What looks came to that were computing inputs again as the scheduler was killed.

    By name: how a command has ended; or what a call raised or returned.
    """
    folder = tmp_path_factory.mktemp("killed")
    file = folder / "scheduler.json"
    options = ["--scheduler-file", str(file)]
    path = environment()["PYTHONPATH"]
    with ExitStack() as stack:
        enter = stack.enter_context

        def began(*args):
            return enter(
                dask_command([sys.executable], folder, *args, *options, path=path)
            )

        scheduler = began("scheduler", "--port", "0", "--no-dashboard")
        wait_until(file.exists, "the scheduler's file", 60)
        began("worker", "--nthreads", "16", "--no-nanny", "--no-dashboard")
        client = enter(Client(scheduler_file=str(file), timeout=30))
        stack.callback((folder / "go").touch)
        stack.callback(lambda: (folder / "run" / "go").touch())
        client.wait_for_workers(1, timeout=60)
        yield dict(_looked(client, scheduler, folder))


def _looked(client, scheduler, folder):
    keys = {}
    for name in ("replay", "debug", "call"):
        held = client.submit(hold, str(folder), name, key=f"hold-{name}")
        keys[name] = client.submit(ratio, 1, held, key=f"bad-{name}")
    wait(list(keys.values()))
    del held
    with pytest.raises(ZeroDivisionError) as forgotten:
        delayed(ratio)(1, delayed(hold)(str(folder), "forgotten")).compute()
    address = client.scheduler.address
    script = folder / "script.py"
    script.write_text(SCRIPT)
    (folder / "run").mkdir()
    commands = {"run": start("run", script, address, folder / "run")}
    (folder / "again").touch()
    for where, verb in COMMANDS.items():
        more = () if where is None else ("--where", where)
        options = ("--scheduler", address, *more)
        commands[f"{verb} {where}"] = start(verb, f"bad-{verb}", *options)
    with ThreadPoolExecutor(8) as pool:
        calls = {
            f"call {where}": pool.submit(dbgkit.replay, keys["call"], where=where)
            for where in WHERE
        }
        calls |= {
            f"forgotten {where}": pool.submit(
                dbgkit.replay, forgotten.value, where=where
            )
            for where in WHERE
        }

        def under_way():
            """What has ended before does not come to it, and is told by its test."""
            over = [each for each in commands.values() if each.poll() is not None]
            over += [each for each in calls.values() if each.done()]
            began = len(list(folder.rglob("runs-*")))
            return began + len(over) >= len(commands) + len(calls)

        wait_until(under_way, "all compute again", 120)
        scheduler.send_signal(signal.SIGKILL)
        end = time.monotonic() + LIMIT
        for name, command in commands.items():
            try:
                yield name, ended(command, max(1.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                command.kill()
                yield name, "it has not ended"
        for name, call in calls.items():
            try:
                yield name, call.result(max(1.0, end - time.monotonic()))
            except Exception as error:
                yield name, error


@pytest.mark.parametrize("where", COMMANDS)
def test_from_the_command_line(looks, where):
    done = looks[f"{COMMANDS[where]} {where}"]
    assert done.code == 2, done
    (line,) = [one for one in done.err.splitlines() if one.startswith("Error: ")]
    assert "check whether the scheduler still runs" in line
    assert "Traceback" not in done.err
    assert not done.out


def test_from_a_script(looks):
    """Its own exit code and traceback, and a line why there is no more than that."""
    done = looks["run"]
    assert done.code == 1, done
    told = [one for one in done.err.splitlines() if one.startswith("dbgkit: ")]
    assert "check whether the scheduler still runs" in told[-1]
    assert "ZeroDivisionError" in done.err


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("target", ["call", "forgotten"])
def test_from_a_call(looks, target, where):
    error = looks[f"{target} {where}"]
    assert isinstance(error, errors.SchedulerGone), error
    assert "check whether the scheduler still runs" in str(error)
    assert "\n" not in str(error)
