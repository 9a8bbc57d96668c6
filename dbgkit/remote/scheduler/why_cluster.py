"""Facts about a whole cluster: who answers, how late the loop is, who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .asking import ask_all
from .why_places import SAMPLE, paused_facts
from .why_starting import is_joining, joining_facts, starting_nannies

if TYPE_CHECKING:
    from ..common.wire_why import Overview, Quiet, Waiter

MOST_PINGED = 32  # workers that one question asks whether they are there
MOST_LOCKS = 20
QUIET = 5.0  # seconds without a heartbeat that are normal


async def answering(
    state: Any, addresses: Iterable[str], limit: float
) -> dict[str, bool]:
    """Whether workers answer within a limit, all asked at once; live only."""
    asked = sorted(set(addresses))[:MOST_PINGED]
    answers = await ask_all(
        asked, lambda address: state.rpc(address).identity(), limit, MOST_PINGED
    )
    return {address: answer is not None for address, answer in answers.items()}


async def lateness(state: Any) -> float:
    """Seconds by which the scheduler's event loop is late.

    ``Server._tick_interval_observed`` (distributed/core.py) is the mean time between
    two ticks that should come every 20 ms, over the last second.
    """
    slowest = 0.0
    for _ in range(3):
        before = perf_counter()
        await asyncio.sleep(0)
        slowest = max(slowest, perf_counter() - before)
    return max(slowest, float(getattr(state, "_tick_interval_observed", 0.0)))


def quiet_workers(state: Any, now: float) -> list[Quiet]:
    """Workers that have not sent a heartbeat for long, the longest first."""
    # The more workers, the rarer the heartbeats: scheduler.heartbeat_interval.
    limit = QUIET + len(state.workers) / 40
    found: list[Quiet] = [
        {"address": ws.address, "age": now - ws.last_seen}
        for ws in list(state.workers.values())
        if now - ws.last_seen > limit and not is_joining(state, ws)
    ]
    return sorted(found, key=lambda worker: -worker["age"])


def overview(state: Any, now: float) -> Overview:
    """Workers and tasks in numbers; costs nothing that grows with the tasks."""
    states: dict[str, int] = {}
    for group in list(state.task_groups.values()):
        for name, count in group.states.items():
            if count:
                states[name] = states.get(name, 0) + count
    workers = list(state.workers.values())
    paused = paused_facts(workers)
    return {
        "states": states,
        "workers": len(workers),
        "running": sum(ws.status.name == "running" for ws in workers),
        "threads": sum(ws.nthreads for ws in workers),
        "paused": paused[:SAMPLE],
        "paused_count": len(paused),
        "starting": len(starting_nannies(state)),
        "quiet": quiet_workers(state, now)[:MOST_PINGED],
        "joining": [
            joining_facts(state, ws, now) for ws in workers if is_joining(state, ws)
        ][:MOST_PINGED],
    }


def waiters(state: Any) -> list[Waiter]:
    """Locks, semaphores, events, queues that somebody waits for; live only."""
    found: list[Waiter] = []
    for name, waiters_of in _WAITERS.items():
        extension = state.extensions.get(name)
        if extension is not None:
            found += waiters_of(extension)
    found.sort(key=lambda waiter: -waiter["waiting"])
    return found[:MOST_LOCKS]


def _semaphores(extension: Any) -> list[Waiter]:
    """Locks and semaphores: ``SemaphoreExtension.metrics``, ``.leases``.

    Who has died, or waits for one that was closed, is still counted there. Nobody
    waits while there are leases left.
    """
    return [
        {
            "kind": "lock" if most == 1 else "semaphore",
            "name": str(name),
            "waiting": waiting,
            "held": held,
        }
        for name, waiting in list(extension.metrics["pending"].items())
        if waiting > 0
        and (most := extension.max_leases.get(name)) is not None
        and (held := len(extension.leases.get(name, ()))) >= most
    ]


def _events(extension: Any) -> list[Waiter]:
    """Events that are not set: ``EventExtension._waiter_count``."""
    return [
        {"kind": "event", "name": str(name), "waiting": waiting}
        for name, waiting in list(extension._waiter_count.items())
        if waiting > 0
    ]


def _queues(extension: Any) -> list[Waiter]:
    """Queues that are empty, or full: ``asyncio.Queue._getters`` and ``._putters``."""
    return [
        {"kind": "queue", "name": str(name), "waiting": waiting, "queue": what}
        for name, queue in list(extension.queues.items())
        for end, what in (("_getters", "empty"), ("_putters", "full"))
        if (waiting := sum(not waiter.done() for waiter in getattr(queue, end)))
    ]


def _multi_locks(extension: Any) -> list[Waiter]:
    """``MultiLockExtension.locks``: name -> users, the first of whom holds it."""
    return [
        {"kind": "multi-lock", "name": str(name), "waiting": len(users) - 1, "held": 1}
        for name, users in list(extension.locks.items())
        if len(users) > 1
    ]


# By the names of the scheduler's extensions.
_WAITERS: dict[str, Callable[[Any], list[Waiter]]] = {
    "semaphores": _semaphores,
    "events": _events,
    "queues": _queues,
    "multi_locks": _multi_locks,
}
