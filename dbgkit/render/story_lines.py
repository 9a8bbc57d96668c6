"""The lines of a task's story: what belongs together in one, and no repeats.

A worker alone logs six entries for a task that has just begun. States that a task goes
through at once are one line; what Dask logs of a failure, beside the transition that
it is about, is said with that transition; and lines that come again and again are
counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from dbgkit.model import Moment
from dbgkit.remote.common.frames import own_line_of_text
from dbgkit.remote.common.log_records import logged_failure
from dbgkit.remote.common.parsing import literal

ARROW = " → "

_AT_ONCE = timedelta(milliseconds=10)
_SAME_FAILURE = timedelta(seconds=1)
# States that a task leaves on the scheduler to begin anew, and those it goes to.
_HAD_BEGUN = {"processing", "memory", "erred", "no-worker"}
_BEGINS_ANEW = {"released", "waiting"}
_STEP = re.compile(r"^(\S+) -> (\S+)$")
# What a worker notes before the transitions that follow from it.
_BEFORE = {"compute-task", "free-keys"}


@dataclass(frozen=True)
class Line:
    """One or several entries of a story, or how often the lines above came."""

    when: datetime
    source: str
    what: str
    detail: str = ""
    repeated: int = 0  # lines above that are meant
    until: datetime | None = None


def story_lines(
    moments: Sequence[Moment], place: Callable[[str], str] = str
) -> list[Line]:
    """The lines to show for the entries of a story, in order.

    ``place``: how ``job.py:3 in load`` is shown.
    """
    lines: list[Line] = []
    parts = list(_parts(_without_blocks(moments, place)))
    for _, alike in groupby(parts, _signature):
        same = list(alike)
        lines += _counted(_lines(same[0]), same)
    return lines


def _lines(moments: Sequence[Moment]) -> list[Line]:
    lines: list[Line] = []
    for moment in moments:
        line = _line(moment)
        whole = _together(lines[-1], line) if lines else None
        if whole is None:
            lines.append(line)
        else:
            lines[-1] = whole
    return lines


def _line(moment: Moment) -> Line:
    what = moment.what.replace(" -> ", ARROW) if _STEP.match(moment.what) else ""
    return Line(moment.when, moment.found_in, what or moment.what, moment.detail)


# -- what Dask logs of a failure -----------------------------------------------


def _without_blocks(
    moments: Sequence[Moment], place: Callable[[str], str]
) -> Iterator[Moment]:
    """Entries, where a block of the log is said with its transition."""
    raised: dict[int, str] = {}
    dropped = set()
    for at, moment in enumerate(moments):
        found = logged_failure(moment.detail) if moment.found_in == "log" else None
        if found is None:
            continue
        exception, line = _unquoted(found.exception), _line_of(found.traceback)
        at_line = f"at {place(line)}" if line else ""
        home = _failed_at(moments, at)
        if home is None:
            raised[at] = f"Compute Failed: {exception} {at_line}".strip()
            continue
        dropped.add(at)
        said = _said_by_scheduler(moments, home, exception)
        raised[home] = at_line if said else f"{exception} {at_line}".strip()
    for at, moment in enumerate(moments):
        if at in raised:
            yield replace(moment, detail=raised[at])
        elif at not in dropped:
            yield moment


def _unquoted(text: str) -> str:
    """A text without the quotes that the log has around it."""
    try:
        return str(literal(text.strip()))
    except ValueError:  # cut, or not Dask's
        return text


def _line_of(traceback: str) -> str:
    """``job.py:3 in load``: the line that raised; empty if there is none."""
    found = own_line_of_text(_unquoted(traceback))
    return "" if found is None else "{}:{} in {}".format(*found)


def _failed_at(moments: Sequence[Moment], at: int) -> int | None:
    """Where the worker's entry is that the block is about; the log may come after."""
    near = [
        other
        for other, moment in enumerate(moments)
        if moment.what.endswith("-> error")
        and abs(moment.when - moments[at].when) < _SAME_FAILURE
    ]
    return min(near, key=lambda other: abs(other - at), default=None)


def _said_by_scheduler(moments: Sequence[Moment], at: int, exception: str) -> bool:
    """Whether what the scheduler logs next says the exception."""
    heard = (each for each in moments[at:] if each.found_in == "scheduler")
    following = next(heard, None)
    return following is not None and exception in following.detail


# -- what belongs together -------------------------------------------------------


def _together(line: Line, following: Line) -> Line | None:
    """Two lines in one, if the second goes on at once where the first ended."""
    if line.source != following.source or following.when - line.when > _AT_ONCE:
        return None
    steps = following.what.split(ARROW)
    if len(steps) < 2:
        return None
    if line.what in _BEFORE:
        return replace(following, when=line.when)
    before = line.what.split(ARROW)
    details = {line.detail, following.detail} - {""}
    if len(before) < 2 or before[-1] != steps[0] or len(details) > 1:
        return None
    what = ARROW.join([*before, *steps[1:]])
    return replace(line, what=what, detail="".join(details))


# -- repeats -----------------------------------------------------------------------


def _parts(moments: Iterable[Moment]) -> Iterator[list[Moment]]:
    """A story in parts, each of which begins where the task has to begin anew."""
    part: list[Moment] = []
    for moment in moments:
        step = _STEP.match(moment.what) if moment.found_in == "scheduler" else None
        if part and step and step[1] in _HAD_BEGUN and step[2] in _BEGINS_ANEW:
            yield part
            part = []
        part.append(moment)
    if part:
        yield part


def _signature(part: Sequence[Moment]) -> list[tuple[str, str, str]]:
    """What a part tells, wherever it happened, and in which order logs have it."""
    told = []
    for moment in part:
        source, what = moment.found_in, moment.what
        if "://" in source:
            source = "worker"
        elif source == "log":
            what = what.partition(" ")[0]  # its level
        told.append((source, what, moment.detail))
    return sorted(told)


def _counted(part: Sequence[Line], same: Sequence[Sequence[Moment]]) -> list[Line]:
    """The lines of a part, and how often it came: lines that repeat are counted too."""
    counted = []
    for _, alike in groupby(part, lambda line: (line.source, line.what, line.detail)):
        lines = list(alike)
        counted.append(_times(lines[0], len(lines), lines[-1].when))
    if len(same) > 1:
        last = max(moment.when for moment in same[-1])
        workers = {m.found_in for each in same for m in each if "://" in m.found_in}
        where = f" on {len(workers):,} workers" if len(workers) > 1 else ""
        text = f"× {len(same):,}{where}"
        counted.append(Line(last, "", text, repeated=len(counted), until=last))
    return counted


def _times(line: Line, times: int, last: datetime) -> Line:
    if times == 1:
        return line
    return replace(line, what=f"{line.what} × {times:,}", until=last)
