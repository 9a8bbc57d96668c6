"""What the recorder needs of a worker to keep its black box."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from time import time
from typing import Any

from distributed import Client, Scheduler, Worker

from .blackbox import BlackBox

MOST_INPUTS = 10_000  # whose sizes are added up


def box_for(worker: Any, fail: Callable[[str, BaseException], None]) -> BlackBox | None:
    """A black box for a worker; None where its process is not its own, or has none.

    Parameters
    ----------
    worker : Worker
    fail : callable
        Told what went wrong; the job goes on without a box.
    """
    if worker.address.startswith("inproc://"):
        return None  # it cannot die without its scheduler
    try:
        nanny, scheduler = worker.nanny or "", worker.scheduler.address
        box = BlackBox(worker.address, nanny, scheduler, _is_alone(worker))
    except OSError as error:
        fail("making a black box", error)
        return None
    for ts in _running(worker):
        start = ts.start_time or time()
        box.begin_earlier(ts.key, inputs_of(ts), start, partial(_runs_on, ts, start))
    return box


def _running(worker: Any) -> list[Any]:
    """Tasks that a worker runs (``WorkerState.executing``, ``.long_running``)."""
    return [*worker.state.executing, *worker.state.long_running]


def _runs_on(ts: Any, start: float) -> bool:
    """Whether a task still runs that has started then (``TaskState.start_time``)."""
    running = ts.state in ("executing", "long-running", "cancelled", "resumed")
    return running and ts.start_time in (None, start)


def _is_alone(worker: Any) -> bool:
    """Whether a process is a worker's own, and not one of the user's.

    ``Scheduler``, ``Client`` and ``Worker`` (distributed) each keep their
    ``_instances``.
    """
    if worker.nanny:
        return True
    others = [each for each in Worker._instances if each is not worker]
    return not (others or list(Scheduler._instances) or list(Client._instances))


def inputs_of(ts: Any) -> int:
    """Bytes of a task's inputs, as its worker knows them."""
    found: int = sum(each.nbytes or 0 for each in islice(ts.dependencies, MOST_INPUTS))
    return found
