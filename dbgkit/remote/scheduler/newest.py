"""The failures that a target of None stands for: those of the newest computation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..common.pacing import Pace, is_dump, slices
from .roots import raised

_COMPARED = 20  # dependencies of a task


async def newest_failed(state: Any, client: str, pace: Pace) -> tuple[list[Any], bool]:
    """The failed tasks of the newest computation that failed, newest first.

    Those that one client wants, if there are any; else those of any client, which is
    then True. Of several, the earliest is meant: see ``roots``.
    """
    erred = list(dict.fromkeys(erred_tasks(state)))
    known = state.clients.get(client)
    if known is not None:
        own = [ts for ts in erred if known in (ts.who_wants or ())]
        found = _of_one_computation(state, own)
        # What it has lost by others' failures, and failures the history has dropped.
        found = found or await _failed_of(state, known, pace)
        if found:
            return found, False
    return _of_one_computation(state, erred), True


async def _failed_of(state: Any, client: Any, pace: Pace) -> list[Any]:
    """What has failed of what a client wants; of those with the same roots, one.

    Those are what has the same blame and the same dependencies.
    """
    if not any(group.states.get("erred") for group in state.task_groups.values()):
        return []
    found: dict[Any, Any] = {}
    async for part in slices(list(client.wants_what), pace):
        for ts in part:
            if ts.state != "erred":
                continue
            few = len(ts.dependencies) <= _COMPARED
            needs = frozenset(ts.dependencies) if few else ts
            found.setdefault((ts.exception_blame, needs), ts)
    return list(found.values())


def erred_tasks(state: Any) -> Iterator[Any]:
    """Tasks that failed by themselves, as far as it is known the newest first."""
    history = state.erred_tasks
    if is_dump(state):  # has none of it, but mostly the transitions
        history = [e for e in reversed(state.transition_log) if e.finish == "erred"]
    for entry in history:
        ts = state.tasks.get(entry.key)
        if ts is not None and ts.state == "erred" and raised(ts):
            yield ts
    if is_dump(state):
        yield from (ts for ts in state.tasks.values() if ts.exception_blame is ts)


def _of_one_computation(state: Any, tasks: list[Any]) -> list[Any]:
    """Those of some tasks that were computed together with the first.

    A ``Computation`` (distributed/scheduler.py) has what was submitted until the
    scheduler was idle.
    """
    first = tasks[0].group if tasks else None
    for computation in reversed(state.computations):
        if first in computation.groups:
            return [ts for ts in tasks if ts.group in computation.groups]
    return tasks
