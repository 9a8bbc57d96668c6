"""What the recorder needs of a worker to keep its black box."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from time import time
from typing import Any

from distributed import Client, Scheduler, Worker

from ..common.own_thread import apart
from .black_box import BlackBox

MOST_INPUTS = 10_000  # whose sizes are added up
FILES_LIMIT = 2.0  # seconds for the file system, as a box is made or removed
TELLING_LIMIT = 5.0  # seconds for the scheduler to take note of a box


async def box_for(
    worker: Any, fail: Callable[[str, BaseException], None]
) -> BlackBox | None:
    """A black box for a worker; None if it shares its process, or cannot have one.

    ``fail`` is called with what went wrong; the job continues without a box.
    """
    if worker.address.startswith("inproc://"):
        return None  # it cannot die without its scheduler
    nanny, scheduler = worker.nanny or "", worker.scheduler.address
    make = partial(BlackBox, worker.address, nanny, scheduler, _is_alone(worker))
    drop = partial(BlackBox.close, for_good=False)
    try:
        box: BlackBox = await apart(make, limit=FILES_LIMIT, late=drop)
    except OSError as error:
        fail("making a black box", error)
        return None
    for ts in (*worker.state.executing, *worker.state.long_running):
        # One that the recorder has already still waits for its thread: `Watched.slot`.
        if getattr(ts.run_spec, "slot", 0) is None:
            continue
        start = ts.start_time or time()
        first = box.first_lines.of(ts.run_spec)
        runs = partial(_runs_on, ts, start)
        box.begin_earlier(ts.key, inputs_of(ts), start, runs, first)
    return box


async def close_box(box: BlackBox, *, for_good: bool, keep: bool = False) -> None:
    """Stop a box and remove its file; one that cannot be removed in time is left."""
    closing = partial(box.close, for_good=for_good, keep=keep)
    with suppress(OSError):
        await apart(closing, limit=FILES_LIMIT)


async def tell_of(
    box: BlackBox, worker: Any, name: str, fail: Callable[[str, BaseException], None]
) -> None:
    """Report this worker's box to the scheduler, and through it to the nanny.

    ``name`` is that of the scheduler's part that watches deaths.
    """
    telling = getattr(worker.scheduler, f"{name}-box")(
        worker=worker.address,
        nanny=worker.nanny or "",
        pid=os.getpid(),
        path=box.path,
        nonce=box.nonce,
    )
    try:
        await asyncio.wait_for(telling, TELLING_LIMIT)
    except (OSError, asyncio.TimeoutError) as error:
        fail("reporting a black box to the scheduler", error)


def _runs_on(ts: Any, start: float) -> bool:
    """Whether a task that started then is still running (``TaskState.start_time``)."""
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
