"""Parts of sentences: keys, counts, durations, sizes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from dbgkit.remote.secrets.redact import redact_text

Words = tuple[str, list[str], list[str]]
MOST_NAMED = 5
MOST_EVIDENCE = 10  # lines of a finding; the rest is counted


def show(key: Any, limit: int = 80) -> str:
    """A key as Python writes it, cut; secrets hidden."""
    return cut(redact_text(repr(key)), limit)


def cut(text: str, limit: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def several(names: Iterable[Any], count: int | None = None) -> str:
    """The first few of some names, and how many more there are."""
    found = list(names)
    named = ", ".join(str(name) for name in found[:MOST_NAMED])
    more = (len(found) if count is None else count) - min(len(found), MOST_NAMED)
    return f"{named} and {more} more" if more > 0 else named


def first_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The first lines of some evidence, and how many more there are."""
    found = tuple(lines)
    more = len(found) - MOST_EVIDENCE
    return (*found[:MOST_EVIDENCE], f"and {more} more") if more > 0 else found


def seconds(value: float) -> str:
    """A duration: ``0.5 s``, ``12 s``, ``3 min``."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def clock(when: float) -> str:
    """A moment, in local time."""
    moment = datetime.fromtimestamp(when, tz=timezone.utc).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def size(nbytes: float) -> str:
    """A number of bytes."""
    from dask.utils import format_bytes

    return str(format_bytes(int(nbytes)))


def counted(count: int, noun: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
