"""A replay in a separate process: whatever it does, the user's process survives."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.errors import DbgkitError, RunSpecUnreadable, WaitTimedOut
from dbgkit.model import MALFORMED, Failure, FrameSummary, Run, Step
from dbgkit.model.frames import checked, duration
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.common.texts import safe_str
from dbgkit.replays.child import BEGUN, FAULTS, RESULT
from dbgkit.replays.children import Child, Forked, Spawned, shared_folder
from dbgkit.replays.lacking import Lack
from dbgkit.replays.material import Material
from dbgkit.replays.outcome import (
    CAUSES_UNKNOWN,
    causes_unknown,
    raised_from_wire,
    run_of,
)
from dbgkit.replays.preparing import Prepared
from dbgkit.replays.standin import reading
from dbgkit.replays.steps import steps_from_wire

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import ChildCluster, ChildResult, ChildTask

_LOOK = 0.02  # seconds between two checks of the child
_SLOWEST_START = 60.0  # seconds for the child to import what the task needs
_SLOWEST_FORK = 10.0  # seconds for a fork, which imports nothing, to begin
_GRACE = 1.0  # seconds for the child to say where it stands, before it is killed
_STACK = "(most recent call first)"  # in the heading of each of faulthandler's stacks
_LINES = 12  # last lines of what the child printed and of faulthandler's text


@dataclass(frozen=True)
class ChildEnd:
    """How a child ended, and what it left.

    ``lack`` is what the task asked its worker for and did not get, ``handed`` the keys
    of tasks that it had submitted and whose errors it got, as texts; ``steps`` have
    summaries in place of values.
    """

    run: Run
    frames: tuple[FrameSummary, ...] = ()
    crash: str = ""
    notes: tuple[str, ...] = ()
    lack: Lack | None = None
    handed: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()


def run_in_child(
    failure: Failure, prepared: Prepared, specs: Mapping[Any, bytes] | None
) -> ChildEnd:
    """Run the task in a child; bounded in time and in memory.

    The child is a new interpreter. Where the inputs cannot be pickled (``specs`` is
    None), it is a fork of this process: a copy, so that nothing here changes. Raises if
    it could not read the task, or did not start it in time.
    """
    plan, material, inputs = prepared.plan, prepared.material, prepared.inputs
    timeout, stand_in = prepared.wanted.timeout, prepared.stand_in
    task: ChildTask = {
        "key": material.key,
        "scope": plan.scope,
        "outputs": list(material.roots),
        "inputs": None,  # they come apart
        "timeout": timeout,
        "max_bytes": prepared.wanted.max_bytes,
        "worker": failure.worker or "",
        "known": dict(material.worker_of(failure)),
        "secret_names": secret_names(),
        "cluster": child_cluster(material, timeout),
        "alone": stand_in is None,
    }
    limit = memory_limit(task["known"])
    nodes: dict[Any, Any] = {}
    if specs is None:
        with reading(stand_in):
            for key in plan.run_here:
                row = material.rows[key]
                nodes[key] = row.read() if row.node is None else row.node
    with shared_folder() as folder:
        start = time.perf_counter()
        if specs is not None:
            child: Child = Spawned(folder, {**task, "specs": dict(specs)}, inputs)
            start_limit = _SLOWEST_START
        else:
            fork = (nodes, inputs.reader, stand_in)
            child = Forked(folder, {**task, "inputs": inputs.values}, fork)
            start_limit = _SLOWEST_FORK
        try:
            why = _watch(child, folder, start_limit, timeout, limit)
        finally:
            child.stop()
        if not (folder / BEGUN).exists():
            _refuse_unbegun(failure, folder, child, why)
        seconds = time.perf_counter() - start
        return _end(failure, folder, child, why, seconds)


def _refuse_unbegun(failure: Failure, folder: Path, child: Child, why: str) -> None:
    """Raise if the task never began, so that there is no outcome.

    A child that was ended by a signal died of what it read, as a worker would.
    """
    if why == "timeout":
        raise WaitTimedOut(
            f"the process for {failure.key!r} did not start the task",
            "try again when the machine is less busy, or with "
            f"{advice.option('where', 'here')}",
        )
    if (child.poll() or 0) > 0:
        lines = _tail(folder / "output.txt").splitlines() or ["it printed nothing"]
        raise RunSpecUnreadable(
            f"the task {failure.key!r} cannot be read in a process of its own: "
            f"{lines[-1]}",
            f"{advice.option('where', 'here')} runs it where it can be read",
            key=failure.key,
        )


def child_cluster(material: Material, timeout: float) -> ChildCluster | None:
    """How the child reaches the cluster; None if that lives in this process."""
    if material.link is None or material.shared:
        return None
    client = material.link.client
    return {
        "address": client.scheduler.address,
        "security": client.security,
        "timeout": timeout,
    }


def memory_limit(known: Mapping[str, Any]) -> tuple[int, str]:
    """Bytes that the child may hold, and where that limit comes from."""
    import psutil

    free = int(psutil.virtual_memory().available * 0.8)
    limit = known.get("memory_limit") or 0
    if 0 < limit < free:
        return limit, "the worker's limit"
    return free, "80 % of what was free here"


def _watch(
    child: Child,
    folder: Path,
    start_limit: float,
    timeout: float,
    limit: tuple[int, str],
) -> str:
    """Wait for the child; kills it past a limit, and says which.

    The time limit is the call's: it counts from when the child has begun, and no more
    once the result is there.
    """
    import psutil

    end = time.monotonic() + start_limit
    running = signalled = False
    most, whose = limit
    while child.poll() is None:
        if not running and (folder / BEGUN).exists():
            running, end = True, time.monotonic() + timeout
        if time.monotonic() > end:
            if (folder / RESULT).exists():
                child.kill()  # nothing is wanted of what is left of it
                return ""
            if not running or signalled:
                child.kill()
                return "timeout"
            child.dump_stacks()
            signalled, end = True, end + _GRACE
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
    failure: Failure, folder: Path, child: Child, why: str, seconds: float
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
    try:
        return end_from_wire(failure, json.loads(result.read_text("utf-8")))
    except MALFORMED as error:
        # Code that ran there can reach everything in its process.
        raise DbgkitError(
            f"the result of the process for {failure.key!r} cannot be read: "
            f"{type(error).__name__}: {safe_str(error)}",
            f"try again, or with {advice.option('where', 'worker')}",
            key=failure.key,
        ) from error


def end_from_wire(failure: Failure, wire: ChildResult) -> ChildEnd:
    """The end of a child that has left its result: see `child.run_nodes`.

    Raises one of `MALFORMED` if our child process did not write it.
    """
    notes = tuple(checked(str, note) for note in wire["notes"])
    seconds = duration(wire["seconds"])
    error = wire["exception"]
    steps = steps_from_wire(wire["steps"])
    if error is None:
        return ChildEnd(Run("passed", seconds=seconds), notes=notes, steps=steps)
    raised = raised_from_wire(error["raised"])
    frames = tuple(map(FrameSummary.from_wire, error["frames"]))
    if failure.killed and error["ends_worker"]:
        # It does to a worker what it did before, though not to a plain process.
        detail = f"it raised {raised['text']}, which ends a worker"
        return ChildEnd(
            Run("died", raised["type"], raised["message"], detail, seconds),
            frames=frames,
            crash=detail,
            notes=notes,
        )
    if causes_unknown(failure, raised):
        notes += (CAUSES_UNKNOWN,)
    return ChildEnd(
        run_of(failure, raised, seconds),
        frames=frames,
        notes=notes,
        lack=_lack(error["lack"]),
        handed=tuple(checked(str, key) for key in error["handed"]),
        steps=steps,
    )


def _lack(wire: Any) -> Lack | None:
    if not wire:
        return None
    what, hint, where, by_shuffle = wire
    texts = (checked(str, what), checked(str, hint), checked(str, where))
    return *texts, bool(by_shuffle)


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
    """Where the task was, from faulthandler's output: innermost frame first."""
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
