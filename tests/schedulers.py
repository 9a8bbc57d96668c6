"""Replays that compute inputs again, and a scheduler that is killed meanwhile."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import dask_command, ended, environment, start
from dask import delayed
from distributed import Client, wait
from watching import wait_until

import dbgkit

WHERE = (None, "process", "worker")
COMMANDS = {None: "debug", "process": "replay", "worker": "replay"}
LIMIT = 40.0  # seconds from the kill until each has ended
GONE = "check whether the scheduler still runs"
OPTIONS = ("--no-dashboard",)


def hold(folder: Any, name: Any) -> Any:
    """Quick at first; once there is a file `again`, it goes on until there is `go`."""
    folder = Path(folder)
    if (folder / "again").exists():
        (folder / f"runs-{name}-{time.monotonic_ns()}").touch()
        while not (folder / "go").exists():
            time.sleep(0.05)
    return 0


def ratio(a: Any, b: Any) -> Any:
    return a / b


SCRIPT = """
import sys
from dask import delayed
from distributed import Client
from schedulers import hold, ratio
from pathlib import Path

if __name__ == "__main__":
    with Client(sys.argv[1]):
        total = delayed(ratio)(1, delayed(hold)(sys.argv[2], "run"))
        try:
            total.compute()
        finally:
            Path(sys.argv[2], "again").touch()
"""


# Loads all that it needs, and is the scheduler as soon as there is a file.
STANDBY = """
import sys, time
from pathlib import Path
from distributed.cli.dask_scheduler import main

while not Path(sys.argv[1]).exists():
    time.sleep(0.01)
main(sys.argv[2:])
"""


class Own:
    """A cluster of Dask's own commands, whose scheduler can be killed and restarted.

    Attributes
    ----------
    folder : Path
        Where its tasks look for the files `again` and `go` of `hold`.
    address : str
    client : Client
    """

    def __init__(self, folder: Any, enter: Any) -> None:
        self.folder = folder
        self._enter = enter
        self._path = environment()["PYTHONPATH"]
        file = folder / "scheduler.json"
        options = ("--port", "0", "--scheduler-file", str(file))
        self._scheduler = self._began("scheduler", *options)
        wait_until(file.exists, "the scheduler's file", 60)
        self.client = enter(Client(scheduler_file=str(file), timeout=30))
        self.address = self.client.scheduler.address
        self.start_worker()

    def _began(self, *args: Any) -> Any:
        command = dask_command(
            [sys.executable], self.folder, *args, *OPTIONS, path=self._path
        )
        return self._enter(command)

    def start_worker(self) -> None:
        """Start one worker; one ends by itself as its scheduler does."""
        self._began("worker", self.address, "--nthreads", "16", "--no-nanny")
        self.client.wait_for_workers(1, timeout=60)

    def stop_answering(self) -> None:
        """Stop the scheduler's process: it answers nothing until it is killed."""
        self._scheduler.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """Kill the scheduler, and wait until its process has ended."""
        self._scheduler.send_signal(signal.SIGKILL)
        self._scheduler.wait(20)

    def stand_by(self) -> None:
        """Have another scheduler load, that takes the place of a killed one at once."""
        script = self.folder / "standby.py"
        script.write_text(STANDBY)
        self._standby = self.folder / f"start-{time.monotonic_ns()}"
        port = self.address.rpartition(":")[2]
        args = (str(script), str(self._standby), "--port", port, *OPTIONS)
        self._next = self._enter(python_command(self.folder, *args))

    def restart(self) -> None:
        """Kill the scheduler, and have the one that stands by take its place."""
        self.kill()
        self._standby.touch()
        self._scheduler = self._next

    def restarted(self) -> None:
        """The same from first to last: wait until the client is connected again."""
        before = self.client._scheduler_identity["id"]
        self.stand_by()
        self.restart()
        wait_until(
            lambda: (
                self.client.status == "running"
                and self.client._scheduler_identity["id"] != before
            ),
            "the client is connected again",
        )

    def let_go(self) -> None:
        """Let all tasks end that hold."""
        for folder in (self.folder, *filter(Path.is_dir, self.folder.iterdir())):
            (folder / "go").touch()

    def failed(self, name: Any, folder: Any = None) -> Any:
        """A task that has failed, whose input is released, and computed by `hold`."""
        folder = self.folder if folder is None else folder
        held = self.client.submit(hold, str(folder), name, key=f"hold-{name}")
        bad = self.client.submit(ratio, 1, held, key=f"bad-{name}")
        wait(bad)
        key = held.key
        del held
        wait_until(lambda: self.state(key) == "released", "the input is released")
        return bad

    def state(self, key: str) -> Any:
        """The state of a task."""
        return self.client.run_on_scheduler(
            lambda dask_scheduler: dask_scheduler.tasks[key].state
        )

    def raised(self) -> Any:
        """The exception of a computation of which nothing is held."""
        with pytest.raises(ZeroDivisionError) as forgotten:
            delayed(ratio)(1, delayed(hold)(str(self.folder), "forgotten")).compute()
        return forgotten.value

    def runs(self) -> Any:
        """How many tasks have begun to hold."""
        return len(list(self.folder.rglob("runs-*")))

    def waiting(self) -> Any:
        """How many calls of dbgkit's wait for an answer (`cluster.calls`)."""
        tasks = asyncio.all_tasks(self.client.loop.asyncio_loop)
        names = [getattr(task.get_coro(), "__qualname__", "") for task in tasks]
        return sum(name.endswith(".call.<locals>.bounded") for name in names)

    def known(self) -> Any:
        """Keys of all tasks that the scheduler knows."""
        return set(
            self.client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.tasks])
        )


@contextmanager
def python_command(folder: Any, *args: Any) -> Any:
    """A script of its own in another process, which is killed at the end."""
    with open(folder / "standby.log", "a") as log:
        process = subprocess.Popen(
            [sys.executable, *args],
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


@contextmanager
def own_scheduler(folder: Any) -> Any:
    """A cluster whose scheduler is killed in a test."""
    with ExitStack() as stack:
        cluster = Own(folder, stack.enter_context)
        stack.callback(cluster.let_go)
        yield cluster


def looked(cluster: Any, harm: Any, ancestors: Any = ()) -> Any:
    """How calls and commands end whose scheduler is harmed as they compute inputs.

    Parameters
    ----------
    cluster : Own
    harm : callable
        Called once all of them compute.
    ancestors : iterable of str
        Names of more ways, in which a replay computes its inputs in its own process.

    Yields
    ------
    name : str
    end
        How a command has ended; or what a call raised or returned.
    """
    folder, own = cluster.folder, {}
    for name in ("run", *ancestors):
        own[name] = folder / name
        own[name].mkdir()
    held = [cluster.failed(name) for name in ("replay", "debug", "call")]
    held += [cluster.failed(name, own[name]) for name in ancestors]
    forgotten = cluster.raised()
    script = folder / "script.py"
    script.write_text(SCRIPT)
    commands = {"run": start("run", script, cluster.address, own["run"])}
    for each in (folder, *map(own.get, ancestors)):
        (each / "again").touch()  # a script does so itself
    with ThreadPoolExecutor(8) as pool:

        def command(name: Any, verb: Any, key: Any, *more: Any) -> None:
            options = ("--scheduler", cluster.address, *more)
            commands[name] = start(verb, key, *options)

        for where, verb in COMMANDS.items():
            more = () if where is None else ("--where", where)
            command(f"{verb} {where}", verb, f"bad-{verb}", *more)
        for name in ancestors:
            command(name, "replay", f"bad-{name}", "--scope", "ancestors")
        calls = {
            f"{name} {where}": pool.submit(dbgkit.replay, target, where=where)
            for where in WHERE
            for name, target in (("call", held[2]), ("forgotten", forgotten))
        }
        calls |= {
            f"call {name}": pool.submit(
                dbgkit.replay, f"bad-{name}", scope="ancestors", client=cluster.client
            )
            for name in ancestors
        }

        def under_way() -> Any:
            """What has ended already is checked by its own test."""
            over = [each for each in commands.values() if each.poll() is not None]
            over += [each for each in calls.values() if each.done()]
            return cluster.runs() + len(over) >= len(commands) + len(calls)

        wait_until(under_way, "all compute again", 120)
        end = time.monotonic() + LIMIT
        harm()
        for name in ancestors:
            (own[name] / "go").touch()
        for name, process in commands.items():
            try:
                yield name, ended(process, max(1.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                yield name, "it has not ended"
        for name, call in calls.items():
            try:
                yield name, call.result(max(1.0, end - time.monotonic()))
            except Exception as error:
                yield name, error
