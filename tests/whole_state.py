"""All that a look could change: of a scheduler, of workers, of this process.

What is left out changes by itself, or counts what was asked: times (of heartbeats,
of connections, of tasks' durations), sizes that the system tells, logs of transitions
and events, counters of Dask's own, connections.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
import threading
import warnings
from typing import Any

import psutil
from cloudpickle import cloudpickle as trackers

from dbgkit.remote.common.codes import identity

# Of a `TaskState` of the scheduler, but for those that are told below.
_TASK = (
    "actor",
    "annotations",
    "erred_on",
    "exception_text",
    "has_lost_dependencies",
    "host_restrictions",
    "loose_restrictions",
    "metadata",
    "nbytes",
    "priority",
    "resource_restrictions",
    "retries",
    "run_id",
    "state",
    "suspicious",
    "traceback_text",
    "type",
    "worker_restrictions",
)
_OTHERS = ("dependencies", "dependents", "waiters", "waiting_on")
# Of a `TaskState` of a worker.
_WORKERS_TASK = (
    "annotations",
    "done",
    "exception_text",
    "nbytes",
    "next",
    "previous",
    "priority",
    "resource_restrictions",
    "run_id",
    "state",
    "suspicious_count",
    "traceback_text",
    "type",
)


def state_of_scheduler(dask_scheduler: Any) -> Any:
    """What a scheduler knows of tasks, groups, clients and workers, and its plugins."""
    return {
        **{
            f"task {key!r}": _task(ts) for key, ts in list(dask_scheduler.tasks.items())
        },
        **{
            f"group {name!r}": (
                sorted(map(repr, group.prefix.groups)),
                {state: count for state, count in group.states.items() if count},
                group.nbytes_total,
                sorted(group.types),
                sorted(each.name for each in group.dependencies),
            )
            for name, group in list(dask_scheduler.task_groups.items())
        },
        **{
            f"client {name}": {ts.key for ts in client.wants_what}
            for name, client in list(dask_scheduler.clients.items())
        },
        **{
            f"worker {address}": {
                "status": ws.status.name,
                "processing": {ts.key for ts in ws.processing},
                "has": {ts.key for ts in ws.has_what},
                "long running": {ts.key for ts in ws.long_running},
                "nbytes": ws.nbytes,
                "resources": (dict(ws.resources), dict(ws.used_resources)),
                "actors": {ts.key for ts in ws.actors},
            }
            for address, ws in list(dask_scheduler.workers.items())
        },
        "prefixes": {
            name: {state: n for state, n in prefix.state_counts.items() if n}
            for name, prefix in list(dask_scheduler.task_prefixes.items())
        },
        "erred": [(each.key, each.timestamp) for each in dask_scheduler.erred_tasks],
        "plugins": sorted(dask_scheduler.plugins),
        "worker plugins": sorted(dask_scheduler.worker_plugins),
        "nanny plugins": sorted(dask_scheduler.nanny_plugins),
        "handlers": sorted(dask_scheduler.handlers),
        "stream handlers": sorted(dask_scheduler.stream_handlers),
        "extensions": sorted(dask_scheduler.extensions),
        "topics": sorted(dask_scheduler.get_events()),
        "unrunnable": {ts.key for ts in dask_scheduler.unrunnable},
        "queued": {ts.key for ts in dask_scheduler.queued},
        "replicated": {ts.key for ts in dask_scheduler.replicated_tasks},
        "metadata": repr(dask_scheduler.task_metadata),
    }


def _task(ts: Any) -> Any:
    return {
        **{name: getattr(ts, name) for name in _TASK},
        **{name: {each.key for each in getattr(ts, name) or ()} for name in _OTHERS},
        "blame": ts.exception_blame and ts.exception_blame.key,
        "exception": (id(ts.exception), id(ts.traceback)),
        "group": ts.group.name,
        "prefix": ts.prefix.name,
        "processing on": ts.processing_on and ts.processing_on.address,
        "spec": id(ts.run_spec),
        "who has": {ws.address for ws in ts.who_has or ()},
        "who wants": {cs.client_key for cs in ts.who_wants or ()},
    }


def state_of_worker(dask_worker: Any) -> Any:
    """What a worker has: tasks, values as they are by now, plugins, threads."""
    state = dask_worker.state
    return {
        **{
            f"task {key!r}": {
                **{name: getattr(ts, name, None) for name in _WORKERS_TASK},
                "spec": id(ts.run_spec),
                "who has": set(ts.who_has),
                "waiting for": {each.key for each in ts.waiting_for_data},
            }
            for key, ts in list(state.tasks.items())
        },
        # Each is the same object, and holds the same.
        **{
            f"value {key!r}": (id(value), pickle.dumps(value))
            for key, value in list(dask_worker.data.items())
        },
        "status": dask_worker.status.name,
        "executing": {ts.key for ts in state.executing},
        "long running": {ts.key for ts in state.long_running},
        "ready": {ts.key for ts in state.ready},
        "constrained": {ts.key for ts in state.constrained},
        "in flight": {ts.key for ts in state.in_flight_tasks},
        "actors": sorted(state.actors),
        "resources": dict(state.available_resources),
        "plugins": sorted(dask_worker.plugins),
        "handlers": sorted(dask_worker.handlers),
        "stream handlers": sorted(dask_worker.stream_handlers),
        "extensions": sorted(dask_worker.extensions),
        "executors": {name: id(each) for name, each in dask_worker.executors.items()},
        "threads": _own_threads(),
    }


def _own_threads() -> Any:
    return sorted(each.name for each in threading.enumerate() if "dbgkit" in each.name)


def state_here(client: Any, kinds: Any) -> Any:
    """What this process has: futures, the user's classes, hooks, settings, leavings."""
    return {
        "futures": {key: each.status for key, each in client.futures.items()},
        "refcount": dict(client.refcount),
        "modules": {
            name: id(module)
            for name, module in list(sys.modules.items())
            if not _is_loaded_when_needed(name, module)
        },
        "main": {name: id(it) for name, it in vars(sys.modules["__main__"]).items()},
        **{f"class {kind.__qualname__} {id(kind)}": _class(kind) for kind in kinds},
        "class by id": {
            tracker: id(kind)
            for tracker, kind in trackers._DYNAMIC_CLASS_TRACKER_BY_ID.items()
        },
        "id by class": {
            id(kind): tracker
            for kind, tracker in trackers._DYNAMIC_CLASS_TRACKER_BY_CLASS.items()
        },
        "by value": sorted(trackers._PICKLE_BY_VALUE_MODULES),
        "hooks": [
            id(each)
            for each in (sys.excepthook, sys.displayhook, sys.breakpointhook, open)
        ],
        "threads' hook": id(threading.excepthook),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "signals": signal.getsignal(signal.SIGINT),
        "path": list(sys.path),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "filters": list(warnings.filters),
        "threads": _own_threads(),
        "children": {each.pid for each in psutil.Process().children()},
        "files": {
            name
            for name in os.listdir(tempfile.gettempdir())
            if name.startswith("dbgkit")
        },
    }


def _class(kind: Any) -> Any:
    """A class's attributes, each of them the same object that does the same.

    But for the file of its code: a scheduler in this process has cloudpickle take it
    away, and a look that finds it again puts it back.
    """
    return kind.__bases__, {
        name: (id(value), _code_of(getattr(value, "__code__", None)))
        for name, value in vars(kind).items()
    }


def _code_of(code: Any) -> Any:
    return code and identity(code)


def _is_loaded_when_needed(name: Any, module: Any) -> Any:
    """Whether it belongs to a library, of which parts are loaded when needed."""
    file = getattr(module, "__file__", None)
    return (
        file is None
        or name.partition(".")[0] in (*sys.stdlib_module_names, "dbgkit")
        or "site-packages" in file
    )


def differences(one: Any, other: Any) -> Any:
    """What differs between two states, named."""
    return {
        name: (one.get(name), other.get(name))
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name)
    }
