"""Where tasks run, as far as the scheduler knows."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from ..common.keys import find_task
from ..common.pacing import Pace, now_of, slices

if TYPE_CHECKING:
    from ..common.wire_peek import BusyWorker, PlacedTask, Running, RunningQuestion

MOST_TASKS = 5_000  # of those asked for that are told


async def survey_running(state: Any, question: RunningQuestion) -> Running:
    """States and places of some tasks, and workers, the longest busy first.

    Workers are only told if all that runs is asked for, or a task is unknown: one of
    them may still run it.
    """
    start, pace = now_of(state), Pace()
    keys = question["keys"]
    tasks: list[PlacedTask] = []
    states: dict[str, int] = {}
    unknown = []
    async for part in slices(keys or [], pace):
        for key in part:
            ts = find_task(state, key)
            if ts is None:
                unknown.append(key)
                continue
            states[ts.state] = states.get(ts.state, 0) + 1
            if len(tasks) < MOST_TASKS:
                tasks.append(_placed(ts))
    workers: list[BusyWorker] = []
    omitted = 0
    if keys is None or unknown:
        everyone = list(state.workers.values())
        async for part in slices(everyone, pace):
            both = [*workers, *map(_busy, part)]
            workers = heapq.nsmallest(question["limit"], both, key=_order)
        omitted = len(everyone) - len(workers)
    return {
        "tasks": tasks,
        "states": states,
        "unknown_keys": unknown,
        "workers": workers,
        "omitted_workers": omitted,
        "start": start,
        "end": now_of(state),
    }


def _placed(ts: Any) -> PlacedTask:
    ws = ts.processing_on or next(iter(ts.who_has or ()), None)
    return {
        "key": ts.key,
        "state": ts.state,
        "worker": None if ws is None else ws.address,
        "actor": bool(ts.actor),
    }


def _busy(ws: Any) -> BusyWorker:
    # By the last heartbeat, so that what has just begun is not in it.
    ran = [seconds for seconds in ws.executing.values() if seconds is not None]
    return {
        "address": ws.address,
        "tasks": len(ws.processing),
        "longest": max(ran, default=None),
    }


def _order(worker: BusyWorker) -> tuple[float, int, str]:
    return -(worker["longest"] or 0.0), -worker["tasks"], worker["address"]
