"""Whose work a task is: of the clients that want it, or want what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from ..common.pacing import Pace

MOST_TASKS = 200_000  # that are looked at
MOST_RUNNING = 1_000
INNER = "Client-worker-"  # how ids begin of clients that tasks have made on workers


async def wanted_by(scheduler: Any, key: Any, owners: Mapping[str, str]) -> list[str]:
    """Tokens of those owners (ids of clients; empty: anybody) that want a task.

    A task that was submitted by another task is wanted by whoever wants any task that
    runs now: the scheduler does not know which one has submitted it.
    """
    ts = scheduler.tasks.get(key)
    if ts is None:  # cancelled
        return []
    found = [token for token, owner in owners.items() if not owner]
    asked = {owner for owner in owners.values() if owner}
    if not asked:
        return found
    pace = Pace()
    clients = await _clients_of(ts, asked, pace)
    if not clients & asked and any(each.startswith(INNER) for each in clients):
        for other in _running(scheduler):
            if other is not ts:
                clients |= await _clients_of(other, asked, pace)
            if clients & asked:
                break
    return [*found, *(token for token, owner in owners.items() if owner in clients)]


async def _clients_of(ts: Any, asked: set[str], pace: Pace) -> set[str]:
    """Clients that want a task or what depends on it, until all ``asked`` are found."""
    clients: set[str] = set()
    seen, ahead = {ts}, [ts]
    while ahead and not asked <= clients and len(seen) < MOST_TASKS:
        each = ahead.pop()
        clients |= {client.client_key for client in each.who_wants or ()}
        new = [other for other in each.dependents if other not in seen]
        seen.update(new)
        ahead += new
        await pace.checkpoint()
    return clients


def _running(scheduler: Any) -> Iterable[Any]:
    tasks = (ts for ws in scheduler.workers.values() for ts in ws.processing)
    return list(islice(tasks, MOST_RUNNING))
