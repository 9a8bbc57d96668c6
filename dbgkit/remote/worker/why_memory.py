"""What a worker knows of its memory: why it is paused, and what could free some."""

from __future__ import annotations

import logging
import shutil
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..common.wire_why_workers import Memory, Spilling

SAMPLE = 5
# What Dask logs as spilling fails: ``SpillBuffer._handle_errors``.
_NOT_WRITTEN = "Spill to disk failed"
_NO_ROOM = "Spill file on disk reached capacity"


def memory_of(worker: Any) -> Memory:
    """Memory, thresholds and spilling: ``WorkerMemoryManager`` of distributed."""
    manager = worker.memory_manager
    data, limit = manager.data, manager.memory_limit or None
    spills = bool(limit) and hasattr(data, "fast") and hasattr(data, "evict")
    found: Memory = {
        "used": worker.monitor.get_process_memory(),
        "limit": limit,
        "pause": share(limit, manager.memory_pause_fraction),
        "spill": share(limit, manager.memory_spill_fraction) if spills else None,
        "held": max(0, worker.state.nbytes),
        "spilled": 0,
        "spilling": None,
    }
    if hasattr(data, "logged_pickle_errors"):
        total, found["spilling"] = _spilling(data, worker.local_directory)
        found["held"] = max(0, found["held"] - total.memory)
        found["spilled"] = total.disk
    return found


def share(limit: int | None, fraction: Any) -> float | None:
    """Bytes of a threshold; None if it is off."""
    return limit * float(fraction) if limit and fraction else None


def _spilling(data: Any, folder: str) -> tuple[Any, Spilling]:
    """What was spilled, and what hinders it: ``SpillBuffer`` (distributed/spill.py).

    Its oldest value is tried again and again: as long as that one cannot be spilled,
    no other is. ``zict.LRU.order`` and ``.heavy`` say which one that is.
    """
    fast = data.fast
    oldest = next(iter(fast.heavy or fast.order), None)
    failed = data.logged_pickle_errors
    most = data._slow_uncached.max_weight
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        free = None
    return data.spilled_total, {
        "folder": folder,
        "free": free,
        "most": most if most is not False else None,
        "blocked_by": oldest if oldest in failed else None,
        "unpicklable": list(islice(failed, SAMPLE)),
        "not_written": logged_ago(_NOT_WRITTEN),
        "no_room": logged_ago(_NO_ROOM),
    }


def logged_ago(text: str) -> float | None:
    """Seconds since spilling last failed in this process in some way, if ever.

    These lines do not reach ``get_worker_logs``. ``RateLimiterFilter._last_seen``
    (distributed/utils.py) is when one was let through, at most every 10 s; at first it
    is negative.
    """
    for each in logging.getLogger("distributed.spill").filters:
        pattern = getattr(each, "pattern", None)
        seen = getattr(each, "_last_seen", -1.0)
        if pattern is not None and pattern.pattern == text and seen > 0:
            return float(max(0.0, monotonic() - seen))
    return None
