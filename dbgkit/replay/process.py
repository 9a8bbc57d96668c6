"""A replay in a process of its own: whatever it does, the user's process survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbgkit.errors import RunSpecUnreadable, WaitTimedOut
from dbgkit.model import Failure, FrameSummary, Plan, Run
from dbgkit.replay.child import (
    BEGUN,
    FAULTS,
    RESULT,
    TASK,
    begin,
    leave,
    run_nodes,
)
from dbgkit.replay.inputs import Inputs
from dbgkit.replay.material import Material
from dbgkit.replay.nodes import write
from dbgkit.replay.outcome import compare

_LOOK = 0.02  # seconds between two looks at the child
_SLOWEST_START = 60.0  # seconds for the child to import what the task needs
_SLOWEST_FORK = 10.0  # seconds for a fork, which imports nothing, to begin
_GRACE = 1.0  # seconds for the child to say where it stands, before it is killed
_START = "import sys; from dbgkit.replay.child import main; main(sys.argv[1])"
_STACK = "(most recent call first)"  # in the heading of each of faulthandler's stacks
_LINES = 12  # last lines of what the child printed and of faulthandler's text


@dataclass(frozen=True)
class ChildEnd:
    """What a child came to."""

    run: Run
    frames: tuple[FrameSummary, ...] = ()
    traceback_text: str = ""
    crash: str = ""
    notes: tuple[str, ...] = ()


def run_in_child(
    failure: Failure,
    plan: Plan,
    material: Material,
    inputs: Inputs,
    timeout: float,
    specs: Mapping[Any, bytes] | None,
) -> ChildEnd:
    """Run the task in a child; bounded in time and in memory.

    The child is a new interpreter. Where the inputs cannot be pickled (``specs`` is
    None), it is a fork of this process: a copy, so that nothing here changes.
    """
    task = {
        "key": material.key,
        "scope": plan.scope,
        "outputs": _outputs(material),
        "timeout": timeout,
        "worker": failure.worker or "",
        "known": dict(material.worker_of(failure)),
        "cluster": _cluster(material, timeout),
    }
    if specs is not None:
        return _one_child(
            failure, timeout, _SLOWEST_START, task, inputs, dict(specs), None
        )
    nodes = {
        key: row.node if row.node is not None else row.read()
        for key, row in material.rows.items()
        if key in set(plan.run_here)
    }
    return _one_child(failure, timeout, _SLOWEST_FORK, task, inputs, None, nodes)


def _one_child(
    failure: Failure,
    timeout: float,
    start_limit: float,
    task: dict[str, Any],
    inputs: Inputs,
    specs: dict[Any, bytes] | None,
    nodes: Mapping[Any, Any] | None,
) -> ChildEnd:
    """Start a child, and wait for its end.

    Raises
    ------
    WaitTimedOut
        It did not begin with the task within ``start_limit`` seconds.
    RunSpecUnreadable
        It could not read the task.
    """
    limit = _memory_limit(task["known"])
    with tempfile.TemporaryDirectory(prefix="dbgkit-") as name:
        folder = Path(name)
        start = time.perf_counter()
        if specs is None:
            child: _Child = _Forked(folder, {**task, "inputs": inputs.values}, nodes)
        else:
            child = _Spawned(folder, {**task, "specs": specs}, inputs)
        try:
            why = _watch(child, folder / BEGUN, start_limit, timeout, limit)
        finally:
            child.stop()
        if not (folder / BEGUN).exists():
            _refuse_unbegun(failure, folder, child, why)
        seconds = time.perf_counter() - start
        return _end(failure, folder, child, why, seconds)


def _refuse_unbegun(failure: Failure, folder: Path, child: _Child, why: str) -> None:
    """Raise where the task never began, so that nothing can be said of it.

    A child that was ended by a signal died of what it read, as a worker would.
    """
    if why == "timeout":
        raise WaitTimedOut(
            f"the process for {failure.key!r} did not begin with the task",
            "try again when the machine is less busy, or where='here'",
        )
    if (child.poll() or 0) > 0:
        lines = _tail(folder / "output.txt").splitlines() or ["it said nothing"]
        raise RunSpecUnreadable(
            f"the task {failure.key!r} cannot be read in a process of its own: "
            f"{lines[-1]}",
            "where='here' runs it where it can be read",
            key=failure.key,
        )


def _outputs(material: Material) -> list[Any]:
    return list(material.outputs) if material.key is None else [material.key]


def _cluster(material: Material, timeout: float) -> dict[str, Any] | None:
    """How the child reaches the cluster; not at all where it lives in this process."""
    if material.link is None or material.shared:
        return None
    client = material.link.client
    return {
        "address": client.scheduler.address,
        "security": client.security,
        "timeout": timeout,
    }


def _memory_limit(known: Mapping[str, Any]) -> tuple[int, str]:
    """Bytes that the child may hold, and whose limit that is."""
    import psutil

    free = int(psutil.virtual_memory().available * 0.8)
    limit = known.get("memory_limit") or 0
    if 0 < limit < free:
        return limit, "the worker's limit"
    return free, "80 % of what was free here"


class _Child:
    """A running child: `poll` gives its exit status once it has ended.

    ``held`` are the bytes that it has from its parent.
    """

    pid: int
    held: int = 0

    def poll(self) -> int | None:
        raise NotImplementedError

    def kill(self) -> None:
        raise NotImplementedError

    def tell_where(self) -> None:
        """Have it leave its stacks in the file for faults, if it does not itself."""

    def stop(self) -> None:
        """Make sure that it has ended, and reap it."""
        if self.poll() is None:
            self.kill()
            while self.poll() is None:
                time.sleep(_LOOK)


class _Spawned(_Child):
    def __init__(self, folder: Path, task: dict[str, Any], inputs: Inputs) -> None:
        header = json.dumps({"path": [os.path.abspath(p) for p in sys.path]})
        data = write({**task, "inputs": inputs.values}, "the task with its inputs")
        with open(folder / TASK, "wb") as file:
            file.write(header.encode() + b"\n")
            file.write(data)
        del data
        self.output = open(folder / "output.txt", "wb")  # noqa: SIM115
        path = os.pathsep.join(p for p in sys.path if p)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        super().stop()
        self.output.close()


class _Forked(_Child):
    def __init__(self, folder: Path, task: dict[str, Any], nodes: Any) -> None:
        import warnings

        import psutil

        self._status: int | None = None
        # It begins with all that this process holds.
        self.held = psutil.Process().memory_info().rss
        with warnings.catch_warnings():
            # Threads of this process do not live on in the child; it needs none of
            # them, and its time is bounded.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            self._run(folder, nodes, task)

    def _run(self, folder: Path, nodes: Any, task: dict[str, Any]) -> None:
        """In the child: never returns."""
        import faulthandler
        import gc

        # What would be collected is the parent's: clients, clusters, threads' locks.
        gc.disable()

        code = 70
        try:
            output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT)
            os.dup2(output, 1)
            os.dup2(output, 2)
            with open(folder / FAULTS, "w") as faults:
                faulthandler.enable(faults)
                # Not dump_traceback_later: it would wait here for the thread of one
                # that is under way in the parent, as pytest's faulthandler_timeout.
                faulthandler.register(signal.SIGUSR1, faults, all_threads=True)
                begin(str(folder))
                leave(str(folder), run_nodes(nodes, task))
            code = 0
        finally:
            os._exit(code)

    def poll(self) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def tell_where(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)


def _watch(
    child: _Child,
    begun: Path,
    start_limit: float,
    timeout: float,
    limit: tuple[int, str],
) -> str:
    """Wait for the child; kills it past a limit, and says which.

    The time limit is the call's: it counts from when the file ``begun`` is there.
    """
    import psutil

    end = time.monotonic() + start_limit
    running = told = False
    most, whose = limit
    while child.poll() is None:
        if not running and begun.exists():
            running, end = True, time.monotonic() + timeout
        if time.monotonic() > end:
            if not running or told:
                child.kill()
                return "timeout"
            child.tell_where()
            told, end = True, end + _GRACE
        try:
            resident = psutil.Process(child.pid).memory_info().rss
        except psutil.Error:
            resident = 0  # it has just ended
        if resident - child.held > most:
            child.kill()
            held = resident - child.held
            return f"memory: it held {held:,} bytes, over {whose} ({most:,})"
        time.sleep(_LOOK)
    return ""


def _end(
    failure: Failure, folder: Path, child: _Child, why: str, seconds: float
) -> ChildEnd:
    result = folder / RESULT
    crash = _fault(folder / FAULTS) or _tail(folder / "output.txt")
    if why == "timeout":
        detail = f"stopped after {seconds:.1f} s"
        return ChildEnd(Run("timeout", detail=detail, seconds=seconds), crash=crash)
    if not result.exists():
        detail = why or describe_exit(child.poll())
        return ChildEnd(
            Run("died", detail=detail, seconds=seconds),
            crash=f"{detail}\n{crash}".strip(),
        )
    wire = json.loads(result.read_text("utf-8"))
    notes = tuple(wire["notes"]) + tuple(
        f"the task asked its worker for {name!r}, which the stand-in has not"
        for name in wire["lacked"]
    )
    error = wire["exception"]
    if error is None:
        return ChildEnd(Run("passed", seconds=wire["seconds"]), notes=notes)
    frames = tuple(map(FrameSummary.from_wire, error["frames"]))
    if failure.killed and error["ends_worker"]:
        # It does to a worker what it did before, though not to a plain process.
        detail = f"it raised {error['text']}, which ends a worker"
        return ChildEnd(
            Run("died", error["type"], error["message"], detail, wire["seconds"]),
            frames=frames,
            traceback_text=error["traceback_text"],
            crash=detail,
            notes=notes,
        )
    place, broken = error["place"], error["broken_repr"]
    outcome = compare(
        failure,
        error["type"],
        error["message"],
        tuple(place) if place else None,
        error["text"],
        tuple(broken) if broken else None,
    )
    return ChildEnd(
        Run(outcome, error["type"], error["message"], seconds=wire["seconds"]),
        frames=frames,
        traceback_text=error["traceback_text"],
        notes=notes,
    )


def describe_exit(status: int | None) -> str:
    """An exit status in words: ``exit code 3``, ``signal 11 (SIGSEGV)``."""
    if status is not None and status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = "unknown"
        return f"signal {-status} ({name})"
    return f"exit code {status}"


def _fault(path: Path) -> str:
    """Where the task was, out of what faulthandler wrote: innermost frame first."""
    lines = _lines(path)
    stacks = [i for i, line in enumerate(lines) if _STACK in line]
    if not stacks:
        return "\n".join(lines[-_LINES:])
    # After a timeout no thread is the current one: the main one, the task's, is last.
    current = (i for i in stacks if lines[i].startswith("Current thread"))
    start = next(current, stacks[-1])
    end = next((i for i in stacks if i > start), len(lines))
    heading = lines[:1] if stacks[0] > 0 else []
    return "\n".join([*heading, *lines[start : min(end, start + _LINES)]]).strip()


def _tail(path: Path) -> str:
    """Last lines of a file that the child left."""
    return "\n".join(_lines(path)[-_LINES:])


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return path.read_text("utf-8", errors="replace")[-100_000:].strip().splitlines()
