"""Workers that are still starting, as far as the scheduler knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..common.wire_why_workers import Joining

MOST_PLUGINS = 10
AT_ONCE = 0.2  # seconds: a worker's first heartbeat comes later
_NOT_USERS = ("shuffle", "dbgkit-")  # of Dask itself, and of dbgkit


def starting_nannies(state: Any) -> Collection[str]:
    """Addresses of nannies that are starting a worker.

    ``Scheduler._starting_nannies`` (distributed/scheduler.py) is filled while a nanny
    starts its process for the first time.
    """
    nannies: Collection[str] = getattr(state, "_starting_nannies", ())
    return nannies


def is_joining(state: Any, ws: Any) -> bool:
    """Whether a worker has registered, but does not yet listen to the scheduler.

    ``Worker._register_with_scheduler`` sets up plugins in between. If a setup is async,
    the worker's status is ``running`` already. Its nanny is told once it is done.
    """
    if ws.status.name == "init":
        return True
    starting = bool(ws.nanny) and ws.nanny in starting_nannies(state)
    return starting and not _has_beaten(state, ws)


def _has_beaten(state: Any, ws: Any) -> bool:
    """Whether a worker has sent a heartbeat since it registered, which counts as one.

    Its nanny's word that it has started may have been lost.
    """
    registered = [
        when
        for when, msg in list(state.get_events(ws.address))
        if isinstance(msg, Mapping) and msg.get("action") == "add-worker"
    ]
    return bool(registered) and ws.last_seen > max(registered) + AT_ONCE


def joining_facts(state: Any, ws: Any, now: float) -> Joining:
    """It sends no heartbeats before it has joined; as it registers counts as one."""
    plugins = (name for name in getattr(state, "worker_plugins", ()) or ())
    names = (name for name in map(str, plugins) if not name.startswith(_NOT_USERS))
    return {
        "address": ws.address,
        "age": max(0.0, now - ws.last_seen),
        "pid": ws.pid or None,
        "plugins": list(islice(names, MOST_PLUGINS)),
    }
