"""Parts of sentences about a cause: its tasks, its workers."""

from __future__ import annotations

from dbgkit.diagnose.sentences import MOST_NAMED, several, show
from dbgkit.diagnose.why.reasons import Cause, Facts


def tasks_of(cause: Cause) -> str:
    """The task by its key, or how many there are."""
    if cause.count == 1:
        return show(cause.key)
    return f"{cause.count} tasks ({several(map(show, cause.keys), cause.count)})"


def they(cause: Cause, one: str, many: str) -> str:
    """`tasks_of`, and a verb that agrees."""
    return f"{tasks_of(cause)} {one if cause.count == 1 else many}"


def by_worker(cause: Cause) -> list[Facts]:
    """The facts of each worker's first task."""
    return list(_places(cause).values())[:MOST_NAMED]


def workers_of(cause: Cause) -> list[str]:
    """Addresses of the workers that it happens on."""
    return sorted(_places(cause))


def _places(cause: Cause) -> dict[str, Facts]:
    """By worker; what is queued may go to several."""
    found: dict[str, Facts] = {}
    for part in cause.parts:
        for place in part.get("places") or (part,):
            found.setdefault(place["worker"], place)
    return found
