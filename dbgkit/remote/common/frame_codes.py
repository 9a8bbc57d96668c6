"""Frames of which only text is left: which code they were in, by a task's run spec.

Since cloudpickle 3.1.3 code that travelled by value has no file, so that failures on
the same line of two cells of a notebook are indistinguishable. The run spec, which the
scheduler has, leads to the code itself (see `codes`).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import FunctionType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from .codes import (
    DYNAMIC,
    fingerprint,
    functions_of,
    is_cell,
    is_dynamic,
    marked,
    nested,
    spans,
)
from .frames import is_own, own_line_of_text

MOST_LOOKED_AT = 2_000  # values of one run spec: a few milliseconds
MOST_FORGOTTEN = 100  # failures; distributed.diagnostics.erred-tasks.max-history
_PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes))
_REFERENCES = ("TaskRef", "Alias")  # dask/_task_spec.py
_FRAME = re.compile(
    r'^  File "(?P<file>.+?)", line (?P<line>\d{1,9}), in (?P<name>.+)$'
    r"(?P<source>\n    )?",
    re.MULTILINE,
)


class FrameCode(NamedTuple):
    """The code that a frame was in."""

    name: str  # of the frame
    line: int
    mark: str  # the code's fingerprint
    module: str  # empty if unknown
    file: str  # that one's, or the code's own; empty if unknown


Wanted = frozenset[tuple[str, int]]
Known = WeakKeyDictionary[FunctionType, dict[Wanted, tuple[FrameCode, ...]]]
_codes: Known = WeakKeyDictionary()  # of a function itself
# Of all that it leads to: of those whose tasks hold nothing else that leads to code.
_known: Known = WeakKeyDictionary()


def codes_for(spec: Any, text: str, *, every: bool = True) -> tuple[FrameCode, ...]:
    """The code of frames of a traceback's text that came without source.

    ``spec`` is the task's run spec, if known. Frames whose file is named are only
    looked for with ``every``; those of cells, and those without a file, always.
    """
    wanted = _lost(text, every)
    if not wanted or spec is None:
        return ()
    function = getattr(spec, "func", None)
    if not isinstance(function, FunctionType) or not _has_plain_arguments(spec):
        return _find(spec, wanted)
    known = _known.setdefault(function, {})
    if wanted not in known:
        if len(known) > MOST_FORGOTTEN:
            known.clear()
        known[wanted] = _find(function, wanted)
    return known[wanted]


def mark_at(spec: Any, name: str, line: int) -> str:
    """The fingerprint of the code of a run spec that has a line; or empty."""
    found = _find(spec, frozenset({(name, line)}))
    return found[0].mark if found else ""


@lru_cache(maxsize=256)  # failures of one kind have one traceback
def _lost(text: str, every: bool) -> Wanted:
    """Name and line of frames whose file, or source, a text does not have."""
    return frozenset(
        (found["name"], int(found["line"]))
        for found in _FRAME.finditer(text)
        if is_dynamic(found["file"])
        # Cells that are run again have other names, perhaps for equal code.
        or is_cell(found["file"])
        or (every and found["source"] is None and is_own(found["file"]))
    )


def _has_plain_arguments(spec: Any) -> bool:
    """Whether a task's arguments lead to no code."""
    positional, named = getattr(spec, "args", ()), getattr(spec, "kwargs", None)
    arguments = (*positional, *(named or {}).values())
    return len(arguments) < MOST_FORGOTTEN and all(
        type(each) in _PLAIN or type(each).__name__ in _REFERENCES for each in arguments
    )


def _find(value: Any, wanted: Wanted) -> tuple[FrameCode, ...]:
    """The code of each frame that only one code can be of."""
    found: dict[tuple[str, int], dict[str, FrameCode]] = {}
    names = {name for name, _ in wanted}
    for function in functions_of(value, MOST_LOOKED_AT):
        filename = function.__code__.co_filename
        # Functions within Dask's own travel by value too.
        named = function.__code__.co_name in names
        if named or is_dynamic(filename) or is_own(filename):
            for one in _codes_in(function, wanted):
                found.setdefault((one.name, one.line), {})[one.mark] = one
    return tuple(
        one for codes in found.values() if len(codes) == 1 for one in codes.values()
    )


def _codes_in(function: FunctionType, wanted: Wanted) -> tuple[FrameCode, ...]:
    """Code of one function, nested code included, that has a name and a line."""
    known = _codes.setdefault(function, {})
    if wanted not in known:
        if len(known) > MOST_FORGOTTEN:
            known.clear()
        known[wanted] = tuple(
            FrameCode(name, line, fingerprint(code), *home_of(function))
            for code in nested(function.__code__)
            for name, line in wanted
            if name == code.co_name and spans(code, line)
        )
    return known[wanted]


def home_of(function: FunctionType) -> tuple[str, str]:
    """The module that a function is from, and its file."""
    module, file = function.__module__, function.__code__.co_filename
    if is_dynamic(file):
        file = function.__globals__.get("__file__") or ""
    return (
        module if isinstance(module, str) else "__main__",
        file if isinstance(file, str) else "",
    )


def with_homes(text: str, codes: Iterable[Any]) -> str:
    """A traceback's text with the files of modules that code travelled from."""
    if DYNAMIC not in text:
        return text
    files = {(name, int(line)): file for name, line, _, _, file in codes if file}

    def put(found: re.Match[str]) -> str:
        file = files.get((found["name"], int(found["line"])))
        if file is None or not is_dynamic(found["file"]):
            return found[0]
        return found[0].replace(found["file"], file, 1)

    return _FRAME.sub(put, text)


@lru_cache(maxsize=256)  # failures of one kind have one traceback
def own_place(
    text: str, codes: tuple[FrameCode, ...] = ()
) -> tuple[str, int, str] | None:
    """``(filename, lineno, function)`` of the innermost frame of the user's own.

    A cell is identified by its code, as far as that is known; so is what has no file.
    """
    line = own_line_of_text(with_homes(text, codes))
    if line is None or not (is_dynamic(line[0]) or is_cell(line[0])):
        return line
    marks = [one.mark for one in codes if (one.name, one.line) == (line[2], line[1])]
    return (marked(marks[0]) if marks else line[0]), line[1], line[2]


class KeptCodes:
    """Codes of the last tasks that failed and have been forgotten since.

    As long as a task is there its run spec leads to them. What is done as a task fails
    or goes takes less than a microsecond; the rest is done by `read_one` later.
    """

    def __init__(self) -> None:
        self._recent: OrderedDict[Any, None] = OrderedDict()
        self._waiting: dict[Any, tuple[Any, str]] = {}
        self._found: dict[Any, tuple[FrameCode, ...]] = {}

    def failed(self, key: Any) -> None:
        """Note that a task has failed by itself."""
        self._recent[key] = None
        self._recent.move_to_end(key)
        if len(self._recent) > MOST_FORGOTTEN:
            oldest, _ = self._recent.popitem(last=False)
            self._waiting.pop(oldest, None)
            self._found.pop(oldest, None)

    def leaves(self, key: Any, ts: Any) -> bool:
        """Note that it is no longer in state erred; whether `read_one` is due."""
        if key not in self._recent or ts is None or ts.run_spec is None:
            return False
        self._waiting[key] = (ts.run_spec, ts.traceback_text or "")
        return len(self._waiting) == 1

    def read_one(self) -> bool:
        """Find the codes of one forgotten task; whether there are more to do."""
        if self._waiting:
            key, (spec, text) = self._waiting.popitem()
            self._found[key] = codes_for(spec, text)
        return bool(self._waiting)

    def of(self, key: Any) -> tuple[FrameCode, ...]:
        """What was found of a task."""
        while key in self._waiting:
            self.read_one()
        return self._found.get(key, ())


def read_later(codes: KeptCodes, call_soon: Callable[..., Any]) -> None:
    """Have `KeptCodes.read_one` called in turns of an event loop of their own."""
    if codes.read_one():
        call_soon(read_later, codes, call_soon)
