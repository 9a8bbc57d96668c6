"""Frames and texts of a recording within limits: anybody may have made it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from dbgkit.model.frames import FrameSummary, ValueSummary, checked
from dbgkit.remote.common.texts import in_line, visible

MOST_FRAMES = 200
MOST_LOCALS = 200  # of one frame
MOST_LINES = 10_000_000  # of one file
_SOURCE = 200  # lines of source of one frame,
_AROUND = 1_000  # none of them farther away than this
_NAME = 1_000  # characters: of a path, too
_LINE = 2_000
_TEXT = 200_000
_FUNCTION = re.compile(r"[\w.<>]{1,300}|[\d,]{1,20} more frames")
_VARIABLE = re.compile(r"\.\d{1,3}")  # what a comprehension goes through
UNNAMED = "<unnamed>"


def bounded_text(text: Any) -> str:
    return _cut(checked(str, text), _TEXT)


def bounded_name(name: Any) -> str:
    """A name or a path: one line, without what is not seen."""
    return in_line(_cut(checked(str, name), _NAME))


def bounded_frames(wire: Any) -> tuple[FrameSummary, ...]:
    """Frames out of their wire form; no more of them than there may be."""
    return tuple(
        bounded_frame(FrameSummary.from_wire(frame))
        for frame in islice(wire, MOST_FRAMES)
    )


def bounded_frame(frame: FrameSummary) -> FrameSummary:
    """The frame with names that are names, and with texts of a length to be shown."""
    known = [(name, value) for name, value in frame.locals if is_variable(name)]
    variables = known[:MOST_LOCALS]
    left_out = len(frame.locals) - len(variables)
    lineno = frame.lineno if 0 < frame.lineno <= MOST_LINES else 0
    return replace(
        frame,
        filename=bounded_name(frame.filename),
        lineno=lineno,
        function=frame.function if _is_function(frame.function) else UNNAMED,
        source=_source(frame.source, lineno),
        locals=tuple((name, _value(value)) for name, value in variables),
        omitted_locals=min(max(0, frame.omitted_locals), MOST_LINES) + left_out,
        code=tuple(map(bounded_name, frame.code[:3])),
    )


def is_variable(name: str) -> bool:
    """Whether a local variable can have such a name."""
    named = name.isidentifier() or _VARIABLE.fullmatch(name) is not None
    return named and len(name) <= _NAME and in_line(name) == name


def _is_function(name: str) -> bool:
    return _FUNCTION.fullmatch(name) is not None and in_line(name) == name


def _source(
    lines: Iterable[tuple[int, str]], lineno: int
) -> tuple[tuple[int, str], ...]:
    near = {
        number: visible(_cut(line, _LINE)).replace("\n", "\\n")
        for number, line in islice(lines, _SOURCE)
        if 0 < number <= MOST_LINES and abs(number - lineno) <= _AROUND
    }
    return tuple(sorted(near.items()))


def _value(value: ValueSummary) -> ValueSummary:
    return replace(value, type=bounded_name(value.type), text=_cut(value.text, _TEXT))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
