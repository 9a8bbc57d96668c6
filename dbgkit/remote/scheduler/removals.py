"""The scheduler's events of workers that have gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from ..common.pacing import Pace


def is_removal(msg: Mapping[str, Any]) -> bool:
    """Whether it is what ``Scheduler.remove_worker`` logs: anyone can log events."""
    names = ("processing-tasks", "lost-computed-tasks", "lost-scattered-tasks")
    return isinstance(msg.get("worker"), str) and all(
        are_keys(msg.get(name) or ()) for name in names
    )


def are_keys(value: Any) -> bool:
    """Whether a value can be a set of keys."""
    if not isinstance(value, Collection) or isinstance(value, (str, bytes)):
        return False
    try:
        set(value)
    except TypeError:  # not hashable
        return False
    return True


async def removals(
    state: Any, events: Mapping[str, Any], pace: Pace
) -> AsyncIterator[tuple[float, Mapping[str, Any]]]:
    """Events of workers that have gone, and of restarts, the oldest first."""
    for when, msg in list(events.get("all", ())):
        await pace.checkpoint()
        if not isinstance(msg, Mapping):
            continue
        if msg.get("action") == "restart-workers":
            yield float(when), msg
        if msg.get("action") != "remove-worker" or not is_removal(msg):
            continue
        if not _is_still_there(state, events, msg["worker"], when):
            yield float(when), msg


def _is_still_there(
    state: Any, events: Mapping[str, Any], worker: str, when: float
) -> bool:
    """Whether a worker is still there, and not another one with its address."""
    return worker in state.workers and not any(
        at > when and isinstance(msg, Mapping) and msg.get("action") == "add-worker"
        for at, msg in list(events.get(worker, ()))
    )
