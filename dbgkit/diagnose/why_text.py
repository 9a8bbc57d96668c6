"""Parts of sentences about causes: keys, counts, durations, sizes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dbgkit.diagnose.why_reasons import Cause
from dbgkit.remote.redact import redact_text

Words = tuple[str, list[str], list[str]]
MOST_NAMED = 5


def show(key: Any, limit: int = 80) -> str:
    """A key as Python writes it, cut; secrets hidden."""
    text = redact_text(repr(key))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def several(names: Iterable[Any], count: int | None = None) -> str:
    """The first few of some names, and how many more there are."""
    found = list(names)
    named = ", ".join(str(name) for name in found[:MOST_NAMED])
    more = (len(found) if count is None else count) - min(len(found), MOST_NAMED)
    return f"{named} and {more} more" if more > 0 else named


def seconds(value: float) -> str:
    """A duration: ``0.5 s``, ``12 s``, ``3 min``."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def size(nbytes: float) -> str:
    """A number of bytes."""
    from dask.utils import format_bytes

    return str(format_bytes(int(nbytes)))


def tasks_of(cause: Cause) -> str:
    """The task by its key, or how many there are."""
    if cause.count == 1:
        return show(cause.key)
    return f"{cause.count} tasks ({several(map(show, cause.keys), cause.count)})"


def they(cause: Cause, one: str, many: str) -> str:
    """`tasks_of`, and a verb that agrees."""
    return f"{tasks_of(cause)} {one if cause.count == 1 else many}"


def counted(count: int, noun: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def by_worker(cause: Cause) -> list[dict[str, Any]]:
    """The first task's facts of each worker."""
    return list(_places(cause).values())[:MOST_NAMED]


def workers_of(cause: Cause) -> list[str]:
    """Addresses of the workers that it happens on."""
    return sorted(_places(cause))


def _places(cause: Cause) -> dict[str, dict[str, Any]]:
    """By worker; what is queued may go to several."""
    found: dict[str, dict[str, Any]] = {}
    for part in cause.parts:
        for place in part.get("places") or (part,):
            found.setdefault(place["worker"], place)
    return found
