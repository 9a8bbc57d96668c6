"""Lines of the user's code for a black box: where a task is, and where it begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from traceback import walk_stack
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType
from typing import Any

from ..common.boxes import ERRORS, FIRST_BYTES
from ..common.calls import call_of, is_wrapper, plain_function, steps_of
from ..common.codes import file_of_frame, fingerprint, is_dynamic, marked
from ..common.exceptions import traceback_of
from ..common.frames import is_machinery, is_own, own_index, walk

_DEEPEST = 200  # frames to look through for one of the user's own
_MOST_CODES = 1_000  # whose line is known
_MOST_STEPS = 20  # of a fused task
_NESTED = 5  # fused tasks within fused tasks


def frames_of_thread(frame: FrameType | None) -> list[FrameType]:
    """Frames of a thread, outermost first."""
    if frame is None:
        return []
    return [each for each, _ in islice(walk_stack(frame), _DEEPEST)][::-1]


def frames_of_coroutine(coroutine: Any) -> list[FrameType]:
    """Frames of what a coroutine waits in, outermost first."""
    found: list[FrameType] = []
    for _ in range(_DEEPEST):
        frame = getattr(coroutine, "cr_frame", None)
        if type(coroutine).__name__ != "coroutine" or frame is None:
            break
        found.append(frame)
        coroutine = coroutine.cr_await
    return found


def line_of(frames: list[FrameType]) -> str:
    """``file.py:12 in work``: the innermost line of the user's own code."""
    return _line_of([(frame, frame.f_lineno or 0) for frame in frames])


def line_of_error(error: BaseException) -> str:
    """The innermost line of the user's own code that an exception came through."""
    return _line_of(list(islice(walk(traceback_of(error)), _DEEPEST)))


def _line_of(places: list[tuple[FrameType, int]]) -> str:
    filenames = [file_of_frame(frame) for frame, _ in places]
    index = own_index(filenames)
    if index is None:
        return ""
    (frame, number), filename = places[index], filenames[index]
    return _worded(filename, frame.f_code, number)


def _worded(filename: str, code: CodeType, number: int) -> str:
    if is_dynamic(filename):
        filename = marked(fingerprint(code))
    return f"{filename}:{number} in {code.co_name}"


class FirstLines:
    """First lines of a task's functions: all that is known of one that dies at once.

    On the path of each task, so what is known of a function's code is kept; code that
    was pickled by value is another object, though an equal one, for each task.
    """

    def __init__(self) -> None:
        # Equal code may be of different files: those come with it.
        self._known: dict[CodeType, tuple[str, str | None, bytes | None]] = {}

    def of(self, spec: Any) -> bytes:
        """The first line of what a run spec calls; empty if it is none of Python's.

        Of a fused task, those of all steps that call the user's own code.
        """
        line = self._of_callable(getattr(spec, "func", None))
        return self._within(spec) if line is None else line

    def _of_callable(self, function: Any) -> bytes | None:
        kind = type(function)
        if kind is FunctionType:
            return self._of_function(function)
        return b"" if kind is BuiltinFunctionType else None

    def _of_function(self, function: FunctionType) -> bytes | None:
        """As `of`, of a function; None if it is one of Dask's that calls another."""
        code = function.__code__
        filename, home = code.co_filename, None
        if filename[:1] == "<":  # it may have travelled by value
            home = function.__globals__.get("__file__")
            home = home if type(home) is str else None
        try:
            known = self._known.get(code)
        except TypeError:  # somebody has made code that has no hash
            return b""
        if known is not None and known[0] == filename and known[1] == home:
            return known[2]
        line = self._look_up(function, filename, home)
        if len(self._known) >= _MOST_CODES:
            self._known.clear()
        self._known[code] = filename, home, line
        return line

    def _look_up(
        self, function: FunctionType, filename: str, home: str | None
    ) -> bytes | None:
        if home and is_dynamic(filename):
            filename = home
        if is_wrapper(function):
            return None
        if is_machinery(filename):
            return b""
        code = function.__code__
        worded = _worded(filename, code, code.co_firstlineno)
        return worded.encode("utf-8", ERRORS)[-FIRST_BYTES:]

    def _within(self, spec: Any) -> bytes:
        """As `of`, where Dask's code calls the user's."""
        own: dict[bytes, None] = {}
        other = b""
        for step in _in_order(spec):
            function: Any = getattr(step, "func", None)
            line = self._of_callable(function)
            if line is None and (call := call_of(step)) is not None:
                function = plain_function(call[0])[0]
                line = self._of_callable(function)
            if line and is_own(function.__code__.co_filename):
                own[line] = None
            other = other or line or b""
        found = b"\n".join(own) or other
        while len(found) > FIRST_BYTES:
            found = found.rpartition(b"\n")[0]
        return found


def _in_order(spec: Any, depth: int = 0) -> Iterator[Any]:
    """The steps of a fused task, inputs first; another run spec itself."""
    steps: Mapping[Any, Any] = steps_of(spec) if depth < _NESTED else {}
    if not steps:
        yield spec
        return
    _, last, *_ = spec.args
    waiting, seen = [(last, False)], set()
    for _ in range(2 * _MOST_STEPS):
        if not waiting:
            return
        key, ready = waiting.pop()
        if ready:
            yield from _in_order(steps[key], depth + 1)
        elif key in steps and key not in seen:
            seen.add(key)
            waiting.append((key, True))
            waiting += [(each, False) for each in steps[key].dependencies]
