"""Frames and named values, ready to be shown, live or from a traceback's text."""

from __future__ import annotations

import linecache
import re
from dataclasses import dataclass
from typing import Any

from dbgkit.model import FrameSummary, ValueSummary
from dbgkit.remote.common.frames import is_machinery, is_own, own_index
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.remote.values.summarize import OMITTED, summarize, summarize_frames
from dbgkit.render import words

FRAMES = 30  # of a traceback that is left as text only

_TEXT_FRAME = re.compile(
    r'^  File "(?P<file>.+?)", line (?P<line>\d+), in (?P<name>.+)\n'
    r"(?:    (?P<code>.*)\n?)?(?:    [ ~^]+\n)?"
    r"(?:  \[Previous line repeated (?P<again>\d+) more times?\]\n?)?",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Row:
    """One named value: an input, an argument, a local variable."""

    name: str
    value: str
    type: str = ""
    key: str = ""
    hidden: bool = False


@dataclass(frozen=True)
class Frame:
    """One frame; ``gap`` says that it stands for frames that were left out."""

    place: str
    function: str
    lineno: int
    source: tuple[tuple[int, str], ...] = ()
    locals: tuple[Row, ...] = ()
    own: bool = True
    omitted: int = 0
    gap: bool = False


def stop_of(frames: tuple[Frame, ...]) -> int | None:
    """Index of the innermost frame of the user's own, else of the innermost.

    One with source comes before one without.
    """
    own = [index for index, frame in enumerate(frames) if frame.own]
    rest = list(range(len(frames)))
    for indices in (own, rest):
        readable = [index for index in indices if frames[index].source]
        if readable or indices:
            return (readable or indices)[-1]
    return None


def row_of(name: str, value: ValueSummary, key: str = "") -> Row:
    """A value's row; the type is only said where the text does not say it."""
    short = value.type.rpartition(".")[2]
    plain = "." not in value.type or value.text.startswith(("<", f"{short}("))
    kind = "" if plain or value.hidden else value.type
    return Row(name, value.text, kind, key, value.hidden)


def value_row(name: str, value: Any, key: str = "") -> Row:
    if isinstance(value, ValueSummary):  # of another process
        return row_of(name, value, key)
    return row_of(name, ValueSummary.from_wire(summarize(value, name=name)), key)


def frames_of(exception: BaseException) -> tuple[Frame, ...]:
    wires = summarize_frames(exception.__traceback__)
    return tuple(frame_of(FrameSummary.from_wire(wire)) for wire in wires)


def frame_of(summary: FrameSummary) -> Frame:
    if summary.filename == OMITTED:
        return Frame(place="", function=summary.function, lineno=0, own=False, gap=True)
    return Frame(
        place=words.place(summary.filename, summary.lineno),
        function=in_line(summary.function),
        lineno=summary.lineno,
        source=summary.source,
        locals=tuple(row_of(name, value) for name, value in summary.locals),
        own=summary.own,
        omitted=summary.omitted_locals,
    )


def frames_of_text(text: str) -> tuple[Frame, ...]:
    """Frames of a formatted traceback: with the one line of source that it has."""
    found = list(_TEXT_FRAME.finditer(text))
    shown = [one for one in found if not is_machinery(one["file"])] or found[-1:]
    gap = len(shown) - FRAMES
    own = own_index([one["file"] for one in shown])
    frames = []
    for index, one in enumerate(shown):
        between = gap > 0 and FRAMES // 3 <= index < FRAMES // 3 + gap
        if between and index == FRAMES // 3:
            frames.append(_gap(words.count(gap, "more frame")))
        if between and index != own:
            continue
        lineno = int(one["line"])
        frames.append(
            Frame(
                place=words.place(one["file"], lineno),
                function=in_line(one["name"]),
                lineno=lineno,
                source=_source_of(one["file"], lineno, (one["code"] or "").strip()),
                own=is_own(one["file"]),
            )
        )
        if one["again"]:
            frames.append(_gap(f"the same line {one['again']} more times"))
    return tuple(frames)


def _gap(text: str) -> Frame:
    return Frame(place="", function=text, lineno=0, own=False, gap=True)


def _source_of(filename: str, lineno: int, code: str) -> tuple[tuple[int, str], ...]:
    """Lines around one, if the file here is the one that ran; else that line."""
    linecache.checkcache(filename)
    here = linecache.getlines(filename)
    if not (code and 0 < lineno <= len(here) and here[lineno - 1].strip() == code):
        return ((lineno, redact_text(code, bare=False)),) if code else ()
    first, last = max(1, lineno - 3), min(len(here), lineno + 2)
    while not here[first - 1].strip():
        first += 1
    while not here[last - 1].strip():
        last -= 1
    return tuple(
        (number, redact_text(here[number - 1].rstrip("\n"), bare=False))
        for number in range(first, last + 1)
    )
