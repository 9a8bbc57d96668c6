"""What a process does, seen by the system: its processor time, by thread, and swap."""

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .wire_why_late import Usage


class Snapshot(NamedTuple):
    """A process at one moment; None is what the system does not say."""

    when: float
    status: str
    threads: dict[int, float]  # seconds of processor time, by the system's thread id
    swapped: int | None  # bytes
    faults: int | None  # pages that were read from disk


def snapshot(pid: int) -> Snapshot | None:
    """A process now; None if it is gone, or may not be looked at."""
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            status = process.status()
        threads = {
            thread.id: thread.user_time + thread.system_time
            for thread in process.threads()
        }
    except psutil.Error:
        return None
    return Snapshot(perf_counter(), status, threads, _swapped(pid), _faults(pid))


def usage(before: Snapshot, after: Snapshot, loop: int, looking: int = 0) -> Usage:
    """What a process did between two moments; the event loop runs in thread ``loop``.

    Shares are of one core. What thread ``looking`` used is left out: it took the time
    to look.
    """
    took = max(1e-3, after.when - before.when)
    shares = {
        ident: (seconds - before.threads.get(ident, 0.0)) / took
        for ident, seconds in after.threads.items()
    }
    shares.pop(looking, None)
    own = shares.pop(loop, None)
    busiest = max(shares, key=lambda ident: shares[ident], default=None)
    faults = None
    if before.faults is not None and after.faults is not None:
        faults = max(0.0, (after.faults - before.faults) / took)
    return {
        "status": after.status,
        "seconds": took,
        "loop": None if own is None else max(0.0, own),
        "other": 0.0 if busiest is None else max(0.0, shares[busiest]),
        "thread": busiest,
        "total": max(0.0, sum(shares.values()) + (own or 0.0)),
        "swapped": after.swapped,
        "faults": faults,
        "load": _load(),
    }


def _load() -> float | None:
    """How many processes want to run, for each processor; of the last minute."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):  # not on this system
        return None


def _swapped(pid: int) -> int | None:
    """``VmSwap`` of Linux."""
    for line in _lines(f"/proc/{pid}/status"):
        name, _, value = line.partition(":")
        if name == "VmSwap":
            return int(value.split()[0]) * 1024
    return None


def _faults(pid: int) -> int | None:
    """``majflt`` of Linux: the 12th field, the 2nd of which may have anything in it."""
    lines = _lines(f"/proc/{pid}/stat")
    fields = lines[0].rpartition(")")[2].split() if lines else []
    return int(fields[9]) if len(fields) > 9 else None


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:  # another system, or the process is gone
        return []
