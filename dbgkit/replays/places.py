"""Did two runs fail at the same place? By the frames of the task, innermost first."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import lru_cache

from dbgkit.remote.common.codes import DYNAMIC
from dbgkit.remote.common.frames import is_own, own_line
from dbgkit.remote.common.parsing import parsed
from dbgkit.remote.common.texts import normalise
from dbgkit.remote.recording.raised import FrameRow
from dbgkit.source.texts import local_lines

Place = tuple[str, int, str]  # file name, line, function

# Names that say nothing of the file: of code that travelled, of ``python -c``.
ANY_FILE = (DYNAMIC, "<string>", "<timed exec>")
_CYTHON = (".pyx", ".pxd", ".pxi")
# Frames of their own before Python 3.12, and since then parts of what they stand in.
_INLINED = ("<listcomp>", "<dictcomp>", "<setcomp>")


def places_of(rows: Sequence[FrameRow]) -> list[Place]:
    """The frames of a task, outermost first, as Python 3.12 has them."""
    places: list[Place] = []
    for filename, lineno, function in rows:
        place = (str(filename), int(lineno), str(function))
        if function in _INLINED and places and places[-1][0] == filename:
            place = (place[0], place[1], places.pop()[2])
        places.append(place)
    return places


def own_place(error: BaseException) -> str:
    """``job.py:12 in ratio``: the user's own line that raised; empty if none did."""
    line = own_line(error)
    return "{}:{} in {}".format(*line) if line and is_own(line[0]) else ""


def failed_at(places: Sequence[Place]) -> Place | None:
    """The innermost of the user's own frames, else of those with source."""
    for test in (_is_users, _has_source):
        for place in reversed(places):
            if test(place):
                return place
    return None


def same_place(before: Sequence[Place], now: Sequence[Place]) -> bool:
    """Whether two runs failed at the same place; True if that is unknown."""
    then, here = failed_at(before), failed_at(now)
    if then is None or here is None or _alike(then, here):
        return True
    # What is installed on a worker may be a folder of sources here: then another frame
    # counts as the user's own, though all of them are there.
    return (
        _alike(before[-1], now[-1])
        and any(_alike(then, place) for place in now)
        and any(_alike(place, here) for place in before)
    )


def _is_users(place: Place) -> bool:
    return is_own(place[0])


def _has_source(place: Place) -> bool:
    return not place[0].endswith(_CYTHON)


def _alike(one: Place, other: Place) -> bool:
    if one[2] != other[2] or not _one_file(one[0], other[0]):
        return False
    # A library's lines move from one version to the next.
    if one[1] == other[1] or not (_is_users(one) or _is_users(other)):
        return True
    # Which line of a statement stands for it depends on Python's version.
    return any(_one_statement(name, one[1], other[1]) for name in {one[0], other[0]})


def _one_file(one: str, other: str) -> bool:
    """Whether two names may mean one file: folders differ between machines."""
    if one in ANY_FILE or other in ANY_FILE:
        return True
    return _base(one) == _base(other)


def _base(filename: str) -> str:
    # Code made at run time is numbered: `<lambdifygenerated-3>`.
    if filename.startswith("<"):
        return normalise(filename)
    return re.split(r"[/\\]", filename)[-1]


def _one_statement(filename: str, one: int, other: int) -> bool:
    spans = _statements("".join(local_lines(filename)))
    return any(first <= one <= last and first <= other <= last for first, last in spans)


@lru_cache(maxsize=8)
def _statements(source: str) -> tuple[tuple[int, int], ...]:
    """First and last lines of the statements that span several lines.

    Of what has a body, these are the lines before it.
    """
    try:
        tree = parsed(source)
    except ValueError:
        return ()  # of another Python, or no Python at all
    spans = []
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if body else node.end_lineno
            if end is not None and end > node.lineno:
                spans.append((node.lineno, end))
    return tuple(spans)
