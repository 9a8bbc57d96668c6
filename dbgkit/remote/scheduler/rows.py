"""Tasks and workers in wire form, as a visit to the scheduler reports them."""

from __future__ import annotations

import pickle
from itertools import islice
from typing import TYPE_CHECKING, Any

from dask._task_spec import Alias
from dask.sizeof import sizeof
from distributed.protocol import pickle as wire

from .p2p import is_barrier

if TYPE_CHECKING:
    from ..common.wire_failures import TaskForm, Visit, WorkerForm

MOST_BARRIERS = 100  # dependents of a failed task that are examined


def task_row(ts: Any) -> TaskForm:
    """State, place and size of a task."""
    return {
        "key": ts.key,
        "state": ts.state,
        "nbytes": ts.nbytes if ts.nbytes >= 0 else None,
        "type": ts.type or "",
        "who_has": [ws.address for ws in ts.who_has or ()],
        "dependencies": [dependency.key for dependency in ts.dependencies],
        "lost": ts.run_spec is None and ts.state != "memory",
        "alias_of": ts.run_spec.target if isinstance(ts.run_spec, Alias) else None,
        "group_size": sum(ts.group.states.values()),
        "restrictions": {
            "workers": sorted(ts.worker_restrictions or ()),
            "hosts": sorted(ts.host_restrictions or ()),
            "resources": dict(ts.resource_restrictions or {}),
            "loose": bool(ts.loose_restrictions),
        },
        "spec": None,
        "spec_bytes": 0,
        "spec_error": "",
    }


def barriers_after(ts: Any) -> list[Any]:
    """Barriers of P2P shuffles that a task feeds: they know how that is done."""
    found = []
    stack, left = [ts], MOST_BARRIERS
    while stack and left > 0:
        dependents = stack.pop().dependents
        left -= len(dependents)
        for dependent in islice(dependents, MOST_BARRIERS):
            if is_barrier(dependent.key):
                found.append(dependent)
            elif isinstance(dependent.run_spec, Alias):
                stack.append(dependent)
    return found


def lost_dependencies(ts: Any) -> list[Any]:
    """Dependencies of a task that were forgotten with their only copy.

    ``Scheduler._propagate_forgotten`` takes it off ``TaskState.dependencies``.
    """
    if not ts.has_lost_dependencies or ts.run_spec is None:
        return []
    known = {dependency.key for dependency in ts.dependencies}
    return [key for key in ts.run_spec.dependencies if key not in known]


def lost_row(key: Any) -> TaskForm:
    """The row of a task that the scheduler has forgotten."""
    return {
        "key": key,
        "state": "unknown",
        "nbytes": None,
        "type": "",
        "who_has": [],
        "dependencies": [],
        "lost": True,
        "alias_of": None,
        "group_size": None,
        "restrictions": {},
        "spec": None,
        "spec_bytes": 0,
        "spec_error": "",
    }


def add_spec(row: TaskForm, ts: Any, answer: Visit, limit: int) -> None:
    """Pickle a run spec into its row, as long as all of them are within a limit."""
    if ts.run_spec is None:
        return
    expected = sizeof(ts.run_spec)
    if answer["spec_bytes"] + expected <= limit:
        try:
            spec = row["spec"] = wire.dumps(ts.run_spec)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            row["spec_error"] = repr(error)[:1000]
            return
        expected = len(spec)
    row["spec_bytes"] = expected
    answer["spec_bytes"] += expected


def name_of(ws: Any) -> str | int:
    """Name of a worker, which may be anything."""
    return ws.name if isinstance(ws.name, (str, int)) else str(ws.name)


def worker_row(ws: Any) -> WorkerForm:
    return {
        "name": name_of(ws),
        "status": ws.status.name,
        "memory_limit": ws.memory_limit,
        "pid": ws.pid,
        "nanny": ws.nanny,
        "local_directory": ws.local_directory,
        "nthreads": ws.nthreads,
    }
