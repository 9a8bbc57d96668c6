"""Frames and named values: gathered, live or from a traceback's text, and shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from dbgkit.model import FrameSummary, ValueSummary
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.common.frames import is_machinery, is_own, own_index
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.remote.values.summarize import OMITTED, Budget, summarize, summarize_frames
from dbgkit.render import words
from dbgkit.render.style import LABEL, NOTE
from dbgkit.render.text import Text
from dbgkit.source.texts import local_lines

FRAMES = 30  # of a traceback that is left as text only

_TEXT_FRAME = re.compile(
    r'^  File "(?P<file>.+?)", line (?P<line>\d{1,9}), in (?P<name>.+)\n'
    r"(?:    (?P<code>.*)\n?)?(?:    [ ~^]+\n)?"
    r"(?:  \[Previous line repeated (?P<again>\d{1,9}) more times?\]\n?)?",
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
    wire = summarize(value, name=name, budget=Budget(secret_names=secret_names()))
    return row_of(name, ValueSummary.from_wire(wire), key)


def frames_of(exception: BaseException) -> tuple[Frame, ...]:
    budget = Budget(secret_names=secret_names())
    wires = summarize_frames(exception.__traceback__, budget=budget)
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


def frames_of_text(text: str, *, local: bool = True) -> tuple[Frame, ...]:
    """Frames of a formatted traceback: with the one line of source that it has.

    ``local``: and those around it, if the file here has that line.
    """
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
                source=_source_of(
                    one["file"], lineno, (one["code"] or "").strip(), local
                ),
                own=is_own(one["file"]),
            )
        )
        if one["again"]:
            frames.append(_gap(f"the same line {one['again']} more times"))
    return tuple(frames)


def _gap(text: str) -> Frame:
    return Frame(place="", function=text, lineno=0, own=False, gap=True)


def _source_of(
    filename: str, lineno: int, code: str, local: bool
) -> tuple[tuple[int, str], ...]:
    """Lines around one, if the file here is the one that ran; else that line."""
    here = local_lines(filename) if local else []
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


# --- on a console ---------------------------------------------------------------


def values_form(rows: Iterable[Row], *, one_line: bool = False) -> Table:
    """Named values, a row each."""
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(overflow="fold", max_width=32)
    table.add_column()
    table.add_column(ratio=1)
    for row in rows:
        name = Text(row.name, style="cyan", overflow="fold")
        equals = Text("=" if row.name else "", style=LABEL)
        table.add_row(name, equals, _value(row, one_line=one_line))
    return table


def _value(row: Row, *, one_line: bool) -> Text:
    wrap = "ellipsis" if one_line else "fold"
    text = Text(overflow=wrap, no_wrap=one_line or None)
    if row.type:
        text.append(f"{row.type} ", style=LABEL)
    text.append(row.value, style="dim italic" if row.hidden else "")
    if row.key:
        text.append(f"  {row.key}", style=LABEL)
    return text


def frames_form(
    frames: tuple[Frame, ...], *, whole: bool, title: str = ""
) -> tuple[list[RenderableType], list[RenderableType]]:
    """The frame to look at, which comes first, and the others, outermost first.

    ``whole``: each of the user's own with all that is known. Under a title all are
    others: it says of which exception.
    """
    stop = stop_of(frames)
    if stop is None:
        return [], []
    first = [] if title else [frame_form(frames[stop]), Text("")]
    rest: list[RenderableType] = []
    for index, frame in enumerate(frames):
        if index == stop and title:
            rest.append(frame_form(frame))
        elif index != stop and whole and frame.own and not frame.gap:
            rest.append(frame_form(frame, pointed=False))
        elif index != stop:
            rest.append(_brief(frame))
    if not rest:
        return first, []
    if title:
        return [], [Text(""), Text(title, style="bold yellow", overflow="fold"), *rest]
    more = words.count(len(rest), "more frame")
    return first, [Text(f"\n{more}, outermost first", style=LABEL), *rest]


def _brief(frame: Frame) -> Text:
    if frame.gap:
        return Text(f"… {frame.function}", style=LABEL)
    return Text(f"{frame.place} in {frame.function}", style=LABEL, overflow="fold")


def frame_form(frame: Frame, *, pointed: bool = True) -> RenderableType:
    """One frame, with all that is known of it; ``pointed``: the one to look at."""
    head = Text(frame.place, style="bold" if pointed else "", overflow="fold")
    head.append(" in ", style="not bold dim").append(frame.function, style="bold blue")
    parts: list[RenderableType] = [head]
    if frame.source:
        parts.append(_source(frame, pointed=pointed))
    if frame.locals:
        parts.append(Padding(values_form(frame.locals), (0, 0, 0, 4)))
    if frame.omitted:
        noun = "more local left out"
        left = words.count(frame.omitted, noun, "more locals left out")
        parts.append(Padding(Text(f"  … {left}", style=LABEL), (0, 0, 0, 2)))
    return Group(*parts)


def _source(
    frame: Frame, *, pointed: bool = True, quiet: bool = False
) -> RenderableType:
    """Numbered lines, the one that failed marked, and whole however long it is.

    ``quiet``: the others are dim.
    """
    table = Table.grid(pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    width = len(str(frame.source[-1][0])) if frame.source else 0
    for number, line in frame.source:
        here = number == frame.lineno
        mark, style = ("❱", "bold red" if pointed else "bold") if here else (" ", "dim")
        text = Text(line, style=style if quiet else "bold" if here else "")
        text.no_wrap, text.overflow = not here, "fold" if here else "ellipsis"
        table.add_row(Text(f"  {mark} {number:>{width}} │ ", style=style), text)
    return table


def brief_frames_form(frames: tuple[Frame, ...], title: str) -> RenderableType:
    """A line each frame, with source and locals of the one to look at."""
    parts: list[RenderableType] = [Text(title, style=NOTE)] if title else []
    stop = stop_of(frames)
    for index, frame in enumerate(frames):
        if frame.gap:
            parts.append(_brief(frame))
            continue
        here = index == stop
        head = Text(frame.place, style="bold" if here else LABEL, overflow="fold")
        head.append(" in ", style="not bold dim")
        head.append(frame.function, style="bold blue" if here else "")
        parts.append(head)
        if not here:
            continue
        if frame.source:
            parts.append(_source(frame, quiet=True))
        for row in frame.locals:
            local = Text(f"    {row.name} = ", style="cyan", overflow="fold")
            parts.append(local.append(row.value, style="default"))
    return Group(*parts)
