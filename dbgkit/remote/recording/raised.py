"""What a verdict compares of an exception: class, texts, frames, and its causes.

All in builtin types, as it may come from a child or a worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from traceback import walk_stack
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..common.exceptions import (
    Link,
    cause_of,
    context_of,
    descent,
    members_of,
    traceback_of,
)
from ..common.frames import is_machinery, package_of, walk
from ..common.texts import normalise, safe_repr, safe_str

if TYPE_CHECKING:
    from ..common.wire_replays import RaisedForm

MOST_CAUSES = 100
MOST_FRAMES = 200  # the innermost
LONGEST_CAUSE = 2_000  # characters of the text of one cause
_DEEPEST = 100_000  # frames
# Files of Dask's by which a task is called, or its result is waited for.
_CALLING = {
    "dask": ("base.py", "local.py", "multiprocessing.py", "threaded.py"),
    "distributed": ("client.py", "utils.py", "worker.py"),
}

FrameRow = Sequence[Any]  # file name, line, function


def raised(error: BaseException) -> RaisedForm:
    """What is to be compared of an exception, in wire form."""
    places = list(walk(traceback_of(error)))
    frames = [frame for frame, _ in places]
    rows = [(f.f_code.co_filename, line or 0, f.f_code.co_name) for f, line in places]
    around = [*frames[: _entrance(rows)], *_callers(frames)]
    chain, cut = chain_of(error, map(id, around))
    return {
        "type": type(error).__name__,
        "message": safe_str(error),
        "text": safe_repr(error),
        "broken_repr": broken_repr(error),
        "frames": task_frames(rows),
        "chain": chain,
        "cut": cut,
    }


def _callers(frames: Sequence[FrameType]) -> Iterator[FrameType]:
    """The frames around a traceback, which began where it was caught."""
    above = frames[0].f_back if frames else None
    if above is not None:
        yield from (frame for frame, _ in islice(walk_stack(above), _DEEPEST))


def task_frames(rows: Sequence[FrameRow]) -> list[FrameRow]:
    """Frames of a task's own run: below what called it, and without machinery."""
    inside = rows[_entrance(rows) :]
    return [row for row in inside if not is_machinery(row[0])][-MOST_FRAMES:]


def _entrance(rows: Sequence[FrameRow]) -> int:
    """How many frames there are up to the innermost that called a task.

    What a task itself calls of Dask's has no frame below but Dask's own.
    """
    inner = False
    for index in range(len(rows) - 1, -1, -1):
        filename = rows[index][0]
        if inner and _calls_tasks(filename):
            return index + 1
        inner = inner or not is_machinery(filename)
    return 0


def _calls_tasks(filename: str) -> bool:
    package = package_of(filename)
    if package == "dbgkit":
        return True
    parts = re.split(r"[/\\]", filename)
    return parts[-1] in _CALLING.get(package, ()) and parts[-2:-1] == [package]


def chain_of(
    error: BaseException, outside: Iterable[int] = ()
) -> tuple[list[list[Any]], bool]:
    """What an exception was raised from, and members of groups, the nearest first.

    What is not shown (``from None``) too. ``outside`` are ids of frames around the
    task: what was being handled in one of them as the task was called is none of its
    causes, though Python links it. The second value says whether any was left out so.
    """
    around = set(outside)

    def is_outside(one: BaseException) -> bool:
        tb = traceback_of(one)
        return tb is not None and id(tb.tb_frame) in around

    def links(one: BaseException) -> list[Link]:
        return [] if one is not error and is_outside(one) else _links(one)

    rows: list[list[Any]] = []
    cut = False
    for _, _, one in descent(error, links):
        if is_outside(one):
            cut = True
            continue
        rows.append(_row(one))
        if len(rows) == MOST_CAUSES:
            break
    return rows, cut


def _links(error: BaseException) -> list[Link]:
    """Members, which may come in any order and number, cause and context."""
    members = {
        (type(one).__name__, normalise(safe_str(one, LONGEST_CAUSE))): one
        for one in members_of(error)[:MOST_CAUSES]
    }
    found = [("member", members[name]) for name in sorted(members)]
    linked = (("cause", cause_of(error)), ("context", context_of(error)))
    return [*found, *((how, one) for how, one in linked if one is not None)]


def _row(error: BaseException) -> list[Any]:
    """Class, message, repr, and whether the task's own code raised it."""
    innermost = ""
    for frame, _ in walk(traceback_of(error)):
        innermost = frame.f_code.co_filename
    return [
        type(error).__name__,
        safe_str(error, LONGEST_CAUSE),
        safe_repr(error, LONGEST_CAUSE),
        not (innermost and is_machinery(innermost)),
    ]


def broken_repr(error: BaseException) -> tuple[str, str] | None:
    """Class and message of what an exception's ``repr`` raises, if it does."""
    try:
        repr(error)
    except Exception as broken:  # a user's own __repr__
        return type(broken).__name__, safe_str(broken)
    return None
