"""Which step of a task failed, by its traceback.

A fused task has many steps, and a task may have others nested in its arguments. The
arguments of later steps have nothing to do with the failure. The frames of the
traceback show which function was called, but not in which of two steps that call it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

from .calls import Call, module_of, name_of_function, plain_function
from .frames import is_own, package_of, parse_traceback

Frame = tuple[str, int, str]  # file, line, function

MOST_FRAMES = 300  # the outermost
_READ = 300  # characters of a traceback's text for each of them
# Dask's functions whose result runs the user's only as a later step takes from it.
_LAZY = ("map", "filter", "map_chunk", "starmap_chunk")


class Candidate(NamedTuple):
    """A step that may have failed: where the search for its origins would begin."""

    place: Any
    call: Call | None
    outer_function: Any  # what the run spec calls, wrappers included


def frames_in(text: str) -> list[Frame]:
    """The outermost frames of a traceback's text."""
    return parse_traceback(text[: MOST_FRAMES * _READ])[:MOST_FRAMES]


def frames_of(rows: Iterable[tuple[FrameType, int]]) -> list[Frame]:
    """The outermost frames of a live traceback, as ``frames.walk`` gives them."""
    return [
        (frame.f_code.co_filename, line, frame.f_code.co_name)
        for frame, line in islice(rows, MOST_FRAMES)
    ]


def failed_step(
    candidates: Iterable[Candidate], frames: Sequence[Frame]
) -> Candidate | None:
    """The step whose function the frames are of; None where that is not certain."""
    steps = [(each, code) for each in candidates if (code := _code(each.call))]
    found = _called(steps, frames)
    return _called(steps, _within_task(frames)) if found is None else found


def _called(
    steps: Sequence[tuple[Candidate, CodeType]], frames: Sequence[Frame]
) -> Candidate | None:
    found: Candidate | None = None
    before: Frame | None = None
    for frame in frames:
        here = [each for each, code in steps if _is_of(frame, code)]
        if here and found is None:
            if len(here) > 1:
                return None
            found = here[0]
        elif here and found is not None and here != [found]:
            lazy = [each for each in here if _is_lazy(each)]
            if lazy and (len(here) > 1 or not _is_pulled(lazy[0], before)):
                return None
            found = lazy[0] if lazy else found
        elif found is None and is_own(frame[0]):
            return None  # of a function that none of the steps is known to call
        before = frame
    return found


def _within_task(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Frames within the task: in a process without workers, a script's come before.

    Dask leaves most of its own out of those (``dask.base.shorten_traceback``).
    """
    for name in ("_task_spec.py", "base.py"):
        for index, (file, _, _) in enumerate(frames):
            follows = _base(frames[index + 1][0]) if index + 1 < len(frames) else ""
            called = package_of(file) == "dask" and _base(file) == name
            if called and follows != name:
                return frames[index + 1 :]
    return frames


def _code(call: Call | None) -> CodeType | None:
    if call is None:
        return None
    function, _ = plain_function(call[0])
    return function.__code__ if type(function) is FunctionType else None


def _is_of(frame: Frame, code: CodeType) -> bool:
    """Whether a frame is of some code, whose file may be in another folder there."""
    file, line, name = frame
    if name != code.co_name or _base(file) != _base(code.co_filename):
        return False
    lines = [each for *_, each in code.co_lines() if each is not None]
    return code.co_firstlineno <= line <= max(lines, default=line)


def _base(file: str) -> str:
    return re.split(r"[/\\]", file)[-1]


def _is_lazy(step: Candidate) -> bool:
    name = name_of_function(step.outer_function)
    code = _code(step.call)
    generates = code is not None and bool(code.co_flags & inspect.CO_GENERATOR)
    return generates or (name in _LAZY and _is_bags(step.outer_function))


def _is_bags(function: Any) -> bool:
    return module_of(function) in ("builtins", "dask.bag.core")


def _is_pulled(step: Candidate, before: Frame | None) -> bool:
    """Whether it ran as a later step took from it, and not as that one called it."""
    code = _code(step.call)
    if code is not None and code.co_flags & inspect.CO_GENERATOR:
        return True
    # _MapChunk.__next__ (dask/bag/core.py)
    return before is not None and before[2] == "__next__" and "bag" in before[0]
