"""What the whole cluster waits for: all that is ready, and the newest failures."""

from __future__ import annotations

from itertools import islice
from typing import Any

from ..common.pacing import Pace, all_tasks, slices
from .newest import newest_failed
from .roots import raised
from .why_order import MOST_PROBED, Group, is_restricted, of_worker, signature


async def whole_cluster(
    state: Any, client: str, pace: Pace
) -> tuple[dict[Any, Group], list[Any]]:
    """Groups of ends, by their signatures, and tasks that have failed."""
    groups: dict[Any, Group] = {}
    await _add_unrunnable(state, groups, pace)
    if queued := state.queued:
        groups[("queued",)] = Group(len(queued), [next(iter(queued))])
    for ws in list(state.workers.values()):
        if ws.processing:
            groups[("processing", ws.address)] = of_worker(ws)
        await pace.checkpoint()
    failed, _ = await newest_failed(state, client, pace)
    if groups or failed:
        return groups, failed
    return await _stuck(state, pace)


def still_there(groups: dict[Any, Group]) -> dict[Any, Group]:
    """Groups without the tasks that have progressed while others were examined."""
    for what, group in groups.items():
        group.tasks = [ts for ts in group.tasks if ts.state == what[0]]
    return {what: group for what, group in groups.items() if group.tasks}


def count_in(state: Any, name: str) -> int:
    """How many tasks are in a state."""
    return sum(group.states.get(name, 0) for group in state.task_groups.values())


async def _add_unrunnable(state: Any, groups: dict[Any, Group], pace: Pace) -> None:
    """Tasks without a worker; those without restrictions may be very many."""
    free = Group()
    async for part in slices(list(state.unrunnable), pace):
        # Spelled out here, as a call for each of a million would take too long.
        restricted = [
            ts
            for ts in part
            if ts.worker_restrictions
            or ts.host_restrictions
            or ts.resource_restrictions
        ]
        for ts in restricted:
            groups.setdefault(signature(ts), Group()).add(ts)
        free.count += len(part) - len(restricted)
        if len(free.tasks) < MOST_PROBED:
            others = (ts for ts in part if not is_restricted(ts))
            free.tasks += islice(others, MOST_PROBED - len(free.tasks))
    if free.tasks:
        groups[signature(free.tasks[0])] = free


async def _stuck(state: Any, pace: Pace) -> tuple[dict[Any, Group], list[Any]]:
    """Where nothing is ready: tasks that wait all the same, one that has failed."""
    groups: dict[Any, Group] = {}
    failed: list[Any] = []
    if not (count_in(state, "waiting") or count_in(state, "erred")):
        return groups, failed
    async for part in all_tasks(state, pace):
        for ts in part:
            if ts.state == "waiting" and not ts.waiting_on:
                groups.setdefault((ts.state,), Group()).add(ts)
            elif ts.state == "erred" and (not failed or raised(ts) > raised(failed[0])):
                failed = [ts]
    return groups, failed
