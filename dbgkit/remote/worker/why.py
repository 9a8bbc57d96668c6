"""What a worker knows about tasks assigned to it; looking changes nothing."""

from __future__ import annotations

import sys
import traceback
from itertools import islice
from time import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..common.wire_why_workers import Executing, Probe, ProbedTask, Waits

MOST_LINES = 40  # frames of one call stack
LOG_ENTRIES = 20_000  # newest entries of the worker's log that are searched
SAMPLE = 5
MOST_EXECUTING = 20  # tasks that are reported to hold threads

# File and function of Dask's own that wait, and the kind of what they wait for.
_WAITS = {
    ("semaphore.py", "acquire"): "semaphore",
    ("lock.py", "acquire"): "lock",
    ("event.py", "wait"): "event",
    ("queues.py", "get"): "queue",
    ("queues.py", "put"): "queue",
    ("variable.py", "get"): "variable",
    ("multi_lock.py", "acquire"): "multi-lock",
    ("client.py", "result"): "future",
    ("client.py", "gather"): "future",
}


def look_at_tasks(keys: Any, dask_worker: Any = None) -> Probe:
    """State and call stack of some tasks on this worker, and what it executes.

    It runs in the worker's event loop: its state does not change meanwhile.
    """
    state = dask_worker.state
    threads = {key: ident for ident, key in dask_worker.active_threads.items()}
    stacks = sys._current_frames()
    tasks = []
    for key in keys:
        ts = state.tasks.get(key)
        row = _task(state, ts, key)
        frame = stacks.get(threads.get(key, -1))
        if frame is not None:
            row["stack"] = stack_lines(frame)
            row["waits"] = waits_of(frame)
        tasks.append(row)
    return {
        "now": time(),
        "status": dask_worker.status.name,
        "nthreads": state.nthreads,
        "executing": _executing(state, threads, stacks),
        "ready": len(state.ready),
        "constrained": len(state.constrained),
        "in_flight": [
            {"worker": address, "keys": len(flying)}
            for address, flying in islice(state.in_flight_workers.items(), 20)
        ],
        "transfer_limit": state.transfer_incoming_count_limit,
        "tasks": tasks,
    }


def _executing(
    state: Any, threads: dict[Any, int], stacks: dict[int, Any]
) -> list[Executing]:
    """What the threads run, the longest first, that one with its call stack.

    A task that the scheduler has released is ``"cancelled"`` here, until it ends.
    """
    longest = sorted(state.executing, key=lambda ts: ts.start_time or 0.0)
    found: list[Executing] = [
        {"key": ts.key, "since": ts.start_time, "state": ts.state}
        for ts in longest[:MOST_EXECUTING]
    ]
    for entry in found[:1]:
        frame = stacks.get(threads.get(entry["key"], -1))
        entry["stack"] = stack_lines(frame) if frame is not None else None
    return found


def _task(state: Any, ts: Any, key: Any) -> ProbedTask:
    row: ProbedTask = {
        "key": key,
        "state": None,
        "since": None,
        "inputs": [],
        "input_count": 0,
        "stack": None,
        "waits": None,
    }
    if ts is None:
        return row
    waiting = list(ts.waiting_for_data)
    row["state"] = ts.state
    row["since"] = ts.start_time or since(state.log, key)
    row["input_count"] = len(waiting)
    row["inputs"] = [
        {
            "key": dts.key,
            "state": dts.state,
            "from": dts.coming_from or next(iter(sorted(dts.who_has)), None),
            "since": since(state.log, dts.key),
        }
        for dts in sorted(waiting, key=lambda dts: dts.state != "flight")[:SAMPLE]
    ]
    return row


def since(log: Any, key: Any) -> float | None:
    """When a task entered its state: the last entry of the worker's log for it.

    Transitions are ``(key, start, recommended, finish, …, stimulus_id, timestamp)``.
    """
    for entry in islice(reversed(log), LOG_ENTRIES):
        if entry[0] == key and len(entry) >= 6 and isinstance(entry[3], str):
            return float(entry[-1])
    return None


def stack_lines(frame: Any) -> list[str]:
    """Lines of a call stack, the innermost last, Dask's own thread pool left out."""
    summary = traceback.extract_stack(frame, limit=MOST_LINES)
    return [
        f"{line.filename}:{line.lineno} in {line.name}: {line.line or ''}"
        for line in summary
    ]


def waits_of(frame: Any) -> Waits | None:
    """What primitive of Dask a call stack waits for: its kind and name.

    The name is a local of Dask's own frames: ``self.name`` of a lock, semaphore,
    event, queue or variable, ``self.names`` of a multi-lock, ``self.key`` of a future.
    """
    found: Waits | None = None
    for _ in range(200):
        if frame is None:
            break
        code = frame.f_code
        path = code.co_filename.replace("\\", "/")
        folder, _, file = path.rpartition("/")
        kind = _WAITS.get((file, code.co_name))
        if kind is not None and folder.endswith("distributed"):
            waiting = frame.f_locals.get("self")
            named = ("key",) if kind == "future" else ("name", "names")
            found = {"kind": kind, "name": _name(waiting, named)}
        frame = frame.f_back
    return found


def _name(waiting: Any, attributes: tuple[str, ...]) -> str | None:
    for attribute in attributes:
        value = getattr(waiting, attribute, None)
        if attribute == "names" and isinstance(value, list):
            return ", ".join(map(str, value))[:200]
        if isinstance(value, (str, bytes, tuple)):
            return str(value)[:200]
    return None
