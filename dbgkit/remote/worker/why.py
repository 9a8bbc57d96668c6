"""What a worker knows about tasks assigned to it; looking changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from time import time
from typing import TYPE_CHECKING, Any

from ..common.frames import lines_of
from ..common.log_records import failed_plugins
from .running import Around
from .why_memory import memory_of
from .why_waits import waits_of

if TYPE_CHECKING:
    from ..common.wire_why_workers import Executing, Probe, ProbedTask

LOG_ENTRIES = 20_000  # newest entries of the worker's log that are searched
SAMPLE = 5
MOST_TEXT = 5_000  # characters of an exception
URGENT = {"error": 0, "flight": 1}  # states of inputs that come first
MOST_EXECUTING = 256  # tasks that are reported to hold threads
MOST_STACKS = 20  # of them whose call stack comes along


def look_at_tasks(keys: Any, dask_worker: Any = None) -> Probe:
    """State and call stack of some tasks on this worker, and what it executes.

    It runs in the worker's event loop: its state does not change meanwhile.
    """
    state = dask_worker.state
    around = Around(dask_worker)
    scheduler = dask_worker.scheduler.address
    tasks = []
    for key in keys:
        ts = state.tasks.get(key)
        row = _task(state, ts, key)
        seen = around.of(key)
        if seen is not None and seen.places:
            row["stack"] = lines_of(seen.places)
            row["waits"] = waits_of(seen, scheduler)
        tasks.append(row)
    return {
        "now": time(),
        "status": dask_worker.status.name,
        "nthreads": state.nthreads,
        "executing": _executing(state.executing, around, scheduler),
        "seceded": _executing(state.long_running, around, scheduler),
        "ready": len(state.ready),
        "constrained": len(state.constrained),
        "in_flight": [
            {"worker": address, "keys": len(flying)}
            for address, flying in islice(state.in_flight_workers.items(), 20)
        ],
        "transfer_limit": state.transfer_incoming_count_limit,
        "tasks": tasks,
        "memory": memory_of(dask_worker) if _is_paused(dask_worker) else None,
        "plugins": failed_plugins(dask_worker),
    }


def _is_paused(worker: Any) -> bool:
    return bool(worker.status.name == "paused")


def _executing(
    running: Iterable[Any], around: Around, scheduler: str
) -> list[Executing]:
    """What some tasks do, the longest first; that one, and who waits, with a stack.

    A task that the scheduler has released is ``"cancelled"`` here, until it ends.
    """
    longest = sorted(running, key=lambda ts: ts.start_time or 0.0)
    found: list[Executing] = []
    stacked = 0
    for ts in longest[:MOST_EXECUTING]:
        seen = around.of(ts.key)
        entry: Executing = {
            "key": ts.key,
            "since": ts.start_time,
            "state": ts.state,
            "waits": waits_of(seen, scheduler),
        }
        if not found or (entry["waits"] and stacked < MOST_STACKS):
            places = seen.places if seen is not None else []
            entry["stack"] = lines_of(places) or None
            stacked += 1
        found.append(entry)
    return found


def _task(state: Any, ts: Any, key: Any) -> ProbedTask:
    row: ProbedTask = {
        "key": key,
        "state": None,
        "since": None,
        "inputs": [],
        "stack": None,
        "waits": None,
    }
    if ts is None:
        return row
    waiting = list(ts.waiting_for_data)
    row["state"] = ts.state
    row["since"] = ts.start_time or since(state.log, key)
    row["inputs"] = [
        {
            "key": dts.key,
            "state": dts.state,
            "from": dts.coming_from or next(iter(sorted(dts.who_has)), None),
            "since": since(state.log, dts.key),
            # Why it could not be transferred: that is not tried again.
            "error": dts.exception_text[:MOST_TEXT] if dts.state == "error" else "",
        }
        for dts in sorted(waiting, key=lambda dts: URGENT.get(dts.state, 2))[:SAMPLE]
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
